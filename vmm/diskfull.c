/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/diskfull.h"

#include <stdio.h>

#include "base/log.h"
#include "vmm/backend/disk.h"

#define RETRY_NS 2000000000ull

static const struct machine_drive *stalled_drive(const struct machine *m)
{
	for (unsigned i = 0; i < m->spec->ndisks; i++)
		if (m->drive[i].disk && disk_stalled(m->drive[i].disk))
			return &m->drive[i];
	return NULL;
}

static void retry_later(struct machine *m)
{
	loop_timer_set(m->loop, &m->full.timer, loop_now() + RETRY_NS);
}

static void go_on(struct machine *m)
{
	m->full.problem[0] = '\0';
	log_info("there is space on the host's disk again; the machine goes on");
	machine_release(m);
}

/* What was tried again has succeeded, or has stalled again. */
static void look(void *opaque)
{
	struct machine *m = opaque;

	if (!m->full.problem[0])
		return;
	if (!stalled_drive(m)) {
		go_on(m);
		return;
	}
	machine_disk_retry(m);
}

static void pause_machine(void *opaque)
{
	struct machine *m = opaque;
	const struct machine_drive *d = stalled_drive(m);

	if (m->full.problem[0] || !d || m->ended)
		return;
	snprintf(m->full.problem, sizeof(m->full.problem), "no space on %s", d->path);
	log_warn("%s: the machine pauses until there is some", m->full.problem);
	m->full.timer = (struct loop_timer){.fn = look, .opaque = m};
	machine_hold(m);
	retry_later(m);
}

/* A vCPU's thread may be in a device access: the main thread pauses it. */
void machine_disk_full(void *opaque)
{
	struct machine *m = opaque;

	if (!m->full.problem[0])
		loop_call(m->loop, pause_machine, m);
}

void machine_disk_retry(struct machine *m)
{
	for (unsigned i = 0; i < m->spec->ndisks; i++)
		if (m->drive[i].disk && disk_stalled(m->drive[i].disk))
			disk_retry(m->drive[i].disk);
	retry_later(m);
}

const char *machine_disk_problem(const struct machine *m)
{
	return m->full.problem[0] ? m->full.problem : NULL;
}

void machine_disk_full_end(struct machine *m)
{
	if (m->full.problem[0])
		loop_timer_cancel(m->loop, &m->full.timer);
}
