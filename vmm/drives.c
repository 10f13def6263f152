/* SPDX-License-Identifier: Apache-2.0 */
/* Drives: see drives.h. */
#include "vmm/drives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/disk.h"
#include "vmm/control/control.h"
#include "vmm/device/ahci/ahci.h"
#include "vmm/device/virtio/models.h"
#include "vmm/diskfull.h"
#include "vmm/firmwarefiles.h"
#include "vmm/snapshot/methods.h"

static bool is_on(const struct spec_disk *s, const char *bus)
{
	const char *own = s->bus ? s->bus : s->cdrom ? "ahci" : "virtio";

	return !strcmp(own, bus);
}

static const char *class_of(const struct spec_disk *s)
{
	return s->cdrom ? "cdrom" : "disk";
}

static int open_image(struct machine *m, unsigned i, struct err *e)
{
	const struct spec_disk *s = &m->spec->disks[i];
	const char *folders[] = {m->spec->pool ? m->spec->pool : s->allow_backing,
				 s->allow_backing};
	const struct disk_options o = {
		.path = s->path,
		.format = s->format,
		.readonly = s->readonly || s->cdrom,
		.direct = s->cache && !strcmp(s->cache, "none"),
		.detect_zeroes = s->detect_zeroes,
		.bps = (uint64_t)s->bps,
		.iops = (uint64_t)s->iops,
		.burst = (uint64_t)s->burst,
		.backing_folders = folders,
		.nbacking_folders = folders[0] ? 1u + (m->spec->pool && s->allow_backing) : 0,
	};

	if (!s->path)
		return 0;
	if (disk_open(&o, m->loop, &m->drive[i].disk, e))
		return err_prefix(e, "disk %s", s->path);
	m->drive[i].disk->full = machine_disk_full;
	m->drive[i].disk->full_opaque = m;
	m->drive[i].path = strdup(s->path);
	return m->drive[i].path ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* One device for each disk. */
static int add_single(struct machine *m, unsigned i, const char *model, struct err *e)
{
	struct device_conf conf = {.name = model, .backend = m->drive[i].disk};

	if (machine_add_device(m, &conf, &m->drive[i].device, e))
		return e->code;
	return machine_note_bootable(m, m->drive[i].device, 0, "disk", m->spec->disks[i].bootindex,
				     e);
}

/* All that are on ahci share one controller. */
static int add_ahci(struct machine *m, struct err *e)
{
	struct ahci_setup setup = {0};
	struct device_conf conf = {.name = "ahci", .backend = &setup};
	struct device *ahci;
	unsigned port = 0;

	for (unsigned i = 0; i < m->spec->ndisks; i++) {
		const struct spec_disk *s = &m->spec->disks[i];

		if (!is_on(s, "ahci"))
			continue;
		m->drive[i].unit = port;
		setup.drive[port++] = (struct ahci_drive){true, s->cdrom, m->drive[i].disk};
	}
	if (!port)
		return 0;
	if (machine_add_device(m, &conf, &ahci, e))
		return e->code;
	for (unsigned i = 0; i < m->spec->ndisks; i++) {
		const struct spec_disk *s = &m->spec->disks[i];

		if (!is_on(s, "ahci"))
			continue;
		m->drive[i].device = ahci;
		if (machine_note_bootable(m, ahci, m->drive[i].unit, class_of(s), s->bootindex, e))
			return e->code;
	}
	return 0;
}

int machine_add_drives(struct machine *m, struct err *e)
{
	static const struct {
		const char *bus, *model;
	} single[] = {{"virtio", "virtio-blk"}, {"nvme", "nvme"}};

	for (unsigned i = 0; i < m->spec->ndisks; i++) {
		if (open_image(m, i, e))
			return e->code;
		for (unsigned b = 0; b < sizeof(single) / sizeof(single[0]); b++)
			if (is_on(&m->spec->disks[i], single[b].bus) &&
			    add_single(m, i, single[b].model, e))
				return e->code;
	}
	return add_ahci(m, e);
}

void machine_close_drives(struct machine *m)
{
	machine_disk_full_end(m);
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++) {
		disk_close(m->drive[i].disk);
		free(m->drive[i].path);
	}
}

/* ---- discs --------------------------------------------------------------------------------------
 */

static bool is_cdrom(const struct machine *m, unsigned i)
{
	return i < m->spec->ndisks && m->spec->disks[i].cdrom;
}

/* The CD-ROM drive number `wanted`, counted from 0, as an index into m->drive. */
static int find_cdrom(const struct machine *m, const json_t *params, unsigned *index, struct err *e)
{
	json_int_t wanted = json_integer_value(json_object_get(params, "drive")), n = 0;

	for (unsigned i = 0; i < m->spec->ndisks; i++) {
		if (is_cdrom(m, i) && n++ == wanted) {
			*index = i;
			return 0;
		}
	}
	return err_set(e, -ENODEV,
		       n ? "there is no CD-ROM drive %lld; the VM has %lld, counted from 0"
			 : "the VM has no CD-ROM drive; start it with --cdrom FILE or --cdrom none",
		       (long long)wanted, (long long)n);
}

static int change_disc(struct machine *m, unsigned i, struct disk *disc, const char *path,
		       bool force, struct err *e)
{
	char *copy = path ? strdup(path) : NULL;
	int rc = path && !copy ? err_set(e, -ENOMEM, "out of memory") : 0;

	if (!rc)
		rc = ahci_change_disc(m->drive[i].device, m->drive[i].unit, disc, force, e);
	if (rc) {
		free(copy);
		return rc;
	}
	disk_close(m->drive[i].disk);
	free(m->drive[i].path);
	m->drive[i].disk = disc;
	m->drive[i].path = copy;
	return 0;
}

static bool forced(const json_t *params)
{
	return json_is_true(json_object_get(params, "force"));
}

static int cdrom_insert(void *opaque, const json_t *params, struct control_call *call,
			json_t **result, struct err *e)
{
	struct machine *m = opaque;
	const char *path = json_string_value(json_object_get(params, "path"));
	struct disk_options o = {.path = path, .format = "raw", .readonly = true};
	struct disk *disc;
	unsigned i;
	int fd;

	(void)result;
	if (find_cdrom(m, params, &i, e))
		return e->code;
	fd = control_take_fd(call);
	o.given = fd >= 0 ? &fd : NULL;
	if (disk_open(&o, m->loop, &disc, e))
		return err_prefix(e, "disc %s", path);
	if (change_disc(m, i, disc, path, forced(params), e)) {
		disk_close(disc);
		return e->code;
	}
	return 0;
}

static int cdrom_eject(void *opaque, const json_t *params, struct control_call *call,
		       json_t **result, struct err *e)
{
	struct machine *m = opaque;
	unsigned i;

	(void)call, (void)result;
	if (find_cdrom(m, params, &i, e))
		return e->code;
	return change_disc(m, i, NULL, NULL, forced(params), e);
}

static int cdroms(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		  struct err *e)
{
	const struct machine *m = opaque;
	json_t *list = json_array();

	(void)params, (void)call, (void)e;
	for (unsigned i = 0; i < m->spec->ndisks; i++)
		if (is_cdrom(m, i))
			json_array_append_new(list, json_pack("{s:s?}", "path", m->drive[i].path));
	*result = json_pack("{s:o}", "drives", list);
	return 0;
}

/* ---- disks that grow ------------------------------------------------------------------------- */

static int check_growing(const struct machine *m, json_int_t i, struct err *e)
{
	if (i >= m->spec->ndisks || !m->drive[i].disk || is_cdrom(m, (unsigned)i))
		return err_set(e, -ENODEV, "disk %lld: there is no such disk", (long long)i);
	if (m->drive[i].device->ops != &virtio_blk_ops)
		return err_set(
			e, -ENOTSUP,
			"disk %lld is on %s, which cannot tell the guest of a new size; stop "
			"the virtual machine first",
			(long long)i, m->drive[i].device->ops->name);
	if (machine_doing(m))
		return err_set(e, -EBUSY, "%s is under way", machine_doing(m));
	return 0;
}

static int grow(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e)
{
	struct machine *m = opaque;
	json_int_t i = json_integer_value(json_object_get(params, "disk"));
	uint64_t size = (uint64_t)json_integer_value(json_object_get(params, "size"));

	(void)call, (void)result;
	if (check_growing(m, i, e) || disk_grow(m->drive[i].disk, size, e))
		return e->code;
	virtio_blk_grown(m->drive[i].device);
	return 0;
}

const struct control_method drive_methods[] = {
	{"disk_grow", grow, {{"disk", CONTROL_UINT, true}, {"size", CONTROL_UINT, true}, {0}}},
	{"cdroms", cdroms, {{0}}},
	{"cdrom_insert",
	 cdrom_insert,
	 {{"path", CONTROL_STRING, true},
	  {"drive", CONTROL_UINT, false},
	  {"force", CONTROL_BOOL, false},
	  {0}}},
	{"cdrom_eject",
	 cdrom_eject,
	 {{"drive", CONTROL_UINT, false}, {"force", CONTROL_BOOL, false}, {0}}},
	{NULL, NULL, {{0}}},
};
