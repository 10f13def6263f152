/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket may ask of the machine. */
#include "vmm/machine.h"

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

static void stats(void *opaque, stat_fn *fn, void *fn_opaque)
{
	struct machine *m = opaque;

	fn(fn_opaque, "pio_unclaimed", m->pio.unclaimed);
	fn(fn_opaque, "mmio_unclaimed", m->mmio.unclaimed);
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
