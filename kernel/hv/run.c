/* SPDX-License-Identifier: Apache-2.0 */
/* KVM_RUN: into the guest, and what is done with its exits. */
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/fpu.h"
#include "kernel/hv/emulate.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/page.h"
#include "kernel/sys/signal.h"
#include "x86/registers.h"

void vcpu_kick(struct hv_vcpu *v)
{
	SPIN_GUARD(&v->lock);

	if (v->thread)
		thread_kick(v->thread);
}

void vcpu_state_to_cpu(struct hv_vcpu *v)
{
	if (!v->in_hardware)
		return;
	v->vm->ops->save(v);
	v->in_hardware = false;
}

void vcpu_skip(struct hv_vcpu *v, uint64_t next_rip)
{
	if (v->in_hardware) {
		v->vm->ops->skip(v, next_rip);
	} else {
		v->s.rip = next_rip;
		v->s.interrupt_shadow = 0;
	}
	v->step_ends = (v->s.rflags | v->debug.own_tf) & RFLAGS_TF;
}

void vcpu_inject_exception(struct hv_vcpu *v, unsigned vector, bool has_error, uint32_t error)
{
	v->again.event = EVENT(EVENT_EXCEPTION, vector) | (has_error ? EVENT_ERROR : 0);
	v->again.error = error;
}

/* INT n is executed again. */
void vcpu_remember_event(struct hv_vcpu *v, uint32_t event, uint32_t error)
{
	if (!(event & EVENT_VALID) || EVENT_TYPE(event) > EVENT_EXCEPTION)
		return;
	if (EVENT_TYPE(event) == EVENT_NMI) {
		v->nmi_pending = true;
		v->nmi_masked = false;
		return;
	}
	v->again.event = event & (EVENT_VALID | EVENT_ERROR | 0x7ff);
	v->again.error = error;
}

void vcpu_reset(struct hv_vcpu *v, bool init)
{
	struct x86_cpu_state *s = &v->s;

	vcpu_state_to_cpu(v);
	v->flush = true;
	v->again.event = 0;
	v->nmi_pending = v->nmi_masked = v->step_ends = false;
	memset(s->gpr, 0, sizeof(s->gpr));
	memset(s->dr, 0, sizeof(s->dr));
	s->rip = 0xfff0;
	s->rflags = 2;
	s->gpr[X86_RDX] = 0x600;
	for (unsigned i = 0; i < X86_NSEG; i++)
		s->seg[i] = (struct x86_segment){.limit = 0xffff, .attr = 0x93};
	s->seg[X86_CS] = (struct x86_segment){
		.base = 0xffff0000, .limit = 0xffff, .attr = 0x9b, .selector = 0xf000};
	s->ldt = (struct x86_segment){.limit = 0xffff, .attr = 0x82};
	s->tr = (struct x86_segment){.limit = 0xffff, .attr = 0x8b};
	s->gdt = s->idt = (struct x86_table){.limit = 0xffff};
	s->cr0 = (init ? s->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW) | 0x10;
	s->cr2 = s->cr3 = s->cr4 = s->efer = s->interrupt_shadow = 0;
	s->dr[6] = DR6_FIXED;
	s->dr[7] = DR7_FIXED;
	if (init)
		return;
	s->pat = 0x0007040600070406ull;
	s->xcr0 = s->misc_enable = 1;
	fpu_init_area(v->guest_fpu);
}

/* ---- INIT, SIPI, halting --------------------------------------------------------------------- */

static void take_init(struct hv_vcpu *v)
{
	v->init_pending = false;
	lapic_reset(&v->lapic);
	vcpu_reset(v, true);
	v->s.activity = v->index ? X86_WAIT_SIPI : X86_ACTIVE;
}

static void take_sipi(struct hv_vcpu *v)
{
	v->sipi_pending = false;
	if (v->s.activity != X86_WAIT_SIPI)
		return;
	vcpu_state_to_cpu(v);
	v->s.seg[X86_CS].selector = (uint16_t)(v->sipi_vector << 8);
	v->s.seg[X86_CS].base = (uint64_t)v->sipi_vector << 12;
	v->s.rip = 0;
	v->s.activity = X86_ACTIVE;
}

static bool pic_wants(struct hv_vcpu *v)
{
	return v->index == 0 && lapic_accepts_extint(&v->lapic) && pic_hw_output(&v->vm->chips.pic);
}

static bool awake(struct hv_vcpu *v)
{
	if (v->init_pending || v->sipi_pending || v->run->immediate_exit)
		return true;
	if (v->s.activity == X86_WAIT_SIPI)
		return false;
	if (v->timer_fired) {
		v->timer_fired = false;
		lapic_timer_fired(&v->lapic);
	}
	if (v->nmi_pending && !v->nmi_masked)
		return true;
	return v->s.rflags & RFLAGS_IF && (lapic_pending(&v->lapic) >= 0 || pic_wants(v));
}

/* 0: it goes on; -EINTR */
static int sleep(struct hv_vcpu *v)
{
	int rc = WAIT_FOR(&v->wait, NEVER, awake(v));

	if (rc || v->run->immediate_exit)
		return -EINTR;
	if (v->s.activity == X86_HALTED && !v->init_pending)
		v->s.activity = X86_ACTIVE;
	return 0;
}

/* ---- injection ------------------------------------------------------------------------------- */

static void inject_interrupt(struct hv_vcpu *v)
{
	int vector = lapic_pending(&v->lapic);
	bool pic = vector < 0 && pic_wants(v);

	if (vector < 0 && !pic)
		return;
	if (!v->vm->ops->interruptible(v)) {
		v->vm->ops->request_window(v);
		return;
	}
	if (pic) {
		LOCKED(&v->vm->lock)
			vector = pic_hw_acknowledge(&v->vm->chips.pic);
	} else {
		lapic_accept(&v->lapic, (uint8_t)vector);
	}
	v->vm->ops->inject(v, EVENT(EVENT_EXTERNAL, (unsigned)vector), 0);
}

static void inject_events(struct hv_vcpu *v)
{
	if (v->timer_fired) {
		v->timer_fired = false;
		lapic_timer_fired(&v->lapic);
	}
	if (v->again.event) {
		v->vm->ops->inject(v, v->again.event, v->again.error);
		v->again.event = 0;
		if (lapic_pending(&v->lapic) >= 0)
			v->vm->ops->request_window(v);
		return;
	}
	if (v->debug.control & KVM_GUESTDBG_BLOCKIRQ)
		return;
	if (v->nmi_pending && !v->nmi_masked) {
		v->nmi_pending = false;
		v->nmi_masked = true;
		v->vm->ops->inject(v, EVENT(EVENT_NMI, 2), 0);
		return;
	}
	inject_interrupt(v);
}

/* ---- vector registers ------------------------------------------------------------------------ */

static void swap_debug_registers(struct hv_vcpu *v, bool to_guest)
{
	const uint64_t *dr = debug_registers(v);

	if (to_guest) {
		write_dr0(dr[0]);
		write_dr1(dr[1]);
		write_dr2(dr[2]);
		write_dr3(dr[3]);
	} else if (dr == v->s.dr) {
		v->s.dr[0] = read_dr0();
		v->s.dr[1] = read_dr1();
		v->s.dr[2] = read_dr2();
		v->s.dr[3] = read_dr3();
	}
}

/* With the debug registers, if it uses them: both are the guest's until another thread may run. */
static void load_guest_fpu(struct hv_vcpu *v)
{
	if (v->fpu_loaded)
		return;
	fpu_save(current_thread()->fpu);
	fpu_load(v->guest_fpu);
	if (fpu_has_xsave() && v->s.xcr0 != fpu_features())
		xsetbv(v->s.xcr0);
	v->dr_loaded |= (debug_registers(v)[7] & DR7_ACTIVE) != 0;
	if (v->dr_loaded)
		swap_debug_registers(v, true);
	v->fpu_loaded = true;
}

void vcpu_put_fpu(struct hv_vcpu *v)
{
	if (!v->fpu_loaded)
		return;
	if (fpu_has_xsave() && v->s.xcr0 != fpu_features())
		xsetbv(fpu_features());
	fpu_save(v->guest_fpu);
	if (v->dr_loaded) {
		vcpu_state_to_cpu(v); /* with DR7: it may have changed */
		swap_debug_registers(v, false);
		v->dr_loaded = false;
	}
	fpu_load(current_thread()->fpu);
	v->fpu_loaded = false;
}

/* Another thread may run on this CPU now. */
static void leave_cpu(struct hv_vcpu *v)
{
	vcpu_put_fpu(v);
	if (v->vm->ops->release)
		v->vm->ops->release(v);
}

/* ---- ports ----------------------------------------------------------------------------------- */

int port_to_owner(struct hv_vcpu *v, const struct hv_exit_info *x, uint64_t val)
{
	v->run->exit_reason = KVM_EXIT_IO;
	v->run->io.direction = x->in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	v->run->io.size = x->size;
	v->run->io.port = x->port;
	v->run->io.count = 1;
	v->run->io.data_offset = PAGE_SIZE;
	memcpy(v->port_data, &val, 8);
	v->io = *x;
	return 1;
}

static void begin_emulation(struct hv_vcpu *v, bool gpa_known)
{
	v->mmio.gpa_known = gpa_known;
	v->mmio.decoded = false;
	v->mmio.answered = v->mmio.next = 0;
}

/* 1: to the owner */
static int port_access(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	uint32_t val = (uint32_t)v->s.gpr[X86_RAX];

	if (x->string) {
		begin_emulation(v, false);
		return emulate_string_io(v, x);
	}
	if (x->size < 4)
		val &= (1u << x->size * 8) - 1;
	vcpu_skip(v, x->next_rip);
	if (!x->in && ioevent_signal(v->vm, true, x->port, x->size, val))
		return 0;
	if (x->size == 1 && chips_port(v->vm, x->port, !x->in, &val)) {
		if (x->in)
			emu_set_gpr(v, X86_RAX, 1, val);
		return 0;
	}
	v->pending = x->in ? PENDING_IN : PENDING_NONE;
	return port_to_owner(v, x, val);
}

/* The owner has served the access it was told of. */
static int complete(struct hv_vcpu *v)
{
	enum hv_pending p = v->pending;
	uint32_t val = 0;

	v->pending = PENDING_NONE;
	if (p == PENDING_IN) {
		memcpy(&val, v->port_data, v->io.size);
		emu_set_gpr(v, X86_RAX, v->io.size, val);
	} else if (p == PENDING_STRING_IN) {
		memcpy(&v->mmio.answer[v->mmio.answered++], v->port_data, 8);
		return emulate_string_io(v, &v->io);
	} else if (p == PENDING_MMIO) {
		memcpy(&v->mmio.answer[v->mmio.answered++], v->run->mmio.data, 8);
		return emulate_mmio(v);
	}
	return 0;
}

/* ---- exits ----------------------------------------------------------------------------------- */

static int exit_msr(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	uint32_t msr = (uint32_t)v->s.gpr[X86_RCX];
	uint64_t val = (v->s.gpr[X86_RAX] & 0xffffffff) | v->s.gpr[X86_RDX] << 32;
	bool write = x->kind == EXIT_MSR_WRITE;

	if (!(write ? msr_set(v, msr, val, false) : msr_get(v, msr, &val))) {
		vcpu_inject_exception(v, VECTOR_GP, true, 0);
		return 0;
	}
	if (!write) {
		v->s.gpr[X86_RAX] = (uint32_t)val;
		v->s.gpr[X86_RDX] = val >> 32;
	}
	vcpu_skip(v, x->next_rip);
	return 0;
}

static int exit_hlt(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	vcpu_skip(v, x->next_rip);
	if (!v->vm->has_chips) { /* as KVM without chips: the owner decides */
		v->run->exit_reason = KVM_EXIT_HLT;
		return 1;
	}
	v->s.activity = X86_HALTED;
	return 0;
}

static int exit_page(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	int rc = npt_fault(v->vm, x->gpa, x->error & 2);

	if (rc != -ENOENT)
		return rc;
	v->io = *x;
	begin_emulation(v, x->gpa_final);
	return emulate_mmio(v);
}

static int exit_shutdown(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 1;
}

static int exit_hypercall(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	v->s.gpr[X86_RAX] = (uint64_t)-1000; /* KVM_ENOSYS */
	vcpu_skip(v, x->next_rip);
	return 0;
}

static int exit_xsetbv(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	uint64_t val = (v->s.gpr[X86_RAX] & 0xffffffff) | v->s.gpr[X86_RDX] << 32;
	const struct kvm_cpuid_entry2 *e = find_cpuid(v, 0xd, 0);
	uint64_t allowed = e ? (e->eax | (uint64_t)e->edx << 32) & fpu_features() : 1;

	if ((uint32_t)v->s.gpr[X86_RCX] || !x86_xcr0_valid(val, allowed)) {
		vcpu_inject_exception(v, VECTOR_GP, true, 0);
		return 0;
	}
	vcpu_put_fpu(v);
	v->s.xcr0 = val;
	vcpu_skip(v, x->next_rip);
	return 0;
}

static int exit_skip(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	vcpu_skip(v, x->next_rip);
	return 0;
}

static int exit_refused(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	bool ud = x->kind == EXIT_UNDEFINED;

	vcpu_inject_exception(v, ud ? VECTOR_UD : VECTOR_GP, !ud, 0);
	return 0;
}

static int exit_failed(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	v->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	v->run->fail_entry.hardware_entry_failure_reason = x->reason;
	return 1;
}

static int exit_again(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	return 0;
}

static int (*const exits[])(struct hv_vcpu *, const struct hv_exit_info *) = {
	[EXIT_AGAIN] = exit_again,
	[EXIT_CPUID] = exit_cpuid,
	[EXIT_MSR_READ] = exit_msr,
	[EXIT_MSR_WRITE] = exit_msr,
	[EXIT_HLT] = exit_hlt,
	[EXIT_IO] = port_access,
	[EXIT_PAGE] = exit_page,
	[EXIT_SHUTDOWN] = exit_shutdown,
	[EXIT_HYPERCALL] = exit_hypercall,
	[EXIT_XSETBV] = exit_xsetbv,
	[EXIT_SKIP] = exit_skip,
	[EXIT_UNDEFINED] = exit_refused,
	[EXIT_PROTECTION] = exit_refused,
	[EXIT_DEBUG] = exit_debug,
	[EXIT_BREAKPOINT] = exit_debug,
	[EXIT_MOV] = exit_mov,
	[EXIT_FAILED] = exit_failed,
};

/* ---- the loop -------------------------------------------------------------------------------- */

/* Interrupts are off from the last look at requests to the entry, so a kick ends it at once. */
static void enter_guest(struct hv_vcpu *v, struct hv_exit_info *x)
{
	load_guest_fpu(v);
	if (!v->in_hardware) {
		v->vm->ops->load(v);
		v->in_hardware = true;
	}
	__atomic_store_n(&v->in_guest, true, __ATOMIC_SEQ_CST);
	if (this_cpu()->need_resched || signal_pending(current_thread()) || v->init_pending) {
		x->kind = EXIT_AGAIN; /* an event injected now would be lost under the next one */
	} else {
		inject_events(v);
		v->vm->ops->run(v, x);
	}
	__atomic_store_n(&v->in_guest, false, __ATOMIC_RELEASE);
	v->exits++;
}

static void give_way(struct hv_vcpu *v)
{
	leave_cpu(v);
	schedule();
}

static int64_t loop(struct hv_vcpu *v)
{
	struct hv_exit_info x = {0};
	int rc;

	for (;;) {
		if (v->step_ends && debug_end_step(v))
			return 0;
		if (v->run->immediate_exit || signal_pending(current_thread()))
			return -EINTR;
		if (v->init_pending) {
			leave_cpu(v); /* with what is loaded from before INIT */
			take_init(v);
		}
		if (v->sipi_pending)
			take_sipi(v);
		if (v->s.activity != X86_ACTIVE) {
			leave_cpu(v);
			rc = sleep(v);
			if (rc)
				return rc;
			continue;
		}
		__asm__ volatile("cli" ::: "memory");
		if (this_cpu()->need_resched)
			give_way(v);
		else
			enter_guest(v, &x);
		__asm__ volatile("sti" ::: "memory");
		rc = exits[x.kind](v, &x);
		x.kind = EXIT_AGAIN;
		if (rc)
			return rc > 0 ? 0 : rc;
	}
}

int64_t vcpu_run(struct hv_vcpu *v)
{
	struct thread *t = current_thread();
	int64_t rc;

	LOCKED(&v->lock)
		v->thread = t;
	t->vcpu = v;
	rc = complete(v);
	if (!rc)
		rc = loop(v);
	else
		rc = rc > 0 ? 0 : rc;
	leave_cpu(v); /* the rest stays in the hardware's structure until somebody asks */
	t->vcpu = NULL;
	LOCKED(&v->lock)
		v->thread = NULL;
	if (rc == -EINTR)
		v->run->exit_reason = KVM_EXIT_INTR;
	v->run->if_flag = v->s.rflags >> 9 & 1;
	v->run->cr8 = lapic_get_cr8(&v->lapic);
	v->run->apic_base = v->lapic.hw.base;
	return rc;
}
