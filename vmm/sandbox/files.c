/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a running VM still opens, by landlock(7); the kernel's header tells the ABI. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/sandbox.h"

/* Younger than the headers of Debian 12. */
#define TRUNCATE     (1ull << 14) /* ABI 3 */
#define IOCTL_DEV    (1ull << 15) /* ABI 5 */
#define SCOPE_SIGNAL (1ull << 1)  /* ABI 6 */

#define READ      LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE     (LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
#define OF_A_FILE (READ | WRITE)
/* Names that come and go. */
#define REMOVE LANDLOCK_ACCESS_FS_REMOVE_FILE
#define LISTEN (LANDLOCK_ACCESS_FS_MAKE_SOCK | REMOVE)
#define KEEP   (READ | WRITE | REMOVE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_READ_DIR)

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

/*
 * The folder of a file, whose name is the first `len` characters: a reset, for example, takes the
 * kernel of that name which is there then. A link may lead to a file in another folder: that too.
 */
static int allow_part(const struct ruleset *r, const char *file, size_t len, uint64_t rights,
		      struct err *e)
{
	char *path = strndup(file, len), *slash = path ? strrchr(path, '/') : NULL;
	int rc = path ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (!rc && !(rights & ~OF_A_FILE))
		rc = allow(r, path, rights, e);
	if (slash)
		slash[slash == path] = '\0'; /* "/" itself stays */
	if (!rc)
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

/* What a reset reads again. */
static int allow_boot(const struct ruleset *r, const struct spec *s, struct err *e)
{
	const char *files[] = {s->kernel, s->initrd, spec_firmware_is_file(s) ? s->firmware : NULL};
	int rc = allow(r, "/usr/share", READ, e); /* firmware has its packages there */

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !rc; i++)
		rc = files[i] ? allow_folder(r, files[i], READ, e) : 0;
	for (unsigned i = 0; i < s->nmodules && !rc; i++)
		rc = allow_part(r, s->modules[i], strcspn(s->modules[i], " "), READ, e);
	return rc;
}

/*
 * Snapshots of a VM that is kept make overlays beside its disks and merge them again. All other
 * disks are open already.
 */
static int allow_disks(const struct ruleset *r, const struct spec *s, struct err *e)
{
	struct stat st;
	int rc = 0;

	for (unsigned i = 0; i < s->ndisks && s->record && !rc; i++) {
		const struct spec_disk *d = &s->disks[i];

		if (d->path && !d->readonly && !d->cdrom && !stat(d->path, &st) &&
		    S_ISREG(st.st_mode))
			rc = allow_folder(r, d->path, READ | WRITE, e);
	}
	return rc;
}

/* How it ended, saved states, variables; the sockets. */
static int allow_own(const struct ruleset *r, const struct spec *s, const char *description,
		     struct err *e)
{
	const struct {
		const char *file;
		uint64_t rights;
	} own[] = {{strcmp(description, "-") ? description : NULL, KEEP},
		   {s->record, KEEP},
		   {s->nvram, KEEP},
		   {s->control, LISTEN}};
	int rc = 0;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && !rc; i++)
		rc = own[i].file ? allow_folder(r, own[i].file, own[i].rights, e) : 0;
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
		rc = allow_disks(&r, s, e);
	if (!rc)
		rc = allow_boot(&r, s, e);
	if (!rc)
		rc = allow_sockets(&r, s, e);
	if (!rc && syscall(SYS_landlock_restrict_self, r.fd, 0))
		rc = err_set(e, -errno, "Landlock: %s", strerror(errno));
	close(r.fd);
	return rc;
}
