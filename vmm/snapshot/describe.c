/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's description in a saved state, and the comparison of two. */
#include "vmm/snapshot/describe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *cpu(const struct cpu_model *c)
{
	json_t *features = json_array(), *offsets = json_array();

	for (unsigned f = 1; f < X86_NFEATURES; f++)
		if (c->has[f])
			json_array_append_new(features, json_string(x86_feature_bits[f].name));
	for (unsigned i = 0; i < X86_NXSTATE; i++)
		json_array_append_new(
			offsets, json_integer(c->xcr0_allowed >> i & 1 ? c->xsave_offset[i] : 0));
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o}", "vendor", c->vendor, "family",
			 c->family, "model", c->model, "stepping", c->stepping, "address_bits",
			 c->phys_bits, "features", features, "xcr0", number(c->xcr0_allowed),
			 "xsave_offsets", offsets);
}

/* A device's memory is where the device's registers say. */
static json_t *memory(const struct guest_memory *m)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < m->nslots; i++) {
		const struct mem_slot *s = &m->slot[i];

		json_array_append_new(list, json_pack("{s:s, s:o*, s:o}", "kind",
						      s->device     ? "device"
						      : s->readonly ? "rom"
								    : "ram",
						      "address", s->device ? NULL : number(s->gpa),
						      "size", number(s->size)));
	}
	return list;
}

/* The interval timer is there under every engine, but not always as a device of ours. */
static json_t *devices(const struct machine *m)
{
	json_t *list = json_array();

	for (const struct device *d = m->devices; d; d = d->next)
		if (strcmp(d->ops->name, "pit"))
			json_array_append_new(list, json_string(d->ops->name));
	return list;
}

static json_t *about(const struct machine *m)
{
	return json_pack("{s:s*, s:s, s:s, s:i, s:o, s:o, s:b}", "name", m->spec->name, "engine",
			 m->engine->name, "cpu_model", m->cpu.name, "tsc_khz", (int)m->cpu.tsc_khz,
			 "uptime_ns", number(clock_now(&m->clock)), "time",
			 number((uint64_t)time(NULL)), "paused", m->user_paused);
}

json_t *machine_describe(const struct machine *m)
{
	return json_pack("{s:{s:i, s:o, s:o, s:o}, s:o}", "machine", "cpus", (int)m->nvcpus, "cpu",
			 cpu(&m->cpu), "memory", memory(&m->mem), "devices", devices(m), "about",
			 about(m));
}

/* ---- comparison ----------------------------------------------------------------------------- */

#define MAX_DEPTH 8

struct place {
	char path[200];
	struct err *e;
	unsigned depth;
};

static int compare(struct place *at, const json_t *saved, const json_t *here);

static void text_of(const json_t *v, char *out, size_t size)
{
	char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	snprintf(out, size, "%.100s", text ? text : "nothing");
	free(text);
}

static int differ(const struct place *at, const json_t *saved, const json_t *here)
{
	char a[104], b[104];

	text_of(saved, a, sizeof(a));
	text_of(here, b, sizeof(b));
	return err_set(at->e, -EINVAL,
		       "%s: the saved machine has %s, this one has %s; start it with the "
		       "description it was saved with",
		       at->path, a, b);
}

static int compare_member(struct place *at, const char *name, const json_t *saved,
			  const json_t *here)
{
	size_t len = strlen(at->path);
	int rc;

	if (at->depth == MAX_DEPTH)
		return differ(at, saved, here);
	snprintf(at->path + len, sizeof(at->path) - len, "%s", name);
	at->depth++;
	rc = compare(at, saved, here);
	at->depth--;
	at->path[len] = '\0';
	return rc;
}

static int compare_arrays(struct place *at, const json_t *saved, const json_t *here)
{
	size_t n = json_array_size(saved), m = json_array_size(here);
	char name[24];

	for (size_t i = 0; i < n || i < m; i++) {
		int rc;

		snprintf(name, sizeof(name), "[%zu]", i);
		rc = compare_member(at, name, json_array_get(saved, i), json_array_get(here, i));
		if (rc)
			return rc;
	}
	return 0;
}

static int compare_objects(struct place *at, const json_t *saved, const json_t *here)
{
	char name[80];
	const char *key;
	json_t *value;
	int rc;

	json_object_foreach((json_t *)(uintptr_t)here, key, value)
	{
		snprintf(name, sizeof(name), ".%s", key);
		rc = compare_member(at, name, json_object_get(saved, key), value);
		if (rc)
			return rc;
	}
	json_object_foreach((json_t *)(uintptr_t)saved, key, value)
	{
		snprintf(name, sizeof(name), ".%s", key);
		rc = json_object_get(here, key) ? 0 : compare_member(at, name, value, NULL);
		if (rc)
			return rc;
	}
	return 0;
}

static int compare(struct place *at, const json_t *saved, const json_t *here)
{
	if (json_is_array(saved) && json_is_array(here))
		return compare_arrays(at, saved, here);
	if (json_is_object(saved) && json_is_object(here))
		return compare_objects(at, saved, here);
	return json_equal(saved, here) ? 0 : differ(at, saved, here);
}

int description_match(const json_t *saved, const json_t *here, struct err *e)
{
	struct place at = {.path = "machine", .e = e};

	return compare(&at, json_object_get(saved, "machine"), json_object_get(here, "machine"));
}
