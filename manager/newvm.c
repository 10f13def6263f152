/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/newvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"

#define DISK_NAMES 1000

int new_vm_check_name(struct manager *m, const char *name, struct err *e)
{
	struct holder h;

	if (!spec_name_ok(name))
		return err_set(e, -EINVAL,
			       "\"%.80s\" does not do as a name; take up to 63 letters, digits, "
			       "dots, dashes and underscores, a letter or digit first",
			       name);
	if (vm_is_defined(m, name))
		return err_set(e, -EEXIST, "a VM named \"%s\" exists; take another name", name);
	holder_find(m, name, &h);
	if (h.pid)
		return err_set(e, -EEXIST, "a VM named \"%s\" is running; take another name", name);
	return 0;
}

static int make_disk(const char *path, uint64_t size, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (ftruncate(fd, (off_t)size) || fsync(fd)) {
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
		unlink(path);
	}
	close(fd);
	return rc;
}

/* The first of disk0, disk1, ... that is free in the folder. */
static int make_next_disk(const char *folder, struct spec_disk *d, uint64_t size, struct err *e)
{
	const char *format = d->format ? d->format : "raw";
	char path[PATH_SIZE + 32];

	for (unsigned n = 0; n < DISK_NAMES; n++) {
		int start = snprintf(path, sizeof(path), "%s/", folder), rc;

		snprintf(path + start, sizeof(path) - (size_t)start, "disk%u.%s", n, format);
		rc = make_disk(path, size, e);
		if (rc == -EEXIST)
			continue;
		if (rc)
			return rc;
		d->path = strdup(path + start);
		return d->path ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	return err_set(e, -EEXIST, "%s: too many disks", folder);
}

int new_vm_mac(struct spec_net *n, struct err *e)
{
	if (getrandom(n->mac + 3, 3, 0) != 3)
		return err_set(e, -errno, "random numbers: %s", strerror(errno));
	return 0;
}

/* Addresses of its own, so that two VMs can meet on one network. */
static int make_macs(struct spec *s, struct err *e)
{
	for (unsigned i = 0; i < s->nnets; i++) {
		uint8_t standard[6];

		spec_default_mac(standard, i);
		if (!memcmp(s->nets[i].mac, standard, sizeof(standard)) &&
		    new_vm_mac(&s->nets[i], e))
			return e->code;
	}
	return 0;
}

int new_vm_fill(const char *folder, struct spec *s, const uint64_t sizes[SPEC_MAX_DISKS],
		struct err *e)
{
	for (unsigned i = 0; i < s->ndisks; i++)
		if (sizes[i] && make_next_disk(folder, &s->disks[i], sizes[i], e))
			return e->code;
	return make_macs(s, e);
}

int new_vm_commit(struct manager *m, const char *from, const char *to, struct err *e)
{
	if (rename(from, to))
		return err_set(e, -errno, "%s: %s", to, strerror(errno));
	return file_sync_folder(m->vms, e);
}
