/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a running VM still opens, by landlock(7); the kernel's header tells the ABI. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/sandbox.h"

/* Younger than the headers of Debian 12. */
#define TRUNCATE     (1ull << 14) /* ABI 3 */
#define IOCTL_DEV    (1ull << 15) /* ABI 5 */
#define SCOPE_SIGNAL (1ull << 1)  /* ABI 6 */

#define WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
/* Of its sockets at the end. It makes none: those of other VMs lie beside them. */
#define REMOVE LANDLOCK_ACCESS_FS_REMOVE_FILE
/* Replaces a file in a folder whose other files are not its own: it reads none. */
#define REPLACE (WRITE | REMOVE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_READ_DIR)
#define KEEP    (REPLACE | LANDLOCK_ACCESS_FS_READ_FILE)

/* Everything up to and with that bit. */
#define ALL(last) (2 * (last)-1)

/* struct landlock_ruleset_attr of ABI 6. */
struct ruleset_attr {
	uint64_t files, net, scoped;
};

struct ruleset {
	int fd;
	uint64_t handled;
};

/* What a kernel of this ABI knows of. */
static uint64_t rights_of(long abi)
{
	if (abi >= 5)
		return ALL(IOCTL_DEV);
	if (abi >= 3)
		return ALL(TRUNCATE);
	return ALL(abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : LANDLOCK_ACCESS_FS_MAKE_SYM);
}

static int create(struct ruleset *r, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset_attr a = {.files = rights_of(abi), .scoped = SCOPE_SIGNAL};

	if (abi < 0)
		return err_set(e, -EOPNOTSUPP, "Landlock (%s)", strerror(errno));
	r->handled = a.files;
	r->fd = (int)syscall(SYS_landlock_create_ruleset, &a,
			     abi >= 6 ? sizeof(a) : sizeof(a.files), 0);
	return r->fd < 0 ? err_set(e, -errno, "Landlock: %s", strerror(errno)) : 0;
}

/* What is not there cannot be opened either. */
static int allow(const struct ruleset *r, const char *path, uint64_t rights, struct err *e)
{
	struct landlock_path_beneath_attr a = {.allowed_access = rights & r->handled};
	int rc = 0;

	a.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (a.parent_fd < 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, r->fd, LANDLOCK_RULE_PATH_BENEATH, &a, 0))
		rc = err_set(e, -errno, "Landlock: %s: %s", path, strerror(errno));
	close(a.parent_fd);
	return rc;
}

/* The folder of a file, whose name is the first `len` characters. */
static int allow_part(const struct ruleset *r, const char *file, size_t len, uint64_t rights,
		      struct err *e)
{
	char *path = strndup(file, len), *slash = path ? strrchr(path, '/') : NULL;
	int rc;

	if (!path)
		return err_set(e, -ENOMEM, "out of memory");
	if (slash)
		slash[slash == path] = '\0'; /* "/" itself stays */
	rc = allow(r, slash ? path : ".", rights, e);
	free(path);
	return rc;
}

static int allow_folder(const struct ruleset *r, const char *file, uint64_t rights, struct err *e)
{
	return allow_part(r, file, strlen(file), rights, e);
}

/* "...unix:PATH,...": the socket's file is removed at the end. */
static int allow_socket(const struct ruleset *r, const char *text, struct err *e)
{
	const char *path = text ? strstr(text, "unix:") : NULL;

	if (!path)
		return 0;
	path += strlen("unix:");
	return allow_part(r, path, strcspn(path, ","), REMOVE, e);
}

static int allow_sockets(const struct ruleset *r, const struct spec *s, struct err *e)
{
	int rc = allow_socket(r, s->serial, e);

	if (!rc)
		rc = allow_socket(r, s->display, e);
	if (!rc)
		rc = allow_socket(r, s->gdb, e);
	for (unsigned i = 0; i < s->ndevices && !rc; i++)
		for (unsigned p = 0; p < s->devices[i].nprops && !rc; p++)
			rc = allow_socket(r, s->devices[i].value[p], e);
	return rc;
}

/* How it ended, saved states; the sockets. */
static int allow_own(const struct ruleset *r, const struct spec *s, const char *description,
		     struct err *e)
{
	const struct {
		const char *file;
		uint64_t rights;
	} own[] = {{strcmp(description, "-") ? description : NULL, KEEP},
		   {s->record, KEEP},
		   {s->control, REMOVE}};
	int rc = 0;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && !rc; i++)
		rc = own[i].file ? allow_folder(r, own[i].file, own[i].rights, e) : 0;
	return rc;
}

/*
 * Sixteen layers of rules at most lie upon each other (E2BIG): what started us may have used them
 * up, and then this host has no more to give. Everything else is a failure.
 */
static int restrict_self(const struct ruleset *r, struct err *e)
{
	if (!syscall(SYS_landlock_restrict_self, r->fd, 0))
		return 0;
	return err_set(e, errno == E2BIG ? -EOPNOTSUPP : -errno, "Landlock (%s)", strerror(errno));
}

/* They lie where a link leads (vmm/backend/nvram.h). */
static int allow_variables(const struct ruleset *r, const struct spec *s, struct err *e)
{
	char *path = s->nvram ? realpath(s->nvram, NULL) : NULL;
	int rc = path ? allow_folder(r, path, REPLACE, e) : 0;

	free(path);
	return rc;
}

int sandbox_files(const struct spec *s, const char *description, struct err *e)
{
	struct ruleset r;
	int rc = create(&r, e);

	if (rc)
		return rc;
	rc = allow_own(&r, s, description, e);
	if (!rc)
		rc = allow_variables(&r, s, e);
	if (!rc)
		rc = allow_sockets(&r, s, e);
	if (!rc)
		rc = restrict_self(&r, e);
	close(r.fd);
	return rc;
}
