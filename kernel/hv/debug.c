/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A debugger outside of the guest (KVM_SET_GUEST_DEBUG): single steps, INT3, the processor's
 * breakpoint registers. The guest's own debug registers wait meanwhile, and it reads and writes
 * those.
 */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/emulate.h"
#include "kernel/hv/hv.h"

int64_t vcpu_set_debug(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_guest_debug *g = data;
	bool db = g->control & KVM_GUESTDBG_INJECT_DB;

	if (g->control & ~HV_DEBUG_CONTROL || g->arch.debugreg[7] >> 32)
		return -EINVAL;
	vcpu_state_to_cpu(v);
	if (g->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (v->again.event)
			return -EBUSY;
		v->s.dr[6] |= db ? v->run->debug.arch.dr6 & DR6_EVENTS : 0;
		v->s.rip += !db; /* past INT3 */
		vcpu_inject_exception(v, db ? VECTOR_DB : VECTOR_BP, false, 0);
	}
	if (v->debug.own_tf) /* a step that has not ended is given up */
		v->step_ends = false;
	v->debug.own_tf = 0;
	v->debug.control = g->control & KVM_GUESTDBG_ENABLE ? g->control : 0;
	memcpy(v->debug.dr, g->arch.debugreg, sizeof(v->debug.dr));
	return 0;
}

uint64_t debug_flags(struct hv_vcpu *v)
{
	bool step = v->debug.control & KVM_GUESTDBG_SINGLESTEP;

	v->debug.own_tf = step ? RFLAGS_TF & ~v->s.rflags : 0;
	return v->s.rflags | v->debug.own_tf;
}

static int to_debugger(struct hv_vcpu *v, unsigned vector, uint64_t dr6)
{
	vcpu_state_to_cpu(v);
	v->run->exit_reason = KVM_EXIT_DEBUG;
	v->run->debug.arch = (struct kvm_debug_exit_arch){.exception = vector,
							  .pc = v->s.seg[X86_CS].base + v->s.rip,
							  .dr6 = dr6 | DR6_FIXED,
							  .dr7 = v->debug.dr[7]};
	return 1;
}

int exit_debug(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	return to_debugger(v, x->kind == EXIT_DEBUG ? VECTOR_DB : VECTOR_BP, x->error);
}

/* An instruction that the processor did not execute itself ends in a trap as well. */
int debug_end_step(struct hv_vcpu *v)
{
	v->step_ends = false;
	if (v->debug.control & KVM_GUESTDBG_SINGLESTEP)
		return to_debugger(v, VECTOR_DB, DR6_BS);
	vcpu_state_to_cpu(v);
	v->s.dr[6] |= DR6_BS;
	v->s.activity = X86_ACTIVE;
	vcpu_inject_exception(v, VECTOR_DB, false, 0);
	return 0;
}

/* DR4 and DR5 are other names of DR6 and DR7. */
static bool move_dr(struct hv_vcpu *v, uint64_t *gpr, unsigned n, bool write)
{
	static const uint64_t ones[8] = {[6] = DR6_FIXED, [7] = DR7_FIXED};
	static const uint64_t zeros[8] = {[6] = 0x1000, [7] = 0xd800};

	n += n == 4 || n == 5 ? 2 : 0;
	if (write && n >= 6 && *gpr >> 32)
		return false;
	if (write)
		v->s.dr[n] = (*gpr | ones[n]) & ~zeros[n];
	else
		*gpr = v->s.dr[n];
	return true;
}

bool vcpu_write_cr8(struct hv_vcpu *v, uint64_t val)
{
	if (val > 15)
		return false;
	lapic_set_cr8(&v->lapic, (uint8_t)val);
	return true;
}

int exit_mov(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	const struct x86_insn *insn = &v->mmio.insn;
	unsigned special;
	uint64_t *gpr;
	bool write, done;

	vcpu_state_to_cpu(v);
	vcpu_put_fpu(v); /* with the debug registers */
	if (emu_decode(v))
		return emu_failed(v);
	write = insn->opnd[0].kind != X86_OPK_GPR;
	gpr = &v->s.gpr[insn->opnd[write].reg & 15];
	special = insn->opnd[!write].reg & 7;
	if (insn->opnd[0].kind != X86_OPK_CR && !v->debug.control) {
		v->dr_loaded = true; /* at the entry; it is executed again */
		return 0;
	}
	done = insn->opnd[0].kind == X86_OPK_CR ? vcpu_write_cr8(v, *gpr)
						: move_dr(v, gpr, special, write);
	if (done)
		vcpu_skip(v, v->s.rip + insn->len);
	else
		vcpu_inject_exception(v, VECTOR_GP, true, 0);
	return 0;
}
