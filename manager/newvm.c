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
#include "vmm/backend/image/chain.h"

#define DISK_NAMES     1000
#define DEFAULT_FORMAT "qcow2"

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

int new_vm_disk_name(const char *folder, const char *format, char path[NEW_DISK_PATH],
		     struct err *e)
{
	static const char *const formats[] = {"raw", "qcow2", "vdi"};

	for (unsigned n = 0; n < DISK_NAMES; n++) {
		unsigned f = 0;

		for (; f < sizeof(formats) / sizeof(formats[0]); f++) {
			snprintf(path, NEW_DISK_PATH, "%s/disk%u.%s", folder, n, formats[f]);
			if (!access(path, F_OK))
				break;
		}
		if (f < sizeof(formats) / sizeof(formats[0]))
			continue;
		snprintf(path, NEW_DISK_PATH, "%s/disk%u.%s", folder, n, format);
		return 0;
	}
	return err_set(e, -EEXIST, "%s: too many disks", folder);
}

static int make_disk(const char *folder, struct spec_disk *d, uint64_t size, struct err *e)
{
	struct image_create c = {.size = size};
	char path[NEW_DISK_PATH];

	if (!d->format)
		d->format = strdup(DEFAULT_FORMAT);
	if (!d->format)
		return err_set(e, -ENOMEM, "out of memory");
	c.format = d->format;
	if (!image_format_find(d->format, e) || new_vm_disk_name(folder, d->format, path, e))
		return e->code;
	if (image_create_file(path, &c, e))
		return err_prefix(e, "%s", path);
	d->path = strdup(path + strlen(folder) + 1);
	return d->path ? 0 : err_set(e, -ENOMEM, "out of memory");
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

/*
 * The format is looked up once, now: what a guest writes to the start of its disk later cannot make
 * it another. A path may be relative to the folder; what cannot be opened now is left open.
 */
static int note_format(const char *folder, struct spec_disk *d, struct err *e)
{
	const struct image_format *f = NULL;
	char path[NEW_DISK_PATH];
	int fd, rc = 0;

	if (!d->path || d->format)
		return 0;
	snprintf(path, sizeof(path), *d->path == '/' ? "%.0s%s" : "%s/%s", folder, d->path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		rc = image_probe(fd, &f, e);
	if (f)
		d->format = strdup(f->name);
	if (fd >= 0)
		close(fd);
	if (rc == -ENOTSUP)
		return err_prefix(e, "disk %s", path);
	/* What cannot be read now is an error of the start. */
	return f && !d->format ? err_set(e, -ENOMEM, "out of memory") : 0;
}

int new_vm_fill(const char *folder, struct spec *s, const uint64_t sizes[SPEC_MAX_DISKS],
		struct err *e)
{
	for (unsigned i = 0; i < s->ndisks; i++)
		if (sizes[i] && make_disk(folder, &s->disks[i], sizes[i], e))
			return e->code;
	for (unsigned i = 0; i < s->ndisks; i++)
		if (note_format(folder, &s->disks[i], e))
			return e->code;
	return make_macs(s, e);
}

int new_vm_commit(struct manager *m, const char *from, const char *to, struct err *e)
{
	if (rename(from, to))
		return err_set(e, -errno, "%s: %s", to, strerror(errno));
	return file_sync_folder(m->vms, e);
}
