/* SPDX-License-Identifier: Apache-2.0 */
/* Pause, resume, reset, power button, end: the machine's run state as its user and guest change it.
 */
#include "base/log.h"
#include "vmm/device/acpipm.h"
#include "vmm/diskfull.h"
#include "vmm/machine.h"

void machine_end(struct machine *m, int status)
{
	if (m->ended)
		return;
	m->ended = true;
	machine_kick(m);
	loop_stop(m->loop, status);
}

void machine_pause(struct machine *m)
{
	if (m->user_paused)
		return;
	m->user_paused = true;
	machine_hold(m);
}

void machine_resume(struct machine *m)
{
	if (machine_disk_problem(m))
		machine_disk_retry(m);
	if (!m->user_paused)
		return;
	m->user_paused = false;
	machine_release(m);
}

void machine_power_button(struct machine *m)
{
	acpipm_power_button(m->acpi_pm);
}

void machine_reset(struct machine *m)
{
	struct err e;

	machine_hold(m);
	machine_reset_devices(m);
	m->reset_wanted = false;
	if (machine_boot(m, &e)) {
		log_warn("the machine cannot be reset: %s", e.text);
		machine_end(m, MACHINE_STATUS_ERROR);
	}
	machine_release(m);
}

static void reset_soon(void *opaque)
{
	struct machine *m = opaque;

	if (!m->ended && m->reset_wanted)
		machine_reset(m);
}

static void guest_reset(struct machine *m)
{
	if (!m->spec->reboot) {
		machine_end(m, MACHINE_STATUS_OK);
		return;
	}
	if (m->reset_wanted)
		return;
	m->reset_wanted = true;
	machine_kick(m);
	/* The calling vCPU is inside a device access: the main thread does the work. */
	loop_call(m->loop, reset_soon, m);
}

void machine_event(void *opaque, enum machine_event ev, int status)
{
	struct machine *m = opaque;

	switch (ev) {
	case MACHINE_POWEROFF:
		machine_end(m, MACHINE_STATUS_OK);
		break;
	case MACHINE_RESET:
		guest_reset(m);
		break;
	case MACHINE_EXIT:
		machine_end(m, status);
		break;
	}
}
