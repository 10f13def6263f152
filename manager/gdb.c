/* SPDX-License-Identifier: Apache-2.0 */
/* The debugger's stub of a running VM: its socket is made here, for the VM may not make every one.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/control_client.h"
#include "manager/folders.h"
#include "manager/vm.h"
#include "vmm/gdb/listener.h"

/* Without an address: a socket beside the control socket. */
static int choose(const struct vm_info *vm, const char *listen, struct gdb_address *a,
		  struct err *e)
{
	char text[sizeof(vm->control) + 16];

	if (listen)
		return gdb_address_parse(a, listen, e);
	snprintf(text, sizeof(text), "unix:%.*s.gdb", (int)(strlen(vm->control) - strlen(".sock")),
		 vm->control);
	return gdb_address_parse(a, text, e);
}

/* The VM's process has another current folder. */
static int make_absolute(struct gdb_address *a, struct err *e)
{
	char path[sizeof(a->path)], *folder;
	int n;

	if (!*a->path || *a->path == '/')
		return 0;
	strcpy(path, a->path);
	folder = realpath(dirname(path), NULL);
	if (!folder)
		return err_set(e, -errno, "gdb: %s: %s", a->path, strerror(errno));
	n = snprintf(path, sizeof(path), "%s/%s", folder, basename(a->path));
	free(folder);
	if (n >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "gdb: the socket's path is longer than %zu bytes",
			       sizeof(path) - 1);
	strcpy(a->path, path);
	return 0;
}

/* *where stays NULL when no stub is open and none is to be opened. */
static int ask(const struct vm_info *vm, const char *listen, int fd, char **where, struct err *e)
{
	json_t *params = json_pack("{s:s*}", "listen", listen), *result;
	const char *text;
	int rc = control_call_fd(vm->control, "gdb", params, fd, &result, e);

	if (rc)
		return rc;
	text = json_string_value(json_object_get(result, "listen"));
	*where = text ? strdup(text) : NULL;
	if (text && !*where)
		rc = err_set(e, -ENOMEM, "out of memory");
	json_decref(result);
	return rc;
}

static bool is_socket(const char *where, const char *path)
{
	return !strncmp(where, "unix:", 5) && !strcmp(where + 5, path);
}

static int open_stub(const struct vm_info *vm, const struct gdb_address *a, char **where,
		     struct err *e)
{
	char text[GDB_ADDRESS_TEXT];
	int fd, rc = gdb_listen(a, &fd, e);

	if (rc)
		return rc;
	gdb_address_print(a, text);
	rc = ask(vm, text, fd, where, e);
	close(fd);
	/* Another command may have opened it somewhere else just now. */
	if (*a->path && !is_socket(rc ? "" : *where, a->path))
		unlink(a->path);
	return rc;
}

int vm_gdb(struct manager *m, const char *name, const char *listen, char **where, struct err *e)
{
	struct gdb_address a;
	struct vm_info vm;
	int rc = manager_find(m, name, &vm, e);

	*where = NULL;
	if (!rc)
		rc = choose(&vm, listen, &a, e);
	if (!rc)
		rc = make_absolute(&a, e);
	if (!rc)
		rc = ask(&vm, NULL, -1, where, e);
	if (!rc && !*where)
		rc = open_stub(&vm, &a, where, e);
	return rc;
}
