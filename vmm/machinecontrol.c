/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket may ask of the machine. */
#include "vmm/machine.h"

#include <stdio.h>

#include "vmm/control.h"

static void status(void *opaque, struct control_status *out)
{
	const struct machine *m = opaque;

	*out = (struct control_status){
		.name = m->spec->name,
		.state = m->user_paused ? "paused" : "running",
		.engine = m->engine->name,
		.engine_why = m->engine_why,
		.cpus = m->nvcpus,
		.memory = m->mem.ram_size,
		.uptime_ns = clock_now(&m->clock),
	};
}

static void quit(void *opaque)
{
	machine_end(opaque, MACHINE_STATUS_OK);
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

static void stats(void *opaque, stat_fn *fn, void *fn_opaque)
{
	struct machine *m = opaque;

	fn(fn_opaque, "pio_unclaimed", m->pio.unclaimed);
	fn(fn_opaque, "mmio_unclaimed", m->mmio.unclaimed);
	for (struct device *d = m->devices; d; d = d->next) {
		struct device_stats s = {d, fn, fn_opaque};

		if (d->ops->stats)
			d->ops->stats(d, device_stat, &s);
	}
	m->engine->stats(m->vm, fn, fn_opaque);
}

static void pause_machine(void *opaque)
{
	machine_pause(opaque);
}

static void resume_machine(void *opaque)
{
	machine_resume(opaque);
}

static void reset_machine(void *opaque)
{
	machine_reset(opaque);
}

static void press_power_button(void *opaque)
{
	machine_power_button(opaque);
}

const struct control_ops machine_control = {
	.status = status,
	.pause = pause_machine,
	.resume = resume_machine,
	.reset = reset_machine,
	.power_button = press_power_button,
	.quit = quit,
	.stats = stats,
};
