/* SPDX-License-Identifier: Apache-2.0 */
/* Control and debug registers, CPUID, time-stamp counter, caches and TLBs, halting. */
#include "vmm/engine/bt/interp/interp.h"

#include <sys/syscall.h>

#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/translate/translate.h"
#include "x86/cpuid.h"
#include "x86/registers.h"

/* ---- interrupts and halting ------------------------------------------------------------------ */

static bool may_change_if(const struct bt_vcpu *v)
{
	return v->cpl <= (v->rflags >> 12 & 3);
}

bool bt_op_cli(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	if (!may_change_if(v))
		return bt_raise_error(v, EXC_GP, 0);
	v->rflags &= ~(uint64_t)FL_IF;
	return true;
}

bool bt_op_sti(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	if (!may_change_if(v))
		return bt_raise_error(v, EXC_GP, 0);
	if (!(v->rflags & FL_IF))
		v->interrupt_shadow = X86_SHADOW_STI;
	bt_set_rflags(v, v->rflags | FL_IF);
	return true;
}

/* The run loop waits. A request makes the interpreter and the translator return to it. */
bool bt_op_hlt(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	v->activity = X86_HALTED;
	v->stat.halts++;
	bt_post(v, BT_REQ_IRQ);
	return true;
}

/*
 * Whom the guest spins for may be a vCPU that waits for this host processor. Every BT_PAUSES-th
 * PAUSE gives it up, however the tiers take turns.
 */
bool bt_op_pause(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	if (v->pauses-- > 1)
		return true;
	v->pauses = BT_PAUSES;
	v->stat.yields++;
	bt_syscall(SYS_sched_yield, 0, 0, 0, 0);
	return true;
}

bool bt_op_monitor(struct bt_vcpu *v, const struct x86_insn *in)
{
	gva_t gva;
	uint64_t val;

	return bt_seg_linear(v, in->mem.seg, bt_reg(v, X86_RAX, in->addrsize), 1, BT_READ, &gva) &&
	       bt_load(v, gva, 1, &val);
}

/* Leaving MWAIT at once is allowed, and the guest then looks at its memory again. */
bool bt_op_mwait(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)v, (void)in;
	return true;
}

/* ---- control registers ----------------------------------------------------------------------- */

#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)

/* Paging is being switched on with EFER.LME, or off: EFER.LMA follows. */
static bool switch_long_mode(struct bt_vcpu *v, uint64_t val)
{
	if (!(v->efer & EFER_LME) || !((v->cr0 ^ val) & CR0_PG))
		return true;
	if (!(val & CR0_PG)) {
		if (v->mode & BT_MODE_CODE64)
			return bt_raise_error(v, EXC_GP, 0);
		v->efer &= ~(uint64_t)EFER_LMA;
		return true;
	}
	if (!(v->cr4 & CR4_PAE) || (v->seg[X86_CS].attr & X86_ATTR_L))
		return bt_raise_error(v, EXC_GP, 0);
	v->efer |= EFER_LMA;
	return true;
}

static bool write_cr0(struct bt_vcpu *v, uint64_t val)
{
	uint64_t old = v->cr0;

	if (!x86_cr0_valid(val))
		return bt_raise_error(v, EXC_GP, 0);
	if (!(val & CR0_PG) && (v->cr4 & CR4_PCIDE))
		return bt_raise_error(v, EXC_GP, 0);
	val = (val & CR0_KNOWN) | CR0_ET;
	if ((val & CR0_PG) && !(old & CR0_PG) && !(v->efer & EFER_LME) && (v->cr4 & CR4_PAE) &&
	    !bt_load_pdptes(v, v->cr3))
		return bt_raise_error(v, EXC_GP, 0);
	if (!switch_long_mode(v, val))
		return false;
	v->cr0 = val;
	if ((old ^ val) & (CR0_PG | CR0_PE))
		bt_flush_all(v);
	bt_mode_changed(v);
	return true;
}

static bool write_cr3(struct bt_vcpu *v, uint64_t val)
{
	bool keep = (v->cr4 & CR4_PCIDE) && val >> 63;

	if (v->cr4 & CR4_PCIDE)
		val &= ~(1ull << 63);
	if (bt_long(v) && val >> v->vm->cfg.cpu->phys_bits)
		return bt_raise_error(v, EXC_GP, 0);
	if (!bt_long(v) && (v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE) && !bt_load_pdptes(v, val))
		return bt_raise_error(v, EXC_GP, 0);
	v->cr3 = val;
	if (!keep)
		bt_flush_cr3(v, false);
	bt_view_select(v);
	return true;
}

/* CR4 bits that the guest's CPU model has. */
static uint64_t cr4_known(const struct cpu_model *m)
{
	static const struct {
		uint32_t bit;
		uint16_t feature;
	} row[] = {
		{CR4_VME | CR4_PVI, X86_FEAT_VME},
		{CR4_TSD, X86_FEAT_TSC},
		{CR4_DE, X86_FEAT_DE},
		{CR4_PSE, X86_FEAT_PSE},
		{CR4_PAE, X86_FEAT_PAE},
		{CR4_PGE, X86_FEAT_PGE},
		{CR4_OSFXSR, X86_FEAT_FXSR},
		{CR4_OSXMMEXCPT, X86_FEAT_SSE},
		{CR4_UMIP, X86_FEAT_UMIP},
		{CR4_FSGSBASE, X86_FEAT_FSGSBASE},
		{CR4_PCIDE, X86_FEAT_PCID},
		{CR4_OSXSAVE, X86_FEAT_XSAVE},
		{CR4_SMEP, X86_FEAT_SMEP},
		{CR4_SMAP, X86_FEAT_SMAP},
	};
	/* UEFI firmware sets MCE without asking; no machine check ever comes. */
	uint64_t known = CR4_PCE | CR4_MCE;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (m->has[row[i].feature])
			known |= row[i].bit;
	return known;
}

static bool write_cr4(struct bt_vcpu *v, uint64_t val)
{
	uint64_t old = v->cr4;

	if (val & ~cr4_known(v->vm->cfg.cpu))
		return bt_raise_error(v, EXC_GP, 0);
	if (bt_long(v) && !(val & CR4_PAE))
		return bt_raise_error(v, EXC_GP, 0);
	if ((val & ~old & CR4_PCIDE) && (!bt_long(v) || (v->cr3 & 0xfff)))
		return bt_raise_error(v, EXC_GP, 0);
	if ((v->cr0 & CR0_PG) && !bt_long(v) && (val & ~old & CR4_PAE) &&
	    !bt_load_pdptes(v, v->cr3))
		return bt_raise_error(v, EXC_GP, 0);
	v->cr4 = val;
	if ((old ^ val) & CR4_PAGING)
		bt_flush_all(v);
	bt_mode_changed(v);
	return true;
}

static bool write_cr8(struct bt_vcpu *v, uint64_t val)
{
	if (val >> 4)
		return bt_raise_error(v, EXC_GP, 0);
	bt_logged(v, LOG_CR8, 1, val);
	if (bt_is_twin(v))
		return true;
	lapic_set_cr8(&v->lapic, (uint8_t)val);
	bt_post(v, BT_REQ_IRQ);
	return true;
}

static uint64_t read_cr(struct bt_vcpu *v, unsigned n)
{
	switch (n) {
	case 0:
		return v->cr0;
	case 2:
		return v->cr2;
	case 3:
		return v->cr3;
	case 4:
		return v->cr4;
	default:
		return bt_logged(v, LOG_CR8, 0, lapic_get_cr8(&v->lapic));
	}
}

bool bt_op_mov_cr(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;

	if (in->opnd[0].kind == X86_OPK_GPR) {
		bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, read_cr(v, in->opnd[1].reg));
		return true;
	}
	val = bt_reg(v, in->opnd[1].reg, in->opnd[1].size);
	switch (in->opnd[0].reg) {
	case 0:
		return write_cr0(v, val);
	case 2:
		v->cr2 = val;
		return true;
	case 3:
		return write_cr3(v, val);
	case 4:
		return write_cr4(v, val);
	default:
		return write_cr8(v, val);
	}
}

bool bt_op_clts(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	v->cr0 &= ~(uint64_t)CR0_TS;
	bt_mode_changed(v);
	return true;
}

/* LMSW sets PE, MP, EM, TS, and cannot clear PE. */
bool bt_op_lmsw(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;

	if (!bt_get(v, in, 0, &val))
		return false;
	return write_cr0(v, (v->cr0 & ~0xeull) | (val & 0xf));
}

bool bt_op_smsw(struct bt_vcpu *v, const struct x86_insn *in)
{
	if (v->cpl && (v->cr4 & CR4_UMIP))
		return bt_raise_error(v, EXC_GP, 0);
	if (in->opnd[0].kind == X86_OPK_GPR) {
		bt_reg_set(v, in->opnd[0].reg, in->opsize, v->cr0);
		return true;
	}
	return bt_put(v, in, 0, v->cr0 & 0xffff);
}

bool bt_op_xgetbv(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint32_t index = (uint32_t)v->gpr[X86_RCX];
	uint64_t val = v->xcr0;

	(void)in;
	bt_use_vectors(v);
	if (!(v->cr4 & CR4_OSXSAVE))
		return bt_raise(v, EXC_UD);
	if (index == 1 && v->vm->cfg.cpu->has[X86_FEAT_XGETBV1])
		val = bt_logged(v, LOG_INUSE, 1, bt_fpu_inuse(v));
	else if (index)
		return bt_raise_error(v, EXC_GP, 0);
	v->gpr[X86_RAX] = (uint32_t)val;
	v->gpr[X86_RDX] = val >> 32;
	return true;
}

bool bt_op_xsetbv(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val = (uint32_t)v->gpr[X86_RAX] | v->gpr[X86_RDX] << 32;

	(void)in;
	if (!(v->cr4 & CR4_OSXSAVE))
		return bt_raise(v, EXC_UD);
	if ((uint32_t)v->gpr[X86_RCX] || !x86_xcr0_valid(val, v->vm->cfg.cpu->xcr0_allowed))
		return bt_raise_error(v, EXC_GP, 0);
	v->xcr0 = val;
	bt_mode_changed(v);
	return true;
}

/* ---- debug registers ------------------------------------------------------------------------- */

bool bt_op_mov_dr(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool read = in->opnd[0].kind == X86_OPK_GPR;
	unsigned n = in->opnd[read ? 1 : 0].reg;
	uint64_t val;

	if (n == 4 || n == 5) {
		if (v->cr4 & CR4_DE)
			return bt_raise(v, EXC_UD);
		n += 2;
	}
	if (v->dr[7] & DR7_GD) {
		v->dr[6] |= DR6_BD;
		return bt_raise(v, EXC_DB);
	}
	if (read) {
		bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, v->dr[n]);
		return true;
	}
	val = bt_reg(v, in->opnd[1].reg, in->opnd[1].size);
	if (n >= 6 && val >> 32)
		return bt_raise_error(v, EXC_GP, 0);
	if (n == 6)
		val = (val & 0xe00f) | 0xffff0ff0;
	if (n == 7)
		val = (val & 0xffff2bff) | 0x400;
	bt_flush_watched(v);
	v->dr[n] = val;
	bt_flush_watched(v);
	bt_mode_changed(v);
	bt_translate_points(v);
	return true;
}

/* ---- TLB and caches -------------------------------------------------------------------------- */

bool bt_op_invlpg(struct bt_vcpu *v, const struct x86_insn *in)
{
	gva_t gva = bt_effective(v, in);

	if (bt_canonical(gva))
		bt_flush_page(v, gva);
	return true;
}

bool bt_op_invpcid(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t type = bt_reg(v, in->opnd[0].reg, in->opnd[0].size), desc[2];
	gva_t gva;

	if (!bt_operand_linear(v, in, 16, BT_READ, &gva) || !bt_read(v, gva, desc, 16))
		return false;
	if (type > 3 || desc[0] >> 12 || (type == 0 && !bt_canonical(desc[1])) ||
	    (type < 2 && !(v->cr4 & CR4_PCIDE) && desc[0]))
		return bt_raise_error(v, EXC_GP, 0);
	if (type == 0)
		bt_flush_page(v, desc[1]);
	else if (type == 1)
		bt_flush_pcid(v, desc[0] & 0xfff);
	else
		bt_flush_all(v);
	return true;
}

bool bt_op_wbinvd(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)v, (void)in;
	return true;
}

static bool set_ac(struct bt_vcpu *v, bool ac)
{
	bt_set_rflags(v, ac ? v->rflags | FL_AC : v->rflags & ~(uint64_t)FL_AC);
	return true;
}

bool bt_op_clac(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return set_ac(v, false);
}

bool bt_op_stac(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return set_ac(v, true);
}

#define KVM_EPERM  1
#define KVM_ENOSYS 1000

/*
 * CPUID says KVM, so a call to it must have an answer, with either vendor's instruction: that there
 * is no such call. Linux's PTP driver asks for one that no feature bit announces.
 */
bool bt_op_hypercall(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	bt_reg_set(v, X86_RAX, bt_long(v) && (v->mode & BT_MODE_CODE64) ? 8 : 4,
		   v->cpl ? -(uint64_t)KVM_EPERM : -(uint64_t)KVM_ENOSYS);
	return true;
}

/* ---- identification, counters, random numbers ------------------------------------------------ */

bool bt_op_cpuid(struct bt_vcpu *v, const struct x86_insn *in)
{
	const struct cpuid_context ctx = {
		.apic_id = v->index, .nvcpus = v->vm->cfg.nvcpus, .cr4 = v->cr4, .xcr0 = v->xcr0};
	struct cpuid_regs r;

	(void)in;
	cpuid_answer(v->vm->cfg.cpu, &ctx, (uint32_t)v->gpr[X86_RAX], (uint32_t)v->gpr[X86_RCX],
		     &r);
	v->gpr[X86_RAX] = r.eax;
	v->gpr[X86_RBX] = r.ebx;
	v->gpr[X86_RCX] = r.ecx;
	v->gpr[X86_RDX] = r.edx;
	return true;
}

bool bt_op_rdtsc(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t tsc;

	(void)in;
	if ((v->cr4 & CR4_TSD) && v->cpl)
		return bt_raise_error(v, EXC_GP, 0);
	tsc = bt_read_tsc(v);
	v->gpr[X86_RAX] = (uint32_t)tsc;
	v->gpr[X86_RDX] = tsc >> 32;
	return true;
}

bool bt_op_rdtscp(struct bt_vcpu *v, const struct x86_insn *in)
{
	if (!bt_op_rdtsc(v, in))
		return false;
	v->gpr[X86_RCX] = (uint32_t)v->tsc_aux;
	return true;
}

bool bt_op_rdpid(struct bt_vcpu *v, const struct x86_insn *in)
{
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, v->tsc_aux);
	return true;
}

/* No performance counters. */
bool bt_op_rdpmc(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return bt_raise_error(v, EXC_GP, 0);
}

static bool random_result(struct bt_vcpu *v, const struct x86_insn *in, uint64_t val, bool ok)
{
	v->rflags = (v->rflags & ~(uint64_t)FL_STATUS) | (ok ? FL_CF : 0);
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, ok ? val : 0);
	return true;
}

bool bt_op_rdrand(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;
	bool ok;

	__asm__ volatile("rdrand %0" : "=r"(val), "=@ccc"(ok));
	val = bt_logged(v, LOG_RANDOM, 0, val);
	ok = bt_logged(v, LOG_RANDOM, 1, ok);
	return random_result(v, in, val, ok);
}

bool bt_op_rdseed(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;
	bool ok;

	__asm__ volatile("rdseed %0" : "=r"(val), "=@ccc"(ok));
	val = bt_logged(v, LOG_RANDOM, 0, val);
	ok = bt_logged(v, LOG_RANDOM, 1, ok);
	return random_result(v, in, val, ok);
}
