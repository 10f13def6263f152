/* SPDX-License-Identifier: Apache-2.0 */
/* Relative paths in a machine description become absolute ones. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/definition.h"

/* `skip` bytes in front of the path stay, as the "unix:" of a serial port. */
static int rebase(char **field, size_t skip, const char *folder, struct err *e)
{
	char *text;

	if (!*field || !(*field)[skip] || (*field)[skip] == '/')
		return 0;
	if (asprintf(&text, "%.*s%s/%s", (int)skip, *field, folder, *field + skip) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	free(*field);
	*field = text;
	return 0;
}

int spec_rebase(struct spec *s, const char *folder, struct err *e)
{
	char **single[] = {&s->kernel, &s->initrd, &s->firmware, &s->video_bios};
	bool serial_path = !strncmp(s->serial, "unix:", 5) || !strncmp(s->serial, "file:", 5);
	int rc = serial_path ? rebase(&s->serial, 5, folder, e) : 0;

	for (unsigned i = 0; i < sizeof(single) / sizeof(single[0]) && !rc; i++)
		rc = rebase(single[i], 0, folder, e);
	for (unsigned i = 0; i < s->nmodules && !rc; i++)
		rc = rebase(&s->modules[i], 0, folder, e);
	for (unsigned i = 0; i < s->ndisks && !rc; i++)
		rc = rebase(&s->disks[i].path, 0, folder, e);
	return rc;
}
