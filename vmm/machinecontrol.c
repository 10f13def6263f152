/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket may ask of the machine: the list of tables, and the run state's methods.
 */
#include "vmm/machine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/control/control.h"
#include "vmm/diskfull.h"
#include "vmm/drives.h"
#include "vmm/machineballoon.h"
#include "vmm/machinegdb.h"
#include "vmm/machineprofile.h"
#include "vmm/snapshot/methods.h"

/* Methods that have neither parameters nor a result. */
#define ACTION(function, action)                                                           \
	static int function(void *opaque, const json_t *params, struct control_call *call, \
			    json_t **result, struct err *e)                                \
	{                                                                                  \
		(void)params, (void)call, (void)result, (void)e;                           \
		action;                                                                    \
		return 0;                                                                  \
	}

ACTION(pause_machine, machine_pause(opaque))
ACTION(resume_machine, machine_resume(opaque))
ACTION(reset_machine, machine_reset(opaque))
ACTION(press_power_button, machine_power_button(opaque))

static int quit(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e)
{
	struct machine *m = opaque;

	(void)params, (void)call, (void)result, (void)e;
	if (!m->ended)
		m->end_reason = "destroyed";
	machine_end(m, MACHINE_STATUS_OK);
	return 0;
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static int status(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		  struct err *e)
{
	const struct machine *m = opaque;
	const char *problem = machine_disk_problem(m);

	(void)params, (void)call, (void)e;
	*result = json_pack(
		"{s:s*, s:s, s:s*, s:s*, s:s, s:s, s:i, s:o, s:o, s:i}", "name", m->spec->name,
		"state", m->user_paused || problem ? "paused" : "running", "reason", problem,
		"doing", machine_doing(m), "engine", m->engine->name, "engine_why", m->engine_why,
		"cpus", (int)m->nvcpus, "memory", number(m->mem.ram_size), "uptime_ns",
		number(clock_now(&m->clock)), "pid", (int)getpid());
	return 0;
}

/* Puts the device's name and number in front of its counters' names. */
struct device_stats {
	const struct device *device;
	stat_fn *fn;
	void *opaque;
};

static void device_stat(void *opaque, const char *name, uint64_t value)
{
	const struct device_stats *s = opaque;
	char full[64];

	snprintf(full, sizeof(full), "%s%u.%s", s->device->ops->name, s->device->instance, name);
	s->fn(s->opaque, full, value);
}

static void add_stat(void *opaque, const char *name, uint64_t value)
{
	json_object_set_new(opaque, name, number(value));
}

static uint64_t accesses_of(const struct bus *b, const char *name)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < b->n; i++)
		if (!strcmp(b->r[i].name, name))
			n += b->r[i].accesses;
	return n;
}

/* Accesses to each device's registers, by the name it has on the bus. */
static void bus_stats(const struct bus *b, const char *kind, stat_fn *fn, void *opaque)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_unclaimed", kind);
	fn(opaque, name, b->unclaimed);
	for (unsigned i = 0; i < b->n; i++) {
		unsigned first = 0;

		while (strcmp(b->r[first].name, b->r[i].name))
			first++;
		if (first != i || !accesses_of(b, b->r[i].name))
			continue;
		snprintf(name, sizeof(name), "%s.%s", kind, b->r[i].name);
		fn(opaque, name, accesses_of(b, b->r[i].name));
	}
}

void machine_stats(struct machine *m, stat_fn *fn, void *opaque)
{
	bus_stats(&m->pio, "pio", fn, opaque);
	bus_stats(&m->mmio, "mmio", fn, opaque);
	for (struct device *d = m->devices; d; d = d->next) {
		struct device_stats s = {d, fn, opaque};

		if (d->ops->stats)
			d->ops->stats(d, device_stat, &s);
	}
	m->engine->stats(m->vm, fn, opaque);
}

static int stats(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		 struct err *e)
{
	(void)params, (void)call, (void)e;
	*result = json_object();
	machine_stats(opaque, add_stat, *result);
	return 0;
}

static const struct control_method machine_methods[] = {
	{"status", status, {{0}}},       {"stats", stats, {{0}}},
	{"pause", pause_machine, {{0}}}, {"resume", resume_machine, {{0}}},
	{"reset", reset_machine, {{0}}}, {"power_button", press_power_button, {{0}}},
	{"quit", quit, {{0}}},           {NULL, NULL, {{0}}},
};

const struct control_method *const machine_control[] = {
	machine_methods,         drive_methods,           display_methods,
	sendkey_methods,         snapshot_methods,        machine_gdb_methods,
	machine_profile_methods, machine_balloon_methods, NULL,
};
