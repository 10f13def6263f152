/* SPDX-License-Identifier: Apache-2.0 */
/* Is a definition still that of the machine that was started with it? */
#include <errno.h>
#include <string.h>

#include "manager/folders.h"
#include "manager/vm.h"

/* Copies those of the keys that an object has. */
static json_t *pick(const json_t *from, const char *const *keys)
{
	json_t *o = json_object();

	for (; *keys; keys++)
		if (json_object_get(from, *keys))
			json_object_set(o, *keys, json_object_get(from, *keys));
	return o;
}

static json_t *pick_each(const json_t *from, const char *const *keys)
{
	json_t *list = json_array(), *item;
	size_t i;

	json_array_foreach(from, i, item) json_array_append_new(list, pick(item, keys));
	return list;
}

/* What a saved state depends on: neither files nor what is outside the guest. */
static json_t *hardware(const struct spec *s)
{
	static const char *const plain[] = {"memory", "cpus", "cpu_model", "devices", NULL};
	static const char *const disk[] = {"media", "bus", "readonly", NULL};
	static const char *const net[] = {"model", "mac", NULL};
	json_t *all = spec_to_json(s), *o = pick(all, plain);
	const char *firmware = spec_firmware(s);

	json_object_set_new(o, "disks", pick_each(json_object_get(all, "disks"), disk));
	json_object_set_new(o, "nets", pick_each(json_object_get(all, "nets"), net));
	json_object_set_new(o, "firmware", firmware ? json_string(firmware) : json_null());
	json_object_set_new(o, "display", json_boolean(spec_has_screen(s)));
	json_decref(all);
	return o;
}

/* The first that differs, or NULL. */
static const char *difference(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)a, key, value)
	{
		if (!json_equal(value, json_object_get(b, key)))
			return key;
	}
	return NULL;
}

static int compare(const char *name, const struct spec *started, const struct spec *now,
		   struct err *e)
{
	json_t *a = hardware(started), *b = hardware(now);
	const char *key = difference(a, b);

	if (key)
		err_set(e, -ESTALE,
			"%s has been given other %s since it was started, and what is kept of it "
			"now "
			"could not go on with that: undo the change, or stop and start the VM "
			"first",
			name, key);
	json_decref(a);
	json_decref(b);
	return key ? e->code : 0;
}

int vm_check_unchanged(struct manager *m, const char *name, struct err *e)
{
	struct definition d;
	struct spec started;
	char path[PATH_SIZE];
	int rc;

	definition_init(&d);
	spec_init(&started);
	rc = vm_path(m, name, "spec.json", path, e);
	if (!rc)
		rc = spec_load(path, &started, e);
	if (!rc)
		rc = vm_load(m, name, &d, e);
	if (!rc)
		rc = compare(name, &started, &d.machine, e);
	spec_free(&started);
	definition_free(&d);
	return rc;
}
