/* SPDX-License-Identifier: Apache-2.0 */
/* Registers to and from the VMCS, in forms that an entry accepts (Intel SDM vol. 3, 27.3.1). */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/vmx.h"

/* Bits that the guest sees as it set them while the processor has what it needs: NE is on, caches
 * are not switched off. */
#define CR0_HOST (CR0_NE | CR0_NW | CR0_CD)
#define CR4_HOST (CR4_VMXE | CR4_SMXE)

/* ---- segments -------------------------------------------------------------------------------- */

enum {
	SEG_LDTR = X86_NSEG,
	SEG_TR,
};

static void put_seg(unsigned n, const struct x86_segment *s, uint32_t rights)
{
	if (!(rights & X86_ATTR_P))
		rights |= X86_ATTR_UNUSABLE;
	vmwrite(GUEST_SELECTOR + 2 * n, s->selector);
	vmwrite(GUEST_BASE + 2 * n, s->base);
	vmwrite(GUEST_LIMIT + 2 * n, s->limit);
	vmwrite(GUEST_RIGHTS + 2 * n, rights & RIGHTS_MASK);
}

static void get_seg(unsigned n, struct x86_segment *s)
{
	s->selector = (uint16_t)vmread(GUEST_SELECTOR + 2 * n);
	s->base = vmread(GUEST_BASE + 2 * n);
	s->limit = (uint32_t)vmread(GUEST_LIMIT + 2 * n);
	s->attr = (uint32_t)vmread(GUEST_RIGHTS + 2 * n) & RIGHTS_MASK;
}

/* Loaded segments are marked accessed, TR is always there and busy. */
static void load_segments(const struct x86_cpu_state *s)
{
	for (unsigned i = 0; i < X86_NSEG; i++)
		put_seg(i, &s->seg[i], s->seg[i].attr | (s->seg[i].attr & X86_ATTR_P ? 1 : 0));
	put_seg(SEG_LDTR, &s->ldt, s->ldt.attr);
	put_seg(SEG_TR, &s->tr, (s->tr.attr & ~X86_ATTR_UNUSABLE) | X86_ATTR_P | 3);
	vmwrite(GUEST_GDTR_BASE, s->gdt.base);
	vmwrite(GUEST_GDTR_LIMIT, s->gdt.limit);
	vmwrite(GUEST_IDTR_BASE, s->idt.base);
	vmwrite(GUEST_IDTR_LIMIT, s->idt.limit);
}

static void save_tables(struct x86_cpu_state *s)
{
	get_seg(SEG_LDTR, &s->ldt);
	get_seg(SEG_TR, &s->tr);
	s->gdt = (struct x86_table){vmread(GUEST_GDTR_BASE), (uint16_t)vmread(GUEST_GDTR_LIMIT)};
	s->idt = (struct x86_table){vmread(GUEST_IDTR_BASE), (uint16_t)vmread(GUEST_IDTR_LIMIT)};
}

/* ---- control registers ----------------------------------------------------------------------- */

/* An entry into PAE paging takes the four top entries from the VMCS, not from memory. */
static void load_pdptes(struct hv_vcpu *v)
{
	const struct x86_cpu_state *s = &v->s;
	uint64_t e[4] = {0};

	if (!(s->cr0 & CR0_PG) || !(s->cr4 & CR4_PAE) || s->efer & EFER_LMA)
		return;
	guest_read(v->vm, s->cr3 & 0xffffffe0, e, sizeof(e));
	for (unsigned i = 0; i < 4; i++)
		vmwrite(GUEST_PDPTE + 2 * i, e[i]);
}

static void load_control(struct hv_vcpu *v)
{
	const struct x86_cpu_state *s = &v->s;
	uint64_t entry = vmread(ENTRY_CONTROLS) & ~(uint64_t)ENTRY_GUEST_64;

	vmwrite(CR0_MASK, CR0_HOST);
	vmwrite(CR0_SHADOW, s->cr0);
	vmwrite(GUEST_CR0, (s->cr0 & ~(CR0_NW | CR0_CD)) | CR0_NE | CR0_ET);
	vmwrite(CR4_MASK, CR4_HOST);
	vmwrite(CR4_SHADOW, s->cr4);
	vmwrite(GUEST_CR4, s->cr4 | CR4_VMXE);
	vmwrite(GUEST_CR3, s->cr3);
	vmwrite(GUEST_EFER, s->efer);
	vmwrite(ENTRY_CONTROLS, entry | (s->efer & EFER_LMA ? ENTRY_GUEST_64 : 0));
	vmwrite(GUEST_PAT, s->pat);
	load_pdptes(v);
	vmx_hw(v)->stale = true;
}

void vmx_peek(struct hv_vcpu *v)
{
	struct x86_cpu_state *s = &v->s;

	vmx_use(v);
	for (unsigned i = 0; i < X86_NSEG; i++)
		get_seg(i, &s->seg[i]);
	s->cr0 = (vmread(GUEST_CR0) & ~CR0_HOST) | (vmread(CR0_SHADOW) & CR0_HOST);
	s->cr4 = (vmread(GUEST_CR4) & ~CR4_HOST) | (vmread(CR4_SHADOW) & CR4_HOST);
	s->cr3 = vmread(GUEST_CR3);
	s->efer = vmread(GUEST_EFER);
	s->rip = vmread(GUEST_RIP);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* A step in a shadow is still to come; Bochs tells so of others, which come again. */
void vmx_settle_step(uint64_t rflags)
{
	bool shadow = vmread(GUEST_INTERRUPTIBILITY) & (BLOCKED_STI | BLOCKED_MOVSS);

	vmwrite(GUEST_PENDING_DEBUG, shadow && rflags & RFLAGS_TF ? PENDING_BS : 0);
}

/* STI's shadow needs IF; the other kind fits always. */
static void load_shadow(const struct hv_vcpu *v)
{
	const struct x86_cpu_state *s = &v->s;
	uint64_t kind = s->rflags & RFLAGS_IF ? BLOCKED_STI : BLOCKED_MOVSS;
	uint64_t cpu = vmread(CPU_CONTROLS) & ~(uint64_t)(CPU_NMI_WINDOW | CPU_DR);

	vmwrite(CPU_CONTROLS,
		cpu | (v->nmi_masked ? CPU_NMI_WINDOW : 0) | (debug_moves_leave(v) ? CPU_DR : 0));
	vmwrite(GUEST_INTERRUPTIBILITY,
		(v->nmi_masked ? BLOCKED_NMI : 0) |
			(s->interrupt_shadow && !v->debug.own_tf ? kind : 0));
	vmx_settle_step(s->rflags);
}

void vmx_load(struct hv_vcpu *v)
{
	const struct x86_cpu_state *s = &v->s;

	vmx_use(v);
	load_segments(s);
	load_control(v);
	vmwrite(EXCEPTION_BITMAP, 1u << VECTOR_MC /* the host's */ | debug_exceptions(v));
	vmwrite(GUEST_DR7, debug_registers(v)[7]);
	vmwrite(GUEST_RFLAGS, debug_flags(v));
	load_shadow(v);
	vmwrite(GUEST_RIP, s->rip);
	vmwrite(GUEST_SYSENTER_CS, s->sysenter_cs);
	vmwrite(GUEST_SYSENTER_ESP, s->sysenter_esp);
	vmwrite(GUEST_SYSENTER_EIP, s->sysenter_eip);
}

void vmx_save(struct hv_vcpu *v)
{
	struct x86_cpu_state *s = &v->s;
	uint64_t blocked;

	vmx_use(v);
	vcpu_remember_event(v, (uint32_t)vmread(ENTRY_EVENT), (uint32_t)vmread(ENTRY_ERROR));
	vmwrite(ENTRY_EVENT, 0);
	vmx_peek(v);
	save_tables(s);
	s->pat = vmread(GUEST_PAT);
	blocked = vmread(GUEST_INTERRUPTIBILITY);
	s->interrupt_shadow = blocked & (BLOCKED_STI | BLOCKED_MOVSS) ? 1 : 0;
	v->nmi_masked &= (blocked & BLOCKED_NMI) != 0;
	if (debug_registers(v) == s->dr)
		s->dr[7] = vmread(GUEST_DR7);
	s->rflags = vmread(GUEST_RFLAGS) & ~v->debug.own_tf;
	s->sysenter_cs = vmread(GUEST_SYSENTER_CS);
	s->sysenter_esp = vmread(GUEST_SYSENTER_ESP);
	s->sysenter_eip = vmread(GUEST_SYSENTER_EIP);
	vmx_release(v); /* whoever asked may be another thread than the vCPU's */
}

/* ---- MSRs outside the VMCS ------------------------------------------------------------------- */

static const uint32_t swapped[] = {
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
};

void vmx_load_msrs(struct hv_vcpu *v)
{
	struct vmx_vcpu *h = vmx_hw(v);

	if (h->msrs_loaded)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(swapped); i++) {
		h->host_msr[i] = rdmsr(swapped[i]);
		wrmsr(swapped[i], *msr_field(v, swapped[i]));
	}
	h->msrs_loaded = true;
}

void vmx_save_msrs(struct hv_vcpu *v)
{
	struct vmx_vcpu *h = vmx_hw(v);

	if (!h->msrs_loaded)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(swapped); i++) {
		*msr_field(v, swapped[i]) = rdmsr(swapped[i]);
		wrmsr(swapped[i], h->host_msr[i]);
	}
	h->msrs_loaded = false;
}
