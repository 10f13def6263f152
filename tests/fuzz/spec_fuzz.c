/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a machine description; what is accepted prints and parses back to the same text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(const char *text)
{
	struct spec s;
	struct err e;
	char *again;

	spec_init(&s);
	if (spec_parse(&s, text, strlen(text), &e) || spec_check(&s, &e))
		abort();
	again = spec_print(&s);
	if (!again || strcmp(text, again))
		abort();
	free(again);
	spec_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec s;
	struct err e;
	char *text;

	spec_init(&s);
	if (!spec_parse(&s, (const char *)data, size, &e) && !spec_check(&s, &e)) {
		text = spec_print(&s);
		if (!text)
			abort();
		expect_same(text);
		free(text);
	}
	spec_free(&s);
	return 0;
}
