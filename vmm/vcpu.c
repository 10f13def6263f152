/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU threads: each runs its engine vCPU, parks when the machine is held, ends with it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vmm/machine.h"
#include "vmm/machinegdb.h"

static void set_state(struct vcpu *c, enum vcpu_state state)
{
	c->state = state;
	pthread_cond_broadcast(&c->machine->parked);
}

/* Parks while the machine is held. Returns false when the thread shall end. Lock held. */
static bool may_run(struct vcpu *c)
{
	struct machine *m = c->machine;

	while ((m->holds || m->ended || m->reset_wanted || m->debug_wanted || c->stays) &&
	       !m->ending) {
		set_state(c, VCPU_PARKED);
		pthread_cond_wait(&m->released, &m->lock);
	}
	if (m->ending)
		return false;
	c->state = VCPU_RUNNING;
	return true;
}

static void guest_crashed(struct vcpu *c)
{
	struct machine *m = c->machine;
	struct x86_cpu_state s;
	struct err e;

	if (m->ended || m->reset_wanted)
		return; /* it was told to stop and ran on for an instant */
	log_warn("the guest crashed: triple fault (an exception while delivering a double fault)");
	if (!m->engine->vcpu_get(c->engine, &s, &e))
		log_info("vCPU %u: rip %04x:%" PRIx64 ", rsp %" PRIx64 ", cr0 %" PRIx64
			 ", cr2 %" PRIx64 ", cr3 %" PRIx64 ", cr4 %" PRIx64 ", idt %" PRIx64,
			 c->index, s.seg[X86_CS].selector, s.rip, s.gpr[X86_RSP], s.cr0, s.cr2,
			 s.cr3, s.cr4, s.idt.base);
	machine_end(m, MACHINE_STATUS_CRASHED);
}

static void *vcpu_main(void *opaque)
{
	struct vcpu *c = opaque;
	struct machine *m = c->machine;
	char name[16];
	struct err e;

	snprintf(name, sizeof(name), "vcpu%u", c->index);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&m->lock);
	while (may_run(c)) {
		enum run_result r;

		pthread_mutex_unlock(&m->lock);
		r = m->engine->vcpu_run(c->engine, &e);
		pthread_mutex_lock(&m->lock);
		if (r == RUN_SHUTDOWN && !machine_gdb_crash(c)) {
			guest_crashed(c);
		} else if (r == RUN_DEBUG) {
			machine_gdb_stop(c);
		} else if (r == RUN_ERROR) {
			log_warn("vCPU %u cannot go on: %s", c->index, e.text);
			machine_end(m, MACHINE_STATUS_ERROR);
		}
	}
	set_state(c, VCPU_GONE);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

void machine_kick(struct machine *m)
{
	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->vcpu[i].state == VCPU_RUNNING)
			m->engine->vcpu_kick(m->vcpu[i].engine);
}

static bool any_running(const struct machine *m)
{
	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->vcpu[i].state == VCPU_RUNNING)
			return true;
	return false;
}

/* A vCPU that waits for the lock in a device access is let through by pthread_cond_wait. */
static void wait_until_parked(struct machine *m)
{
	machine_kick(m);
	while (any_running(m))
		pthread_cond_wait(&m->parked, &m->lock);
}

void machine_hold(struct machine *m)
{
	if (m->holds++)
		return;
	wait_until_parked(m);
	clock_pause(&m->clock);
	m->engine->vm_stopped(m->vm);
}

void machine_release(struct machine *m)
{
	if (--m->holds)
		return;
	clock_resume(&m->clock);
	m->engine->vm_started(m->vm);
	/* They count as running from here, so that a hold that follows at once waits for them. */
	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->vcpu[i].has_thread && m->vcpu[i].state == VCPU_PARKED && !m->ended &&
		    !m->vcpu[i].stays)
			m->vcpu[i].state = VCPU_RUNNING;
	pthread_cond_broadcast(&m->released);
}

int machine_start_vcpus(struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < m->nvcpus; i++) {
		struct vcpu *c = &m->vcpu[i];
		int rc = pthread_create(&c->thread, NULL, vcpu_main, c);

		if (rc)
			return err_set(e, -rc, "vCPU %u: cannot start its thread: %s", i,
				       strerror(rc));
		c->has_thread = true;
	}
	return 0;
}

void machine_stop_vcpus(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	m->ending = true;
	pthread_cond_broadcast(&m->released);
	machine_kick(m);
	pthread_mutex_unlock(&m->lock);
	for (unsigned i = 0; i < m->nvcpus; i++) {
		if (m->vcpu[i].has_thread)
			pthread_join(m->vcpu[i].thread, NULL);
		m->vcpu[i].has_thread = false;
	}
}
