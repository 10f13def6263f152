/* SPDX-License-Identifier: Apache-2.0 */
/* Registers to and from KVM's structures. */
#include "x86/kvmstate.h"

/* ---- general registers ----------------------------------------------------------------------- */

/* In the order of struct kvm_regs. */
static const uint8_t reg_order[X86_NGPR] = {
	X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RSP, X86_RBP,
	X86_R8,  X86_R9,  X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15,
};

void regs_from_kvm(const struct kvm_regs *k, struct x86_cpu_state *s)
{
	for (unsigned i = 0; i < X86_NGPR; i++)
		s->gpr[reg_order[i]] = (&k->rax)[i];
	s->rip = k->rip;
	s->rflags = k->rflags;
}

void regs_to_kvm(const struct x86_cpu_state *s, struct kvm_regs *k)
{
	for (unsigned i = 0; i < X86_NGPR; i++)
		(&k->rax)[i] = s->gpr[reg_order[i]];
	k->rip = s->rip;
	k->rflags = s->rflags;
}

/* ---- system registers ------------------------------------------------------------------------ */

static struct x86_segment segment_from_kvm(const struct kvm_segment *k)
{
	return (struct x86_segment){
		.base = k->base,
		.limit = k->limit,
		.selector = k->selector,
		.attr = (k->type & 15u) | (k->s & 1u) << 4 | (k->dpl & 3u) << 5 |
			(k->present & 1u) << 7 | (k->avl & 1u) << 12 | (k->l & 1u) << 13 |
			(k->db & 1u) << 14 | (k->g & 1u) << 15 | (k->unusable & 1u) << 16,
	};
}

static struct kvm_segment segment_to_kvm(const struct x86_segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = X86_ATTR_TYPE(s->attr),
		.s = !!(s->attr & X86_ATTR_S),
		.dpl = X86_ATTR_DPL(s->attr),
		.present = !!(s->attr & X86_ATTR_P),
		.avl = s->attr >> 12 & 1,
		.l = !!(s->attr & X86_ATTR_L),
		.db = !!(s->attr & X86_ATTR_DB),
		.g = !!(s->attr & X86_ATTR_G),
		.unusable = !!(s->attr & X86_ATTR_UNUSABLE),
	};
}

void sregs_from_kvm(const struct kvm_sregs *k, struct x86_cpu_state *s)
{
	const struct kvm_segment *seg[X86_NSEG] = {&k->es, &k->cs, &k->ss, &k->ds, &k->fs, &k->gs};

	for (unsigned i = 0; i < X86_NSEG; i++)
		s->seg[i] = segment_from_kvm(seg[i]);
	s->ldt = segment_from_kvm(&k->ldt);
	s->tr = segment_from_kvm(&k->tr);
	s->gdt = (struct x86_table){k->gdt.base, k->gdt.limit};
	s->idt = (struct x86_table){k->idt.base, k->idt.limit};
	s->cr0 = k->cr0;
	s->cr2 = k->cr2;
	s->cr3 = k->cr3;
	s->cr4 = k->cr4;
	s->cr8 = k->cr8;
	s->efer = k->efer;
	s->apic_base = k->apic_base;
}

void sregs_to_kvm(const struct x86_cpu_state *s, struct kvm_sregs *k)
{
	*k = (struct kvm_sregs){
		.es = segment_to_kvm(&s->seg[X86_ES]),
		.cs = segment_to_kvm(&s->seg[X86_CS]),
		.ss = segment_to_kvm(&s->seg[X86_SS]),
		.ds = segment_to_kvm(&s->seg[X86_DS]),
		.fs = segment_to_kvm(&s->seg[X86_FS]),
		.gs = segment_to_kvm(&s->seg[X86_GS]),
		.ldt = segment_to_kvm(&s->ldt),
		.tr = segment_to_kvm(&s->tr),
		.gdt = {.base = s->gdt.base, .limit = s->gdt.limit},
		.idt = {.base = s->idt.base, .limit = s->idt.limit},
		.cr0 = s->cr0,
		.cr2 = s->cr2,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.cr8 = s->cr8,
		.efer = s->efer,
		.apic_base = s->apic_base,
	};
}

/* ---- debug registers ------------------------------------------------------------------------- */

void debugregs_from_kvm(const struct kvm_debugregs *k, struct x86_cpu_state *s)
{
	for (unsigned i = 0; i < 4; i++)
		s->dr[i] = k->db[i];
	s->dr[6] = k->dr6;
	s->dr[7] = k->dr7;
}

void debugregs_to_kvm(const struct x86_cpu_state *s, struct kvm_debugregs *k)
{
	*k = (struct kvm_debugregs){.dr6 = s->dr[6], .dr7 = s->dr[7]};
	for (unsigned i = 0; i < 4; i++)
		k->db[i] = s->dr[i];
}

/* ---- local APIC and activity ----------------------------------------------------------------- */

/* Register n at byte 16 * n. */
void lapic_from_kvm(const struct kvm_lapic_state *k, uint32_t regs[LAPIC_NREGS])
{
	for (unsigned i = 0; i < LAPIC_NREGS; i++)
		__builtin_memcpy(&regs[i], k->regs + 16 * i, sizeof(regs[i]));
}

void lapic_to_kvm(const uint32_t regs[LAPIC_NREGS], struct kvm_lapic_state *k)
{
	*k = (struct kvm_lapic_state){0};
	for (unsigned i = 0; i < LAPIC_NREGS; i++)
		__builtin_memcpy(k->regs + 16 * i, &regs[i], sizeof(regs[i]));
}

uint8_t activity_from_kvm(uint32_t mp_state)
{
	return mp_state == KVM_MP_STATE_RUNNABLE ? X86_ACTIVE
	       : mp_state == KVM_MP_STATE_HALTED ? X86_HALTED
						 : X86_WAIT_SIPI;
}

uint32_t activity_to_kvm(uint8_t activity)
{
	static const uint32_t states[] = {
		[X86_ACTIVE] = KVM_MP_STATE_RUNNABLE,
		[X86_HALTED] = KVM_MP_STATE_HALTED,
		[X86_WAIT_SIPI] = KVM_MP_STATE_INIT_RECEIVED,
	};

	return states[activity];
}
