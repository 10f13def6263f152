/* SPDX-License-Identifier: Apache-2.0 */
/* Machine descriptions as JSON text. */
#include <jansson.h>
#include <stdio.h>

#include "vmm/spec.h"

/* JSON holds UTF-8 only: *ok becomes false for other bytes, which a file's name may have. */
static json_t *strings(char *const *text, unsigned n, bool *ok)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < n; i++)
		*ok &= !json_array_append_new(a, json_string(text[i]));
	return a;
}

/* Adds nothing for what is not there. */
static void set_string(json_t *o, const char *key, const char *text, bool *ok)
{
	if (text)
		*ok &= !json_object_set_new(o, key, json_string(text));
}

static void set_bootindex(json_t *o, unsigned index)
{
	if (index)
		json_object_set_new(o, "bootindex", json_integer(index));
}

static json_t *print_boot(const struct spec *s, bool *ok)
{
	json_t *o = json_object();

	set_string(o, "kernel", s->kernel, ok);
	set_string(o, "initrd", s->initrd, ok);
	set_string(o, "append", s->append, ok);
	set_string(o, "firmware", s->firmware, ok);
	set_string(o, "nvram", s->nvram, ok);
	set_string(o, "order", s->boot_order, ok);
	if (s->boot_menu)
		json_object_set_new(o, "menu", json_true());
	if (s->nmodules)
		json_object_set_new(o, "modules", strings(s->modules, s->nmodules, ok));
	return o;
}

static void set_unless_zero(json_t *o, const char *key, int64_t n)
{
	if (n)
		json_object_set_new(o, key, json_integer(n));
}

static void print_disk_file(json_t *o, const struct spec_disk *d, bool *ok)
{
	set_string(o, "path", d->path, ok);
	set_string(o, "format", d->format, ok);
	json_object_set_new(o, "readonly", json_boolean(d->readonly));
	set_string(o, "cache", d->cache, ok);
	set_string(o, "allow_backing", d->allow_backing, ok);
	if (d->detect_zeroes)
		json_object_set_new(o, "detect_zeroes", json_true());
	set_unless_zero(o, "bps", d->bps);
	set_unless_zero(o, "iops", d->iops);
	set_unless_zero(o, "burst", d->burst);
}

static json_t *print_disks(const struct spec *s, bool *ok)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < s->ndisks; i++) {
		json_t *o = json_object();

		print_disk_file(o, &s->disks[i], ok);
		if (s->disks[i].cdrom)
			set_string(o, "media", "cdrom", ok);
		set_string(o, "bus", s->disks[i].bus, ok);
		set_bootindex(o, s->disks[i].bootindex);
		json_array_append_new(a, o);
	}
	return a;
}

static json_t *print_net(const struct spec_net *n, bool *ok)
{
	json_t *o = json_object();
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1], n->mac[2],
		 n->mac[3], n->mac[4], n->mac[5]);
	set_string(o, "type", n->type, ok);
	set_string(o, "name", n->name, ok);
	set_string(o, "model", n->model, ok);
	set_bootindex(o, n->bootindex);
	set_string(o, "mac", mac, ok);
	json_object_set_new(o, "forwards", strings(n->forwards, n->nforwards, ok));
	if (n->fd >= 0)
		json_object_set_new(o, "fd", json_integer(n->fd));
	return o;
}

static json_t *print_nets(const struct spec *s, bool *ok)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < s->nnets; i++)
		json_array_append_new(a, print_net(&s->nets[i], ok));
	return a;
}

static json_t *print_devices(const struct spec *s, bool *ok)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < s->ndevices; i++) {
		const struct spec_device *d = &s->devices[i];
		json_t *o = json_object();

		set_string(o, "name", d->name, ok);
		for (unsigned p = 0; p < d->nprops; p++)
			set_string(o, d->key[p], d->value[p], ok);
		json_array_append_new(a, o);
	}
	return a;
}

json_t *spec_to_json(const struct spec *s)
{
	json_t *o = json_object();
	bool ok = true;

	json_object_set_new(o, "version", json_integer(1));
	set_string(o, "name", s->name, &ok);
	set_string(o, "uuid", s->uuid, &ok);
	json_object_set_new(o, "memory", json_integer((json_int_t)s->memory));
	json_object_set_new(o, "cpus", json_integer(s->cpus));
	if (s->cpu_shares != SPEC_SHARES)
		json_object_set_new(o, "cpu_shares", json_integer(s->cpu_shares));
	if (s->cpu_cap)
		json_object_set_new(o, "cpu_cap", json_integer(s->cpu_cap));
	set_string(o, "engine", s->engine, &ok);
	set_string(o, "cpu_model", s->cpu_model, &ok);
	json_object_set_new(o, "boot", print_boot(s, &ok));
	set_string(o, "serial", s->serial, &ok);
	set_string(o, "display", s->display, &ok);
	set_string(o, "video_bios", s->video_bios, &ok);
	json_object_set_new(o, "disks", print_disks(s, &ok));
	json_object_set_new(o, "nets", print_nets(s, &ok));
	json_object_set_new(o, "devices", print_devices(s, &ok));
	json_object_set_new(o, "reboot", json_boolean(s->reboot));
	set_string(o, "trace", s->trace, &ok);
	set_string(o, "control", s->control, &ok);
	set_string(o, "record", s->record, &ok);
	set_string(o, "pool", s->pool, &ok);
	set_string(o, "restore", s->restore, &ok);
	set_string(o, "sandbox", s->sandbox, &ok);
	set_string(o, "gdb", s->gdb, &ok);
	json_object_set_new(o, "restore_once", json_boolean(s->restore_once));
	if (ok)
		return o;
	json_decref(o);
	return NULL;
}

char *spec_print(const struct spec *s)
{
	json_t *o = spec_to_json(s);
	char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;

	json_decref(o);
	return text;
}
