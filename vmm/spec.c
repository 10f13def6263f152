/* SPDX-License-Identifier: Apache-2.0 */
/* Machine descriptions: reads and prints the JSON form. What the values mean is in speccheck.c. */
#include "vmm/spec.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

void spec_init(struct spec *s)
{
	memset(s, 0, sizeof(*s));
	s->memory = 512 * MIB;
	s->cpus = 1;
	s->cpu_shares = SPEC_SHARES;
	s->engine = strdup("auto");
	s->cpu_model = strdup("baseline");
	s->serial = strdup("stdio");
	s->reboot = true;
}

static void free_disk(struct spec_disk *d)
{
	free(d->path);
	free(d->format);
	free(d->bus);
	free(d->cache);
	free(d->allow_backing);
}

static void free_net(struct spec_net *n)
{
	free(n->type);
	free(n->name);
	free(n->model);
	for (unsigned i = 0; i < n->nforwards; i++)
		free(n->forwards[i]);
}

static void free_device(struct spec_device *d)
{
	free(d->name);
	for (unsigned i = 0; i < d->nprops; i++) {
		free(d->key[i]);
		free(d->value[i]);
	}
}

void spec_free(struct spec *s)
{
	char *single[] = {s->name,    s->uuid,   s->engine,     s->cpu_model,  s->kernel,
			  s->initrd,  s->append, s->firmware,   s->serial,     s->trace,
			  s->control, s->record, s->display,    s->video_bios, s->restore,
			  s->gdb,     s->nvram,  s->boot_order, s->pool,       s->sandbox};

	for (unsigned i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		free(single[i]);
	for (unsigned i = 0; i < s->nmodules; i++)
		free(s->modules[i]);
	for (unsigned i = 0; i < s->ndisks; i++)
		free_disk(&s->disks[i]);
	for (unsigned i = 0; i < s->nnets; i++)
		free_net(&s->nets[i]);
	for (unsigned i = 0; i < s->ndevices; i++)
		free_device(&s->devices[i]);
	memset(s, 0, sizeof(*s));
}

/* Closes the gap of element i in a list of *n elements of `size` bytes. */
static void close_gap(void *list, size_t size, unsigned i, unsigned *n)
{
	char *gap = (char *)list + i * size;

	--*n;
	memmove(gap, gap + size, (*n - i) * size);
	memset((char *)list + *n * size, 0, size);
}

void spec_remove_disk(struct spec *s, unsigned i)
{
	free_disk(&s->disks[i]);
	close_gap(s->disks, sizeof(s->disks[0]), i, &s->ndisks);
}

void spec_remove_net(struct spec *s, unsigned i)
{
	free_net(&s->nets[i]);
	close_gap(s->nets, sizeof(s->nets[0]), i, &s->nnets);
}

void spec_remove_device(struct spec *s, unsigned i)
{
	free_device(&s->devices[i]);
	close_gap(s->devices, sizeof(s->devices[0]), i, &s->ndevices);
}

void spec_default_mac(uint8_t mac[6], unsigned index)
{
	const uint8_t base[6] = {0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + index)};

	memcpy(mac, base, sizeof(base));
}

/* ---- parsing: tables of keys ---------------------------------------------------------------- */

/* One value on its way in: where it stands in the file, for messages. */
struct value {
	const json_t *json;
	const char *path; /* "disks[1].path" */
	struct err *e;
};

typedef int value_fn(const struct value *v, void *to);

struct key {
	const char *name;
	value_fn *parse;
	size_t offset; /* of the field in the struct that the table is for */
};

static int wrong_type(const struct value *v, const char *wanted)
{
	return err_set(v->e, -EINVAL, "%s: must be %s", v->path, wanted);
}

static int parse_object(const struct value *v, const struct key *keys, void *to)
{
	const char *name;
	json_t *child;

	if (!json_is_object(v->json))
		return err_set(v->e, -EINVAL, "%s: must be an object",
			       *v->path ? v->path : "the description");
	json_object_foreach((json_t *)v->json, name, child)
	{
		const struct key *k = keys;
		char path[160];
		int rc;

		snprintf(path, sizeof(path), "%s%s%.64s", v->path, *v->path ? "." : "", name);
		while (k->name && strcmp(k->name, name))
			k++;
		if (!k->name)
			return err_set(v->e, -EINVAL, "%s: unknown key", path);
		rc = k->parse(&(struct value){child, path, v->e}, (char *)to + k->offset);
		if (rc)
			return rc;
	}
	return 0;
}

/* Calls `parse` for each element with to + i * size; *count goes along, so that frees work. */
static int parse_array(const struct value *v, unsigned max, value_fn *parse, void *to, size_t size,
		       unsigned *count)
{
	size_t i;
	json_t *child;

	if (!json_is_array(v->json))
		return wrong_type(v, "an array");
	if (json_array_size(v->json) > max)
		return err_set(v->e, -E2BIG, "%s: more than %u entries", v->path, max);
	json_array_foreach(v->json, i, child)
	{
		char path[96];
		int rc;

		snprintf(path, sizeof(path), "%.64s[%zu]", v->path, i);
		*count = (unsigned)i + 1;
		rc = parse(&(struct value){child, path, v->e}, (char *)to + i * size);
		if (rc)
			return rc;
	}
	return 0;
}

static int parse_string(const struct value *v, void *to)
{
	char **field = to;

	if (!json_is_string(v->json))
		return wrong_type(v, "a string");
	free(*field);
	*field = strdup(json_string_value(v->json));
	return *field ? 0 : err_set(v->e, -ENOMEM, "%s: out of memory", v->path);
}

static int parse_bool(const struct value *v, void *to)
{
	if (!json_is_boolean(v->json))
		return wrong_type(v, "true or false");
	*(bool *)to = json_is_true(v->json);
	return 0;
}

static int parse_number(const struct value *v, int64_t max, int64_t *out)
{
	if (!json_is_integer(v->json))
		return wrong_type(v, "a whole number");
	*out = json_integer_value(v->json);
	if (*out < 0 || *out > max)
		return err_set(v->e, -ERANGE, "%s: must be from 0 to %lld", v->path,
			       (long long)max);
	return 0;
}

static int parse_unsigned(const struct value *v, void *to)
{
	int64_t n = 0;
	int rc = parse_number(v, 1 << 30, &n);

	if (!rc)
		*(unsigned *)to = (unsigned)n;
	return rc;
}

static int parse_fd(const struct value *v, void *to)
{
	int64_t n = 0;
	int rc = parse_number(v, 1 << 20, &n);

	if (!rc)
		*(int *)to = (int)n;
	return rc;
}

/* Bytes, or a text such as "512M". */
static int parse_size(const struct value *v, void *to)
{
	int64_t n = 0;
	int rc;

	if (json_is_string(v->json)) {
		rc = num_parse_size(json_string_value(v->json), 1, to, v->e);
		return rc ? err_prefix(v->e, "%s", v->path) : 0;
	}
	rc = parse_number(v, INT64_MAX, &n);
	if (!rc)
		*(uint64_t *)to = (uint64_t)n;
	return rc;
}

static int parse_version(const struct value *v, void *to)
{
	(void)to;
	if (json_integer_value(v->json) != 1)
		return err_set(v->e, -EINVAL, "%s: must be 1, the one that this Baton reads",
			       v->path);
	return 0;
}

static int parse_mac(const struct value *v, void *to)
{
	uint8_t *mac = to;
	const char *text = json_string_value(v->json);
	int used = 0;

	if (!text ||
	    sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &used) != 6 ||
	    used != 17 || text[used])
		return wrong_type(v, "an Ethernet address such as \"52:54:00:12:34:56\"");
	return 0;
}

/* ---- the parts of a description ------------------------------------------------------------- */

static int parse_modules(const struct value *v, void *to)
{
	struct spec *s = to;

	return parse_array(v, SPEC_MAX_MODULES, parse_string, s->modules, sizeof(s->modules[0]),
			   &s->nmodules);
}

static const struct key boot_keys[] = {
	{"kernel", parse_string, offsetof(struct spec, kernel)},
	{"initrd", parse_string, offsetof(struct spec, initrd)},
	{"append", parse_string, offsetof(struct spec, append)},
	{"firmware", parse_string, offsetof(struct spec, firmware)},
	{"nvram", parse_string, offsetof(struct spec, nvram)},
	{"order", parse_string, offsetof(struct spec, boot_order)},
	{"menu", parse_bool, offsetof(struct spec, boot_menu)},
	{"modules", parse_modules, 0},
	{NULL, NULL, 0},
};

static int parse_boot(const struct value *v, void *to)
{
	return parse_object(v, boot_keys, to);
}

static int parse_int64(const struct value *v, void *to)
{
	return parse_number(v, INT64_MAX, to);
}

static int parse_media(const struct value *v, void *to)
{
	const char *text = json_string_value(v->json);

	if (!text || (strcmp(text, "disk") && strcmp(text, "cdrom")))
		return wrong_type(v, "\"disk\" or \"cdrom\"");
	*(bool *)to = !strcmp(text, "cdrom");
	return 0;
}

static const struct key disk_keys[] = {
	{"path", parse_string, offsetof(struct spec_disk, path)},
	{"format", parse_string, offsetof(struct spec_disk, format)},
	{"readonly", parse_bool, offsetof(struct spec_disk, readonly)},
	{"media", parse_media, offsetof(struct spec_disk, cdrom)},
	{"bus", parse_string, offsetof(struct spec_disk, bus)},
	{"bootindex", parse_unsigned, offsetof(struct spec_disk, bootindex)},
	{"cache", parse_string, offsetof(struct spec_disk, cache)},
	{"allow_backing", parse_string, offsetof(struct spec_disk, allow_backing)},
	{"detect_zeroes", parse_bool, offsetof(struct spec_disk, detect_zeroes)},
	{"bps", parse_int64, offsetof(struct spec_disk, bps)},
	{"iops", parse_int64, offsetof(struct spec_disk, iops)},
	{"burst", parse_int64, offsetof(struct spec_disk, burst)},
	{NULL, NULL, 0},
};

static int parse_disk(const struct value *v, void *to)
{
	return parse_object(v, disk_keys, to);
}

static int parse_disks(const struct value *v, void *to)
{
	struct spec *s = to;

	return parse_array(v, SPEC_MAX_DISKS, parse_disk, s->disks, sizeof(s->disks[0]),
			   &s->ndisks);
}

static int parse_forwards(const struct value *v, void *to)
{
	struct spec_net *n = to;

	return parse_array(v, SPEC_MAX_FORWARDS, parse_string, n->forwards, sizeof(n->forwards[0]),
			   &n->nforwards);
}

static const struct key net_keys[] = {
	{"type", parse_string, offsetof(struct spec_net, type)},
	{"name", parse_string, offsetof(struct spec_net, name)},
	{"model", parse_string, offsetof(struct spec_net, model)},
	{"bootindex", parse_unsigned, offsetof(struct spec_net, bootindex)},
	{"mac", parse_mac, offsetof(struct spec_net, mac)},
	{"forwards", parse_forwards, 0},
	{"fd", parse_fd, offsetof(struct spec_net, fd)},
	{NULL, NULL, 0},
};

static int parse_net(const struct value *v, void *to)
{
	struct spec_net *n = to;

	n->fd = n->hold = -1;
	return parse_object(v, net_keys, n);
}

static int parse_nets(const struct value *v, void *to)
{
	struct spec *s = to;

	for (unsigned i = 0; i < SPEC_MAX_NETS; i++)
		spec_default_mac(s->nets[i].mac, i);
	return parse_array(v, SPEC_MAX_NETS, parse_net, s->nets, sizeof(s->nets[0]), &s->nnets);
}

static int add_prop(const struct value *v, struct spec_device *d, const char *key,
		    const json_t *value)
{
	char *text = NULL;

	if (d->nprops == DEVICE_MAX_PROPS)
		return err_set(v->e, -E2BIG, "%s: more than %d settings", v->path,
			       DEVICE_MAX_PROPS);
	if (json_is_string(value))
		text = strdup(json_string_value(value));
	else if (!json_is_integer(value))
		return err_set(v->e, -EINVAL, "%s.%.64s: must be a string or a whole number",
			       v->path, key);
	else if (asprintf(&text, "%lld", (long long)json_integer_value(value)) < 0)
		text = NULL;
	d->key[d->nprops] = strdup(key);
	d->value[d->nprops++] = text;
	return text && d->key[d->nprops - 1] ? 0
					     : err_set(v->e, -ENOMEM, "%s: out of memory", v->path);
}

/* Every key but the name is a setting, which the device checks itself. */
static int parse_device(const struct value *v, void *to)
{
	struct spec_device *d = to;
	const char *key;
	json_t *child;

	if (!json_is_object(v->json))
		return wrong_type(v, "an object");
	json_object_foreach((json_t *)v->json, key, child)
	{
		char path[160];
		int rc;

		snprintf(path, sizeof(path), "%s.%.64s", v->path, key);
		rc = strcmp(key, "name")
			     ? add_prop(v, d, key, child)
			     : parse_string(&(struct value){child, path, v->e}, &d->name);
		if (rc)
			return rc;
	}
	return 0;
}

static int parse_devices(const struct value *v, void *to)
{
	struct spec *s = to;

	return parse_array(v, SPEC_MAX_DEVICES, parse_device, s->devices, sizeof(s->devices[0]),
			   &s->ndevices);
}

static const struct key spec_keys[] = {
	{"version", parse_version, 0},
	{"name", parse_string, offsetof(struct spec, name)},
	{"uuid", parse_string, offsetof(struct spec, uuid)},
	{"memory", parse_size, offsetof(struct spec, memory)},
	{"cpus", parse_unsigned, offsetof(struct spec, cpus)},
	{"cpu_shares", parse_unsigned, offsetof(struct spec, cpu_shares)},
	{"cpu_cap", parse_unsigned, offsetof(struct spec, cpu_cap)},
	{"engine", parse_string, offsetof(struct spec, engine)},
	{"cpu_model", parse_string, offsetof(struct spec, cpu_model)},
	{"boot", parse_boot, 0},
	{"serial", parse_string, offsetof(struct spec, serial)},
	{"display", parse_string, offsetof(struct spec, display)},
	{"video_bios", parse_string, offsetof(struct spec, video_bios)},
	{"disks", parse_disks, 0},
	{"nets", parse_nets, 0},
	{"devices", parse_devices, 0},
	{"reboot", parse_bool, offsetof(struct spec, reboot)},
	{"trace", parse_string, offsetof(struct spec, trace)},
	{"control", parse_string, offsetof(struct spec, control)},
	{"record", parse_string, offsetof(struct spec, record)},
	{"pool", parse_string, offsetof(struct spec, pool)},
	{"restore", parse_string, offsetof(struct spec, restore)},
	{"sandbox", parse_string, offsetof(struct spec, sandbox)},
	{"gdb", parse_string, offsetof(struct spec, gdb)},
	{"restore_once", parse_bool, offsetof(struct spec, restore_once)},
	{NULL, NULL, 0},
};

int spec_from_json(struct spec *s, const json_t *root, struct err *e)
{
	if (json_is_object(root) && !json_object_get(root, "version"))
		return err_set(e, -EINVAL, "version: missing; write \"version\": 1");
	return parse_object(&(struct value){root, "", e}, spec_keys, s);
}

int spec_parse(struct spec *s, const char *json, size_t len, struct err *e)
{
	json_error_t why;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	int rc;

	if (!root)
		return err_set(e, -EINVAL, "line %d, column %d: %s", why.line, why.column,
			       why.text);
	rc = spec_from_json(s, root, e);
	json_decref(root);
	return rc;
}
