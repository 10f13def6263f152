/* SPDX-License-Identifier: Apache-2.0 */
/* Machine descriptions from files. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "vmm/spec.h"

int spec_load(const char *path, struct spec *s, struct err *e)
{
	char *text;
	size_t len;
	int rc = file_read(path, SPEC_MAX_FILE, &text, &len, e);

	if (rc)
		return rc;
	rc = spec_parse(s, text, len, e);
	if (rc)
		err_prefix(e, "%s", strcmp(path, "-") ? path : "standard input");
	free(text);
	return rc;
}
