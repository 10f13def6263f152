/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machineballoon.h"

#include <errno.h>

#include "base/num.h"
#include "vmm/device/virtio/balloon.h"
#include "vmm/device/virtio/models.h"
#include "vmm/machine.h"

#define LEAST (4 * MIB) /* as of a VM's memory */

static struct device *find_balloon(const struct machine *m)
{
	struct device *d = m->devices;

	while (d && d->ops != &virtio_balloon_ops)
		d = d->next;
	return d;
}

/* What its kernel told last; nothing for what it did not tell. */
static json_t *told(const struct device *balloon)
{
	static const char *const names[BALLOON_NSTATS] = {
		[BALLOON_SWAP_IN] = "swap_in",
		[BALLOON_SWAP_OUT] = "swap_out",
		[BALLOON_MAJOR_FAULTS] = "major_faults",
		[BALLOON_MINOR_FAULTS] = "minor_faults",
		[BALLOON_FREE] = "free",
		[BALLOON_TOTAL] = "total",
		[BALLOON_AVAILABLE] = "available",
		[BALLOON_CACHES] = "caches",
		[BALLOON_HUGETLB_OK] = "hugetlb_allocations",
		[BALLOON_HUGETLB_FAILED] = "hugetlb_failures",
	};
	const uint64_t *stats = balloon_stats(balloon);
	json_t *o = json_object();

	for (unsigned i = 0; i < BALLOON_NSTATS; i++)
		if (stats[i] <= INT64_MAX)
			json_object_set_new(o, names[i], json_integer((json_int_t)stats[i]));
	return o;
}

static json_t *describe(const struct machine *m, const struct device *balloon)
{
	uint64_t ram = m->mem.ram_size, actual = balloon_actual(balloon);

	return json_pack("{s:I, s:I, s:I, s:b, s:o}", "memory", (json_int_t)ram, "target",
			 (json_int_t)(ram - balloon_target(balloon)), "actual",
			 (json_int_t)(actual < ram ? ram - actual : 0), "driver",
			 balloon_has_driver(balloon), "guest", told(balloon));
}

static int set_target(const struct machine *m, struct device *balloon, const json_t *memory,
		      struct err *e)
{
	uint64_t keep = (uint64_t)json_integer_value(memory), ram = m->mem.ram_size;

	if (keep < LEAST || keep > ram)
		return err_set(e, -EINVAL, "memory: %llu bytes; give 4 MiB to %llu MiB",
			       (unsigned long long)keep, (unsigned long long)(ram / MIB));
	balloon_set_target(balloon, ram - keep);
	return 0;
}

static int ask(void *opaque, const json_t *params, struct control_call *call, json_t **result,
	       struct err *e)
{
	const struct machine *m = opaque;
	const json_t *memory = json_object_get(params, "memory");
	struct device *balloon = find_balloon(m);

	(void)call;
	if (!balloon)
		return err_set(e, -ENODEV, "the machine has no virtio-balloon");
	if (memory && set_target(m, balloon, memory, e))
		return e->code;
	balloon_ask_stats(balloon);
	*result = describe(m, balloon);
	return 0;
}

const struct control_method machine_balloon_methods[] = {
	{"balloon", ask, {{"memory", CONTROL_UINT, false}}},
	{NULL, NULL, {{0}}},
};
