/* SPDX-License-Identifier: Apache-2.0 */
/* The console of a running VM: where it is, and who is joined to it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "manager/folders.h"
#include "manager/vm.h"

static int console_of(const struct vm_info *vm, const char *serial, char out[108], struct err *e)
{
	if (!strncmp(serial, "unix:", 5) && strlen(serial + 5) < SOCKET_SIZE) {
		strcpy(out, serial + 5);
		return 0;
	}
	return err_set(e, -ENOTCONN,
		       "%s has its serial port at %s; start it with --serial unix:PATH", vm->name,
		       serial);
}

int vm_console(struct manager *m, const char *name, char out[108], struct err *e)
{
	struct vm_info vm;
	struct spec s;
	int rc = manager_find(m, name, &vm, e);

	if (rc)
		return rc;
	spec_init(&s);
	rc = manager_load_spec(&vm, &s, e);
	if (!rc)
		rc = console_of(&vm, s.serial, out, e);
	spec_free(&s);
	return rc;
}

int vm_console_lock(struct manager *m, const char *name, int *fd, struct err *e)
{
	char path[PATH_SIZE];
	int rc = vm_file(m, name, "console", path, e);

	if (rc)
		return rc;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (!flock(*fd, LOCK_EX | LOCK_NB))
		return 0;
	close(*fd);
	return err_set(e, -EBUSY, "another terminal is joined to %s; leave it there with Ctrl-]",
		       name);
}
