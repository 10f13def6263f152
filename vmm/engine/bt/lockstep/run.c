/* SPDX-License-Identifier: Apache-2.0 */
/* One block after the other, by the vCPU and then by the twin. */
#include "vmm/engine/bt/lockstep/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "vmm/engine/bt/debug.h"
#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/translate/translate.h"

#define LOCK_TURN   4096       /* blocks; then the main thread gets its turn of the lock */
#define LOCK_GAP_NS 50000      /* enough for it to wake up */
#define MEMORY_TURN (8u << 20) /* blocks between comparisons of all memory */

void bt_lockstep_begin(struct bt_vcpu *v)
{
	struct lockstep *l = v->vm->lockstep;

	if (l->stale)
		twin_take_over(l);
	l->twin->fault_pending = false;
	if (v->fault_pending)
		bt_deliver_fault(l->twin);
}

void bt_lockstep_resume(struct bt_vcpu *v)
{
	struct lockstep *l = v->vm->lockstep;

	bt_kvmclock_update(l->twin);
	log_take_dma(l);
}

static void yield_lock(struct bt_vcpu *v)
{
	const struct timespec gap = {.tv_nsec = LOCK_GAP_NS};

	bt_fpu_leave(v);
	bt_syscall(SYS_nanosleep, (long)&gap, 0, 0, 0);
	bt_fpu_enter(v);
}

static void begin_block(struct lockstep *l)
{
	struct bt_vcpu *v = l->main;

	log_take_dma(l);
	log_reset(l);
	twin_take_table_bits(l); /* of an interrupt just delivered */
	l->nwrites = 0;
	l->wrong = NULL;
	l->lost = false;
	l->faulting = NO_FAULT;
	l->start = v->rip;
	l->start_flags = v->rflags;
	memcpy(l->start_gpr, v->gpr, sizeof(v->gpr));
}

/* Of an instruction that faults, accesses to the world outside may be in the log. */
static bool is_even(const struct lockstep *l)
{
	return l->twin->rip == l->main->rip && (log_is_empty(l) || l->faulting != NO_FAULT);
}

/*
 * The twin goes until it agrees with the vCPU; at least `least` instructions. It may come by the
 * vCPU's RIP before it is there: only at the end is a difference one.
 */
static bool follow(struct lockstep *l, unsigned least)
{
	for (unsigned n = 0; n < MAX_INSNS && !l->lost; n++) {
		if (n >= least && is_even(l) && compare_all(l))
			return true;
		bt_interpret_one(l->twin);
	}
	compare_differs(l, "the interpreter does not get to RIP", l->start, l->main->rip,
			l->twin->rip);
	return false;
}

/* An instruction that neither translates: the interpreter twice, with its own memory each. */
static bool both_interpret(struct lockstep *l)
{
	bt_interpret_one(l->main);
	if (bt_is_stopped(l->main) && l->main->rip == l->start)
		return true; /* a debugger's point: not executed */
	bt_interpret_one(l->twin);
	if (l->twin->rip != l->main->rip) {
		compare_differs(l, "RIP", 0, l->main->rip, l->twin->rip);
		return false;
	}
	return !l->lost && compare_all(l);
}

/* A repeated string instruction has done some of its work before it faults. */
static bool is_repeated(struct lockstep *l)
{
	struct x86_insn in;

	return code_decode(l, l->main->rip, &in) && (in.prefixes & (X86_PFX_REP | X86_PFX_REPN)) &&
	       in.desc->cls == X86_CLS_STRING;
}

/* Where the faulting instruction begins; what it has changed already is compared behind it. */
static bool follow_to_fault(struct lockstep *l)
{
	if (!is_repeated(l))
		return follow(l, 0);
	for (unsigned n = 0; n < MAX_INSNS && l->twin->rip != l->main->rip; n++)
		bt_interpret_one(l->twin);
	l->twin->rflags = l->main->rflags; /* dead ones are pushed */
	return l->twin->rip == l->main->rip;
}

static bool deliver_fault(struct lockstep *l)
{
	uint8_t vector = l->main->fault.vector;

	/*
	 * INT n and INT1: RIP is behind them; MOV DR changes DR6 and DR7; a task switch may fault
	 * in the new task. All flags are live before these.
	 */
	if (l->main->fault.is_int || vector == EXC_DB || l->main->rip - l->start >= BT_PAGE) {
		bt_deliver_fault(l->main);
		return follow(l, 1);
	}
	l->faulting = vector;
	if (!follow_to_fault(l))
		return false;
	l->faulting = NO_FAULT;
	twin_vectors_out(l); /* it may go out of the engine: see report_outside() */
	bt_deliver_fault(l->main);
	bt_interpret_one(l->twin); /* meets the same fault */
	if (l->twin->rip == l->main->rip)
		return compare_all(l);
	compare_differs(l, "the interpreter does not raise exception", vector, l->main->rip,
			l->twin->rip);
	return false;
}

static bool run_block(struct lockstep *l)
{
	struct bt_vcpu *v = l->main;

	if (v->interrupt_shadow || (v->mode & (BT_MODE_STEP | BT_MODE_POINTS))) {
		bool same = both_interpret(l);

		if (v->irq_blocked)
			bt_post(v, BT_REQ_IRQ);
		return same;
	}
	switch (bt_translate_block(v)) {
	case BT_BLOCK_NONE:
		return both_interpret(l);
	case BT_BLOCK_RAN:
		return follow(l, 1);
	case BT_BLOCK_FAULT:
		return deliver_fault(l);
	default: /* at a block's entry, where the flags that it does not read are gone already */
		return follow(l, 0);
	}
}

bool bt_lockstep_run(struct bt_vcpu *v)
{
	struct lockstep *l = v->vm->lockstep;
	bool same;

	if (l->stale) { /* INIT, or more written by a device than the log holds */
		bt_fpu_leave(v);
		twin_take_over(l);
		bt_fpu_enter(v);
	}
	begin_block(l);
	same = run_block(l);
	twin_take_table_bits(l);
	twin_vectors_out(l);
	if (++l->blocks % LOCK_TURN == 0)
		yield_lock(v);
	if (same && l->blocks % MEMORY_TURN == 0)
		same = compare_memory(l);
	if (!same) {
		bt_fpu_leave(v);
		report_difference(l);
		bt_fpu_enter(v);
	}
	return same;
}

void bt_lockstep_error(const struct bt_vcpu *v, struct err *e)
{
	err_set(e, -EIO, "%s", v->vm->lockstep->report);
}
