/* SPDX-License-Identifier: Apache-2.0 */
/* Paths in a machine description: relative to a folder where they are stored, absolute in use. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/definition.h"
#include "vmm/backend/vnc/vnc.h"

/* Changes a path; `skip` bytes in front of it stay, as the "unix:" of a serial port. */
typedef int path_fn(char **field, size_t skip, const char *folder, struct err *e);

static int replace(char **field, char *text, struct err *e)
{
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	free(*field);
	*field = text;
	return 0;
}

static int make_absolute(char **field, size_t skip, const char *folder, struct err *e)
{
	char *text;

	if (!(*field)[skip] || (*field)[skip] == '/')
		return 0;
	if (asprintf(&text, "%.*s%s/%s", (int)skip, *field, folder, *field + skip) < 0)
		text = NULL;
	return replace(field, text, e);
}

static int make_relative(char **field, size_t skip, const char *folder, struct err *e)
{
	size_t len = strlen(folder);
	const char *path = *field + skip;
	char *text;

	if (strncmp(path, folder, len) || path[len] != '/' || !path[len + 1])
		return 0;
	if (asprintf(&text, "%.*s%s", (int)skip, *field, path + len + 1) < 0)
		text = NULL;
	return replace(field, text, e);
}

/* The files that the text of a VNC server names. */
static int display_paths(struct spec *s, path_fn *fn, const char *folder, struct err *e)
{
	struct vnc_config c;
	char **files[] = {&c.unix_path, &c.password_file, &c.tls_cert, &c.tls_key};
	int rc = 0;

	if (!s->display || strncmp(s->display, "vnc", 3))
		return 0;
	if (vnc_config_parse(s->display, &c, NULL))
		return 0; /* spec_check() says why */
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]) && !rc; i++)
		rc = *files[i] ? fn(files[i], 0, folder, e) : 0;
	if (!rc)
		rc = replace(&s->display, vnc_config_print(&c), e);
	vnc_config_free(&c);
	return rc;
}

static int each_path(struct spec *s, path_fn *fn, const char *folder, struct err *e)
{
	char **single[] = {&s->kernel, &s->initrd, &s->nvram, &s->video_bios, &s->restore};
	bool serial_path = !strncmp(s->serial, "unix:", 5) || !strncmp(s->serial, "file:", 5);
	int rc = serial_path ? fn(&s->serial, 5, folder, e) : 0;

	if (!rc)
		rc = display_paths(s, fn, folder, e);
	if (!rc && spec_firmware_is_file(s))
		rc = fn(&s->firmware, 0, folder, e);
	for (unsigned i = 0; i < sizeof(single) / sizeof(single[0]) && !rc; i++)
		rc = *single[i] ? fn(single[i], 0, folder, e) : 0;
	for (unsigned i = 0; i < s->nmodules && !rc; i++)
		rc = fn(&s->modules[i], 0, folder, e);
	for (unsigned i = 0; i < s->ndisks && !rc; i++)
		rc = s->disks[i].path ? fn(&s->disks[i].path, 0, folder, e) : 0;
	return rc;
}

int spec_rebase(struct spec *s, const char *folder, struct err *e)
{
	return each_path(s, make_absolute, folder, e);
}

int spec_unbase(struct spec *s, const char *folder, struct err *e)
{
	return each_path(s, make_relative, folder, e);
}
