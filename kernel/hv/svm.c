/* SPDX-License-Identifier: Apache-2.0 */
/* AMD-V with nested paging (AMD APM vol. 2, chapter 15). */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/hv.h"
#include "kernel/hv/vmcb.h"
#include "kernel/mm/page.h"

void svm_enter(uint64_t *gpr, uint64_t vmcb_phys, uint64_t host_phys);

struct svm_cpu {
	uint64_t host_vmcb; /* VMSAVE's place for the kernel's own state */
	uint32_t next_asid, max_asid;
	uint64_t generation; /* of ASIDs: all are new after it changes */
	bool on;
	uint64_t tsc_aux; /* what the MSR holds */
};

static struct svm_cpu per_cpu[MAX_CPUS];
static uint64_t iopm, msrpm;
static bool has_tsc_aux, has_next_rip;
static uint8_t flush_guest; /* TLB_FLUSH_GUEST, or what there is instead */

struct svm_vcpu {
	uint64_t asid_generation;
};

static struct vmcb *vmcb_of(const struct hv_vcpu *v)
{
	return phys_to_virt(v->hw_page);
}

/* ---- the processor --------------------------------------------------------------------------- */

/* MSRs that the guest reaches directly: they are in the VMCB. Two bits each, read and write. */
static void let_through(uint8_t *map, uint32_t msr)
{
	uint32_t bit = msr < 0x2000 ? msr * 2 : 0x800 * 8 + (msr - 0xc0000000) * 2;

	map[bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

static bool make_maps(void)
{
	uint8_t *map;

	iopm = page_alloc(2);
	msrpm = page_alloc(1);
	if (!iopm || !msrpm)
		return false;
	memset(phys_to_virt(iopm), 0xff, 4 * PAGE_SIZE);
	map = phys_to_virt(msrpm);
	memset(map, 0xff, 2 * PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(hv_direct_msrs); i++)
		let_through(map, hv_direct_msrs[i]);
	return true;
}

static bool probe(void)
{
	struct cpuid c = cpuid(0x80000001, 0), s;

	if (!(c.ecx & 1 << 2))
		return false;
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
		klog("AMD-V is switched off in the firmware's set-up");
		return false;
	}
	has_tsc_aux = c.edx & 1 << 27;
	s = cpuid(0x8000000a, 0);
	has_next_rip = s.edx & 1 << 3;
	flush_guest = s.edx & 1 << 6 ? TLB_FLUSH_GUEST : TLB_FLUSH_ALL;
	return s.edx & 1 /* nested paging */ && make_maps();
}

static int enable_cpu(void)
{
	struct svm_cpu *c = &per_cpu[this_cpu()->index];
	uint64_t save = page_alloc_zero(0);

	c->host_vmcb = page_alloc_zero(0);
	if (!save || !c->host_vmcb)
		return -ENOMEM;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, save);
	c->max_asid = MAX(cpuid(0x8000000a, 0).ebx, 2u) - 1;
	c->next_asid = 1;
	c->generation = 1;
	c->on = true;
	return 0;
}

/* ---- state ----------------------------------------------------------------------------------- */

static int vcpu_init(struct hv_vcpu *v)
{
	struct vmcb *b = vmcb_of(v);

	b->intercept1 = INTERCEPT1_INTR | INTERCEPT1_NMI | INTERCEPT1_SMI | INTERCEPT1_INIT |
			INTERCEPT1_RDPMC | INTERCEPT1_CPUID | INTERCEPT1_INVD | INTERCEPT1_HLT |
			INTERCEPT1_INVLPGA | INTERCEPT1_IO | INTERCEPT1_MSR | INTERCEPT1_TASK |
			INTERCEPT1_FERR | INTERCEPT1_SHUTDOWN;
	b->intercept2 = INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL | INTERCEPT2_VMLOAD |
			INTERCEPT2_VMSAVE | INTERCEPT2_STGI | INTERCEPT2_CLGI | INTERCEPT2_SKINIT |
			INTERCEPT2_WBINVD | INTERCEPT2_MONITOR | INTERCEPT2_MWAIT |
			INTERCEPT2_XSETBV;
	b->iopm = iopm;
	b->msrpm = msrpm;
	b->v_masking = 1;
	b->nested = 1;
	b->ncr3 = virt_to_phys(v->vm->npt);
	return 0;
}

static void put_seg(struct vmcb_seg *to, const struct x86_segment *s)
{
	bool unusable = s->attr & X86_ATTR_UNUSABLE;

	to->selector = s->selector;
	to->attr = unusable ? 0 : (uint16_t)((s->attr & 0xff) | (s->attr >> 4 & 0xf00));
	to->limit = s->limit;
	to->base = s->base;
}

static void get_seg(struct x86_segment *s, const struct vmcb_seg *from)
{
	s->selector = from->selector;
	s->attr = (from->attr & 0xffu) | (from->attr & 0xf00u) << 4;
	if (!(from->attr & 0x80))
		s->attr |= X86_ATTR_UNUSABLE;
	s->limit = from->limit;
	s->base = from->base;
}

/* What ends the masking of NMIs. */
static void tell_iret(struct vmcb *b, bool on)
{
	b->intercept1 = (b->intercept1 & ~INTERCEPT1_IRET) | (on ? INTERCEPT1_IRET : 0);
}

#define SEGMENTS(b)                                                        \
	{                                                                  \
		&(b)->es, &(b)->cs, &(b)->ss, &(b)->ds, &(b)->fs, &(b)->gs \
	}

static void load(struct hv_vcpu *v)
{
	struct vmcb *b = vmcb_of(v);
	const struct x86_cpu_state *s = &v->s;
	struct vmcb_seg *seg[X86_NSEG] = SEGMENTS(b);

	for (unsigned i = 0; i < X86_NSEG; i++)
		put_seg(seg[i], &s->seg[i]);
	put_seg(&b->ldtr, &s->ldt);
	put_seg(&b->tr, &s->tr);
	b->gdtr.base = s->gdt.base, b->gdtr.limit = s->gdt.limit;
	b->idtr.base = s->idt.base, b->idtr.limit = s->idt.limit;
	b->cpl = X86_ATTR_DPL(s->seg[X86_SS].attr);
	b->efer = s->efer | EFER_SVME;
	b->cr0 = s->cr0, b->cr2 = s->cr2, b->cr3 = s->cr3, b->cr4 = s->cr4;
	b->exceptions = 1u << VECTOR_MC /* the host's */ | debug_exceptions(v);
	b->dr_read = b->dr_write = debug_moves_leave(v) ? 0xffff : 0;
	b->dr6 = s->dr[6], b->dr7 = debug_registers(v)[7];
	b->rflags = debug_flags(v), b->rip = s->rip;
	b->star = s->star, b->lstar = s->lstar, b->cstar = s->cstar, b->sfmask = s->sfmask;
	b->kernel_gs_base = s->kernel_gs_base;
	b->sysenter_cs = s->sysenter_cs, b->sysenter_esp = s->sysenter_esp,
	b->sysenter_eip = s->sysenter_eip;
	b->pat = s->pat;
	b->shadow = s->interrupt_shadow;
	tell_iret(b, v->nmi_masked);
}

static void peek(struct hv_vcpu *v)
{
	const struct vmcb *b = vmcb_of(v);
	const struct vmcb_seg *seg[X86_NSEG] = SEGMENTS(b);
	struct x86_cpu_state *s = &v->s;

	for (unsigned i = 0; i < X86_NSEG; i++)
		get_seg(&s->seg[i], seg[i]);
	s->seg[X86_SS].attr = (s->seg[X86_SS].attr & ~0x60u) | (uint32_t)b->cpl << 5;
	s->efer = b->efer & ~EFER_SVME;
	s->cr0 = b->cr0, s->cr3 = b->cr3, s->cr4 = b->cr4;
	s->rip = b->rip;
}

static void save(struct hv_vcpu *v)
{
	struct vmcb *b = vmcb_of(v);
	struct x86_cpu_state *s = &v->s;

	vcpu_remember_event(v, (uint32_t)b->inject, b->inject >> 32); /* not delivered yet */
	b->inject = 0;
	peek(v);
	get_seg(&s->ldt, &b->ldtr);
	get_seg(&s->tr, &b->tr);
	s->gdt = (struct x86_table){b->gdtr.base, (uint16_t)b->gdtr.limit};
	s->idt = (struct x86_table){b->idtr.base, (uint16_t)b->idtr.limit};
	s->cr2 = b->cr2;
	s->dr[6] = b->dr6;
	s->dr[7] = debug_registers(v) == s->dr ? b->dr7 : s->dr[7];
	s->rflags = b->rflags & ~v->debug.own_tf;
	s->star = b->star, s->lstar = b->lstar, s->cstar = b->cstar, s->sfmask = b->sfmask;
	s->kernel_gs_base = b->kernel_gs_base;
	s->sysenter_cs = b->sysenter_cs, s->sysenter_esp = b->sysenter_esp,
	s->sysenter_eip = b->sysenter_eip;
	s->pat = b->pat;
	s->interrupt_shadow = b->shadow & 1;
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool interruptible(struct hv_vcpu *v)
{
	const struct vmcb *b = vmcb_of(v);

	return b->rflags & RFLAGS_IF && !(b->shadow & 1) && !b->inject;
}

static void inject(struct hv_vcpu *v, uint32_t event, uint32_t error)
{
	struct vmcb *b = vmcb_of(v);

	b->inject = event | (uint64_t)error << 32;
	if (EVENT_TYPE(event) == EVENT_NMI)
		tell_iret(b, true);
}

/* A virtual interrupt of no priority: its moment comes as an exit. */
static void request_window(struct hv_vcpu *v)
{
	struct vmcb *b = vmcb_of(v);

	b->v_irq = 1;
	b->v_prio = V_IGN_TPR;
	b->intercept1 |= INTERCEPT1_VINTR;
}

static void close_window(struct vmcb *b)
{
	b->v_irq = 0;
	b->intercept1 &= ~INTERCEPT1_VINTR;
}

static void skip(struct hv_vcpu *v, uint64_t next_rip)
{
	struct vmcb *b = vmcb_of(v);

	b->rip = next_rip;
	b->shadow = 0;
}

/* ---- exits ----------------------------------------------------------------------------------- */

static const uint8_t exit_kinds[0x90] = {
	[SVM_EXIT_DR... SVM_EXIT_DR + 31] = EXIT_MOV,
	[SVM_EXIT_CR8_WRITE] = EXIT_MOV,
	[SVM_EXIT_DB] = EXIT_DEBUG,
	[SVM_EXIT_BP] = EXIT_BREAKPOINT,
	[SVM_EXIT_CPUID] = EXIT_CPUID,
	[SVM_EXIT_HLT] = EXIT_HLT,
	[SVM_EXIT_IO] = EXIT_IO,
	[SVM_EXIT_SHUTDOWN] = EXIT_SHUTDOWN,
	[SVM_EXIT_VMMCALL] = EXIT_HYPERCALL,
	[SVM_EXIT_XSETBV] = EXIT_XSETBV,
	[SVM_EXIT_INVD] = EXIT_SKIP,
	[SVM_EXIT_WBINVD] = EXIT_SKIP,
	[SVM_EXIT_RDPMC] = EXIT_PROTECTION,
	[SVM_EXIT_INVLPGA] = EXIT_UNDEFINED,
	[SVM_EXIT_VMRUN] = EXIT_UNDEFINED,
	[SVM_EXIT_VMLOAD... SVM_EXIT_SKINIT] = EXIT_UNDEFINED,
	[SVM_EXIT_MONITOR... SVM_EXIT_MWAIT] = EXIT_UNDEFINED,
	[SVM_EXIT_TASK... SVM_EXIT_FERR] = EXIT_FAILED,
	[SVM_EXIT_INIT] = EXIT_AGAIN,
};

/* Where the processor does not tell the next instruction: lengths, without needless prefixes. */
static const uint8_t lengths[0x90] = {
	[SVM_EXIT_CPUID] = 2,   [SVM_EXIT_HLT] = 1,    [SVM_EXIT_MSR] = 2,    [SVM_EXIT_INVD] = 2,
	[SVM_EXIT_VMMCALL] = 3, [SVM_EXIT_WBINVD] = 2, [SVM_EXIT_XSETBV] = 3,
};

static uint64_t next_rip(const struct vmcb *b)
{
	if (has_next_rip)
		return b->next_rip;
	return b->rip + (b->exit_code < ARRAY_SIZE(lengths) ? lengths[b->exit_code] : 0);
}

static void describe_io(struct hv_exit_info *x, const struct vmcb *b)
{
	x->port = (uint16_t)(b->exit_info1 >> 16);
	x->size = b->exit_info1 >> 4 & 7;
	x->in = b->exit_info1 & 1;
	x->string = b->exit_info1 >> 2 & 1;
	x->rep = b->exit_info1 >> 3 & 1;
	x->next_rip = b->exit_info2;
}

static void describe(struct hv_vcpu *v, struct hv_exit_info *x)
{
	struct vmcb *b = vmcb_of(v);
	uint64_t code = b->exit_code;

	*x = (struct hv_exit_info){.next_rip = next_rip(b), .reason = code, .kind = EXIT_AGAIN};
	if (code == SVM_EXIT_NPF) {
		x->kind = EXIT_PAGE;
		x->gpa = b->exit_info2;
		x->error = b->exit_info1;
		x->gpa_final = b->exit_info1 & NPF_FINAL;
	} else if (code == SVM_EXIT_MSR) {
		x->kind = b->exit_info1 ? EXIT_MSR_WRITE : EXIT_MSR_READ;
	} else if (code == SVM_EXIT_VINTR) {
		close_window(b);
	} else if (code == SVM_EXIT_IRET) {
		v->nmi_masked = false;
		tell_iret(b, false);
	} else if (code == SVM_EXIT_MC) {
		__asm__ volatile("int $18"); /* the host's, and not yet delivered */
	} else if (code >= ARRAY_SIZE(exit_kinds)) {
		x->kind = EXIT_FAILED;
	} else {
		x->kind = exit_kinds[code];
		if (x->kind == EXIT_IO)
			describe_io(x, b);
		if (x->kind == EXIT_DEBUG) { /* the guest's own DR6 shows nothing of it */
			x->error = b->dr6;
			b->dr6 = v->s.dr[6];
		}
	}
}

/* ---- running --------------------------------------------------------------------------------- */

static void choose_asid(struct hv_vcpu *v, struct svm_cpu *c)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *b = vmcb_of(v);

	b->tlb_control = 0;
	if (v->last_cpu != (int)this_cpu()->index || s->asid_generation != c->generation) {
		if (c->next_asid > c->max_asid) {
			c->next_asid = 1;
			c->generation++;
			b->tlb_control = TLB_FLUSH_ALL;
		}
		b->asid = c->next_asid++;
		s->asid_generation = c->generation;
		v->last_cpu = (int)this_cpu()->index;
		v->flush = true; /* the number may have been another one's */
	}
	if (__atomic_exchange_n(&v->flush, false, __ATOMIC_SEQ_CST) && !b->tlb_control)
		b->tlb_control = flush_guest;
}

/* RDTSCP and RDPID read it directly; the kernel has no use of its own for it. */
static void set_tsc_aux(struct svm_cpu *c, uint64_t val)
{
	if (!has_tsc_aux || c->tsc_aux == val)
		return;
	wrmsr(MSR_TSC_AUX, val);
	c->tsc_aux = val;
}

static void run(struct hv_vcpu *v, struct hv_exit_info *x)
{
	struct svm_cpu *c = &per_cpu[this_cpu()->index];
	struct vmcb *b = vmcb_of(v);
	uint8_t tpr = lapic_get_cr8(&v->lapic);
	bool window = b->intercept1 & INTERCEPT1_VINTR;

	if (!c->on && enable_cpu()) {
		x->kind = EXIT_FAILED;
		return;
	}
	choose_asid(v, c);
	set_tsc_aux(c, v->s.tsc_aux);
	b->clean = 0;
	b->tsc_offset = v->tsc_offset;
	b->v_tpr = tpr;
	/*
	 * What it holds back comes when the guest lowers it; below 32 are no interrupts. QEMU 7.2
	 * asserts at a write while there is a window.
	 */
	b->cr_write = window || (tpr > 1 && lapic_requested(&v->lapic) >= 0) ? 1u << 8 : 0;
	b->rax = v->s.gpr[X86_RAX];
	b->rsp = v->s.gpr[X86_RSP];
	svm_enter(v->s.gpr, v->hw_page, c->host_vmcb);
	v->s.gpr[X86_RAX] = b->rax;
	v->s.gpr[X86_RSP] = b->rsp;
	v->s.rflags = b->rflags;
	if ((b->v_tpr & 15) != tpr)
		lapic_set_cr8(&v->lapic, b->v_tpr & 15);
	b->inject = 0;
	vcpu_remember_event(v, (uint32_t)b->exit_int_info, b->exit_int_info >> 32);
	describe(v, x);
}

const struct hv_ops hv_svm = {
	.name = "AMD-V with nested paging",
	.probe = probe,
	.enable_cpu = enable_cpu,
	.hw_size = sizeof(struct svm_vcpu),
	.vcpu_init = vcpu_init,
	.load = load,
	.save = save,
	.peek = peek,
	.run = run,
	.interruptible = interruptible,
	.inject = inject,
	.request_window = request_window,
	.skip = skip,
};
