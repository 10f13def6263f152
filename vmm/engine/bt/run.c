/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU's life: requests, interrupts, waiting while halted, running guest code. */
#include "vmm/engine/bt/mmu.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include "vmm/engine/bt/debug.h"
#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/translate/translate.h"

#define INTERPRET_BUDGET 20000

static void futex_wake(_Atomic uint32_t *word)
{
	bt_syscall(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0);
}

/* Waits while *word is `val`, at most `ns`. */
static void futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000),
			      .tv_nsec = (long)(ns % 1000000000)};

	bt_syscall(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, val,
		   ns == UINT64_MAX ? 0 : (long)&ts);
}

void bt_request(struct bt_vcpu *v, uint32_t bits)
{
	bt_post(v, bits);
	if (atomic_load(&v->sleeping))
		futex_wake(&v->requests);
}

/* ---- the APIC timer -------------------------------------------------------------------------- */

/*
 * A halted vCPU sleeps to its own deadline; for one that runs the ticker sets BT_REQ_IRQ in time.
 * Only the vCPU itself decides that its timer has fired.
 */
static void ticker_poke(struct bt_vm *vm, uint64_t deadline)
{
	if (deadline >= atomic_load(&vm->ticker.next))
		return;
	atomic_fetch_add(&vm->ticker.wake, 1);
	futex_wake(&vm->ticker.wake);
}

static void *ticker_main(void *opaque)
{
	struct bt_vm *vm = opaque;
	struct bt_ticker *t = &vm->ticker;

	while (!atomic_load(&t->stop)) {
		uint32_t seen = atomic_load(&t->wake);
		uint64_t now, next = UINT64_MAX;

		/* Until `next` is known, every new deadline must poke: it would be missed
		 * otherwise. */
		atomic_store(&t->next, UINT64_MAX);
		now = clock_now(vm->cfg.clock);
		for (unsigned i = 0; i < vm->cfg.nvcpus; i++) {
			struct bt_vcpu *v = vm->vcpu[i];
			uint64_t deadline = v ? atomic_load(&v->timer_deadline) : 0;

			if (!deadline || !atomic_load(&v->running))
				continue;
			if (deadline > now) {
				next = deadline < next ? deadline : next;
			} else if (deadline != v->timer_signaled) {
				v->timer_signaled = deadline;
				bt_request(v, BT_REQ_IRQ);
			}
		}
		atomic_store(&t->next, next);
		futex_wait(&t->wake, seen, next == UINT64_MAX ? next : next - now);
	}
	return NULL;
}

int bt_ticker_start(struct bt_vm *vm, struct err *e)
{
	int rc;

	if (atomic_load(&vm->ticker.started) || atomic_exchange(&vm->ticker.started, true))
		return 0;
	rc = pthread_create(&vm->ticker.thread, NULL, ticker_main, vm);
	if (!rc)
		return 0;
	atomic_store(&vm->ticker.started, false);
	return err_set(e, -rc, "starting the timer thread failed with error %d", rc);
}

void bt_ticker_stop(struct bt_vm *vm)
{
	if (!vm->ticker.started)
		return;
	atomic_store(&vm->ticker.stop, true);
	atomic_fetch_add(&vm->ticker.wake, 1);
	futex_wake(&vm->ticker.wake);
	pthread_join(vm->ticker.thread, NULL);
	vm->ticker.started = false;
}

/* VM time at which the guest's TSC will be `tsc`. */
static uint64_t tsc_deadline_ns(struct bt_vcpu *v, uint64_t tsc)
{
	uint64_t now = clock_now(v->vm->cfg.clock), at = bt_guest_tsc(v);
	uint32_t khz = v->vm->cfg.cpu->tsc_khz;

	if (tsc <= at)
		return now ? now : 1;
	return now + (uint64_t)((unsigned __int128)(tsc - at) * 1000000 / (khz ? khz : 1000000));
}

static void arm_timer(void *opaque, uint64_t when, bool is_tsc)
{
	struct bt_vcpu *v = opaque;
	uint64_t deadline = when && is_tsc ? tsc_deadline_ns(v, when) : when;

	atomic_store(&v->timer_deadline, deadline);
	if (deadline)
		ticker_poke(v->vm, deadline);
}

static void check_timer(struct bt_vcpu *v)
{
	uint64_t deadline = atomic_load(&v->timer_deadline);

	if (!deadline)
		return;
	bt_fpu_leave(v);
	if (clock_now(v->vm->cfg.clock) >= deadline) {
		atomic_store(&v->timer_deadline, 0);
		lapic_timer_fired(&v->lapic);
	}
	bt_fpu_enter(v);
}

/* ---- messages between APICs ------------------------------------------------------------------ */

static void deliver_to(struct bt_vcpu *to, uint32_t command)
{
	bool level = command >> 15 & 1;

	switch (command >> 8 & 7) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		lapic_post(&to->lapic, (uint8_t)command, level);
		bt_request(to, BT_REQ_IRQ);
		break;
	case LAPIC_NMI:
		bt_request(to, BT_REQ_NMI);
		break;
	case LAPIC_INIT:
		/* A level de-assert only synchronized old APICs' arbitration. */
		if (!level || (command >> 14 & 1))
			bt_request(to, BT_REQ_INIT);
		break;
	case LAPIC_STARTUP:
		to->sipi_vector = (uint8_t)command;
		bt_request(to, BT_REQ_SIPI);
		break;
	}
}

static void send_ipi(void *opaque, uint32_t icr_low, uint32_t dest, bool x2apic)
{
	struct bt_vcpu *v = opaque;
	struct bt_vm *vm = v->vm;

	for (unsigned i = 0; i < vm->cfg.nvcpus; i++) {
		struct bt_vcpu *to = vm->vcpu[i];

		if (!to || !lapic_icr_match(&to->lapic, to == v, icr_low, dest, x2apic))
			continue;
		deliver_to(to, icr_low);
		if ((icr_low >> 8 & 7) == LAPIC_LOWEST)
			return;
	}
}

/* Intel SDM volume 3A section 11.11: destination in bits 19:12 of the address, logical if bit 2. */
void bt_deliver_message(struct bt_vm *vm, uint64_t addr, uint32_t data)
{
	for (unsigned i = 0; i < vm->cfg.nvcpus; i++) {
		struct bt_vcpu *to = vm->vcpu[i];

		if (!to || !lapic_match(&to->lapic, addr >> 12 & 0xff, addr >> 2 & 1, false))
			continue;
		deliver_to(to, data);
		if ((data >> 8 & 7) == LAPIC_LOWEST)
			return;
	}
}

static void end_of_interrupt(void *opaque, uint8_t vector)
{
	struct bt_vcpu *v = opaque;

	v->vm->machine.ioapic_eoi(v->vm->machine.opaque, vector);
}

static uint64_t lapic_now(void *opaque)
{
	struct bt_vcpu *v = opaque;

	return clock_now(v->vm->cfg.clock);
}

const struct lapic_ops bt_lapic_ops = {
	.send = send_ipi,
	.eoi = end_of_interrupt,
	.arm_timer = arm_timer,
	.now_ns = lapic_now,
};

/* ---- interrupts ------------------------------------------------------------------------------ */

static int acknowledge_pic(struct bt_vcpu *v)
{
	int vector;

	bt_fpu_leave(v);
	vector = v->vm->machine.pic_ack(v->vm->machine.opaque);
	bt_fpu_enter(v);
	return vector;
}

/* The vector to deliver now, acknowledged; -1 if there is none. */
static int take_interrupt(struct bt_vcpu *v)
{
	int vector = lapic_pending(&v->lapic);

	if (vector >= 0) {
		lapic_accept(&v->lapic, (uint8_t)vector);
		return vector;
	}
	if (atomic_load(&v->vm->extint) && lapic_accepts_extint(&v->lapic))
		return acknowledge_pic(v);
	return -1;
}

static bool is_interrupt_pending(struct bt_vcpu *v)
{
	return lapic_pending(&v->lapic) >= 0 ||
	       (atomic_load(&v->vm->extint) && lapic_accepts_extint(&v->lapic));
}

/* Delivers at most one event; the request bit stays set while there may be more. */
static void deliver_events(struct bt_vcpu *v)
{
	int vector;

	check_timer(v);
	v->irq_blocked = false;
	if (bt_is_stepping(v) && v->activity == X86_ACTIVE)
		return;
	if (v->activity == X86_WAIT_SIPI)
		return;
	if (v->interrupt_shadow) {
		v->irq_blocked = true;
		return;
	}
	if (v->nmi_pending && !v->nmi_masked) {
		v->nmi_pending = false;
		v->nmi_masked = true;
		bt_deliver_interrupt(v, EXC_NMI);
		bt_post(v, BT_REQ_IRQ);
		return;
	}
	if (!(v->rflags & FL_IF)) {
		v->irq_blocked = is_interrupt_pending(v);
		return;
	}
	vector = take_interrupt(v);
	if (vector < 0)
		return;
	bt_deliver_interrupt(v, (unsigned)vector);
	bt_post(v, BT_REQ_IRQ);
}

static void start_up(struct bt_vcpu *v)
{
	if (v->activity != X86_WAIT_SIPI)
		return;
	v->seg[X86_CS].selector = (uint16_t)(v->sipi_vector << 8);
	v->seg[X86_CS].base = v->segbase[X86_CS] = (uint64_t)v->sipi_vector << 12;
	v->rip = 0;
	v->activity = X86_ACTIVE;
	bt_mode_changed(v);
}

/* true: vcpu_run() returns RUN_KICKED or RUN_DEBUG. */
static bool serve_requests(struct bt_vcpu *v)
{
	uint32_t req = atomic_exchange(&v->requests, 0);

	if (req & BT_REQ_TLB)
		bt_code_sync(v);
	if (req & BT_REQ_INIT)
		bt_reset_vcpu(v, true);
	if (req & BT_REQ_SIPI)
		start_up(v);
	if ((req & (BT_REQ_INIT | BT_REQ_SIPI)) && v->vm->lockstep)
		bt_lockstep_stale(v->vm);
	if (req & BT_REQ_NMI)
		v->nmi_pending = true;
	if (req & (BT_REQ_KICK | BT_REQ_DEBUG)) {
		bt_post(v, BT_REQ_IRQ); /* looked at when it runs again */
		return true;
	}
	if (req)
		deliver_events(v);
	return false;
}

/* ---- waiting and running --------------------------------------------------------------------- */

static void wait_halted(struct bt_vcpu *v)
{
	uint64_t deadline, now, ns = UINT64_MAX;

	bt_fpu_leave(v);
	atomic_store(&v->running, false);
	deadline = v->activity == X86_HALTED ? atomic_load(&v->timer_deadline) : 0;
	now = clock_now(v->vm->cfg.clock);
	if (deadline)
		ns = deadline > now ? deadline - now : 0;
	atomic_store(&v->sleeping, true);
	if (ns)
		futex_wait(&v->requests, 0, ns);
	atomic_store(&v->sleeping, false);
	atomic_store(&v->running, true);
	deadline = atomic_load(&v->timer_deadline);
	if (deadline)
		ticker_poke(v->vm, deadline);
	bt_fpu_enter(v);
	if (v->activity == X86_HALTED)
		bt_post(v, BT_REQ_IRQ);
}

static void run_some(struct bt_vcpu *v)
{
	if (v->interrupt_shadow || (v->mode & BT_MODE_STEP)) {
		bt_interpret_one(v);
		if (v->irq_blocked)
			bt_post(v, BT_REQ_IRQ);
		return;
	}
	if (v->vm->tier == BT_TIER_INTERP) {
		bt_interpret_some(v, INTERPRET_BUDGET);
		return;
	}
	if (!bt_translate_run(v))
		bt_deliver_fault(v);
	else if (v->activity == X86_ACTIVE && !atomic_load(&v->requests))
		bt_interpret_one(v);
}

/* true: one block and its twin, or what run_some() does without one. */
static bool run_checked(struct bt_vcpu *v)
{
	if (v->vm->lockstep)
		return bt_lockstep_run(v);
	run_some(v);
	return true;
}

static enum run_result run_loop(struct bt_vcpu *v)
{
	if (v->fault_pending) {
		v->fault_pending = false;
		bt_deliver_fault(v);
	}
	for (;;) {
		if (atomic_load_explicit(&v->requests, memory_order_relaxed) && serve_requests(v))
			return bt_is_stopped(v) ? RUN_DEBUG : RUN_KICKED;
		if (v->shutdown)
			return RUN_SHUTDOWN;
		if (v->activity != X86_ACTIVE) {
			wait_halted(v);
			continue;
		}
		if (!run_checked(v))
			return RUN_ERROR;
	}
}

enum run_result bt_run(struct bt_vcpu *v)
{
	uint64_t deadline = atomic_load(&v->timer_deadline);
	enum run_result result;

	if (v->vm->lockstep)
		bt_lockstep_begin(v);
	v->thread = pthread_self();
	bt_fpu_enter(v);
	atomic_store(&v->running, true);
	if (deadline)
		ticker_poke(v->vm, deadline);
	bt_kvmclock_update(v);
	if (v->vm->lockstep)
		bt_lockstep_resume(v);
	bt_debug_begin(v);
	bt_post(v, BT_REQ_IRQ | BT_REQ_TLB);
	result = run_loop(v);
	atomic_store(&v->running, false);
	bt_fpu_leave(v);
	return result;
}
