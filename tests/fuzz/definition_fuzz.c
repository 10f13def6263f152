/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a VM's definition. What is accepted prints and reads back to the same text, and its
 * paths survive being made absolute and relative again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "manager/definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const struct definition *d)
{
	char *text = definition_print(d);

	if (!text)
		abort();
	return text;
}

static void expect_same(const char *text)
{
	struct definition d;
	struct err e;
	char *again;

	definition_init(&d);
	if (definition_parse(&d, text, strlen(text), &e))
		abort();
	again = print(&d);
	if (strcmp(text, again))
		abort();
	free(again);
	definition_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct definition d;
	struct err e;
	char *text;

	definition_init(&d);
	if (!definition_parse(&d, (const char *)data, size, &e)) {
		text = print(&d);
		expect_same(text);
		free(text);
		if (spec_rebase(&d.machine, "/vms/web", &e) ||
		    spec_unbase(&d.machine, "/vms/web", &e) || definition_check(&d, &e))
			abort();
	}
	definition_free(&d);
	return 0;
}
