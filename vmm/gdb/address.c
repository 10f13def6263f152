/* SPDX-License-Identifier: Apache-2.0 */
/* The text behind --gdb. */
#include "vmm/gdb/address.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_path(struct gdb_address *a, const char *path, size_t len, struct err *e)
{
	if (!len || len >= sizeof(a->path))
		return err_set(e, -EINVAL, "gdb: a socket's path has 1 to %zu bytes",
			       sizeof(a->path) - 1);
	memcpy(a->path, path, len);
	return 0;
}

static int parse_port(struct gdb_address *a, const char *text, size_t len, struct err *e)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || end != text + len || !port || port > 65535)
		return err_set(e, -EINVAL,
			       "gdb: \"%.*s\" is neither a port from 1 to 65535 nor unix:PATH",
			       (int)(len < 80 ? len : 80), text);
	a->port = (uint16_t)port;
	return 0;
}

static int parse_setting(struct gdb_address *a, const char *text, size_t len, struct err *e)
{
	if (len == 4 && !memcmp(text, "wait", 4))
		a->wait = true;
	else if (len == 4 && !memcmp(text, "i386", 4))
		a->i386 = true;
	else
		return err_set(e, -EINVAL, "gdb: \"%.*s\" is not a setting; wait and i386 are",
			       (int)(len < 80 ? len : 80), text);
	return 0;
}

int gdb_address_parse(struct gdb_address *a, const char *text, struct err *e)
{
	size_t len = strcspn(text, ",");
	int rc;

	memset(a, 0, sizeof(*a));
	if (!strncmp(text, "unix:", 5))
		rc = parse_path(a, text + 5, len - 5, e);
	else
		rc = parse_port(a, text, len, e);
	while (!rc && text[len]) {
		text += len + 1;
		len = strcspn(text, ",");
		rc = parse_setting(a, text, len, e);
	}
	return rc;
}

void gdb_address_print(const struct gdb_address *a, char out[GDB_ADDRESS_TEXT])
{
	int n = *a->path ? snprintf(out, GDB_ADDRESS_TEXT, "unix:%s", a->path)
			 : snprintf(out, GDB_ADDRESS_TEXT, "%u", a->port);

	snprintf(out + n, GDB_ADDRESS_TEXT - (size_t)n, "%s%s", a->wait ? ",wait" : "",
		 a->i386 ? ",i386" : "");
}
