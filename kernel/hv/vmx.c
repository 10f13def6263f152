/* SPDX-License-Identifier: Apache-2.0 */
/* VT-x with EPT: entries and exits (Intel SDM vol. 3, chapters 26 to 28). */
#include "kernel/hv/vmx.h"
#include "kernel/cpu/cpu.h"
#include "kernel/mm/page.h"
#include "x86/registers.h"

bool vmx_enter(uint64_t *gpr, bool launched);

static uint64_t msr_bitmap;

/* ---- a vCPU ---------------------------------------------------------------------------------- */

/* MSRs that the guest reaches directly. A quarter of the page each: low and high numbers, read and
 * write. */
static void let_through(uint8_t *map, uint32_t msr)
{
	uint32_t byte = (msr & 0x1fff) / 8 + (msr >= 0xc0000000 ? 0x400 : 0);

	map[byte] &= (uint8_t) ~(1u << msr % 8);
	map[0x800 + byte] &= (uint8_t) ~(1u << msr % 8);
}

static bool make_bitmap(void)
{
	uint64_t page = page_alloc(0);

	if (!page)
		return false;
	memset(phys_to_virt(page), 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(hv_direct_msrs); i++)
		let_through(phys_to_virt(page), hv_direct_msrs[i]);
	msr_bitmap = page;
	return true;
}

static bool probe(void)
{
	return vmx_probe() && make_bitmap();
}

static int vcpu_init(struct hv_vcpu *v)
{
	if (vmx_prepare_cpus())
		return -ENOMEM;
	vmx_set_revision(v->hw_page);
	vmx_hw(v)->eptp = virt_to_phys(v->vm->npt) | EPT_LEVELS | EPT_WRITEBACK;
	vmx_use(v);
	vmx_set_controls(v, msr_bitmap);
	vmx_release(v);
	return 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void set_bit(unsigned field, uint64_t bit)
{
	vmwrite(field, vmread(field) | bit);
}

static void clear_bits(unsigned field, uint64_t bits)
{
	vmwrite(field, vmread(field) & ~bits);
}

static bool interruptible(struct hv_vcpu *v)
{
	vmx_use(v);
	return vmread(GUEST_RFLAGS) & RFLAGS_IF &&
	       !(vmread(GUEST_INTERRUPTIBILITY) & (BLOCKED_STI | BLOCKED_MOVSS)) &&
	       !(vmread(ENTRY_EVENT) & EVENT_VALID);
}

static void inject(struct hv_vcpu *v, uint32_t event, uint32_t error)
{
	vmx_use(v);
	if (!(vmread(GUEST_CR0) & CR0_PE)) /* real mode has no error codes */
		event &= ~EVENT_ERROR;
	vmwrite(ENTRY_EVENT, event);
	vmwrite(ENTRY_ERROR, error);
	if (EVENT_TYPE(event) == EVENT_NMI) {
		clear_bits(GUEST_INTERRUPTIBILITY, BLOCKED_STI | BLOCKED_MOVSS | BLOCKED_NMI);
		set_bit(CPU_CONTROLS, CPU_NMI_WINDOW); /* tells of its IRET */
	}
}

static void request_window(struct hv_vcpu *v)
{
	vmx_use(v);
	set_bit(CPU_CONTROLS, CPU_INTERRUPT_WINDOW);
}

static void skip(struct hv_vcpu *v, uint64_t next_rip)
{
	vmx_use(v);
	vmwrite(GUEST_RIP, next_rip);
	clear_bits(GUEST_INTERRUPTIBILITY, BLOCKED_STI | BLOCKED_MOVSS);
}

/* ---- control registers ----------------------------------------------------------------------- */

static bool cr0_allowed(const struct x86_cpu_state *s, uint64_t val)
{
	bool wide = s->seg[X86_CS].attr & X86_ATTR_L;

	if (!x86_cr0_valid(val))
		return false;
	if (s->efer & EFER_LMA)
		return val & CR0_PG || !wide;
	return !(val & CR0_PG && s->efer & EFER_LME) || (s->cr4 & CR4_PAE && !wide);
}

/* Exits when a bit changes that the guest does not own: NE and those of the caches. */
static enum hv_exit set_guest_cr0(struct hv_vcpu *v, uint64_t val)
{
	struct x86_cpu_state *s = &v->s;

	vcpu_state_to_cpu(v);
	if (!cr0_allowed(s, val))
		return EXIT_PROTECTION;
	s->cr0 = val | CR0_ET;
	s->efer &= ~EFER_LMA;
	if (val & CR0_PG && s->efer & EFER_LME)
		s->efer |= EFER_LMA;
	return EXIT_SKIP;
}

static enum hv_exit access_cr(struct hv_vcpu *v, uint64_t what)
{
	uint64_t *reg = &v->s.gpr[what >> 8 & 15];
	bool write = !(what & 0x30);

	switch (what & 15) {
	case 0:
		return set_guest_cr0(v, *reg);
	case 8:
		if (write)
			return vcpu_write_cr8(v, *reg) ? EXIT_SKIP : EXIT_PROTECTION;
		*reg = lapic_get_cr8(&v->lapic);
		return EXIT_SKIP;
	default: /* CR4: VMX, which the guest was not promised */
		return EXIT_PROTECTION;
	}
}

/* ---- exits ----------------------------------------------------------------------------------- */

/* Others, 0 here, are failures. */
#define KNOWN(kind) ((kind) + 1)

static const uint8_t exit_kinds[VMX_EXIT_KINDS] = {
	[VMX_EXIT_EXCEPTION] = KNOWN(EXIT_AGAIN),
	[VMX_EXIT_EXTERNAL] = KNOWN(EXIT_AGAIN),
	[VMX_EXIT_TRIPLE_FAULT] = KNOWN(EXIT_SHUTDOWN),
	[VMX_EXIT_INIT... VMX_EXIT_SIPI] = KNOWN(EXIT_AGAIN),
	[VMX_EXIT_INTERRUPT_WINDOW... VMX_EXIT_NMI_WINDOW] = KNOWN(EXIT_AGAIN),
	[VMX_EXIT_CPUID] = KNOWN(EXIT_CPUID),
	[VMX_EXIT_GETSEC] = KNOWN(EXIT_UNDEFINED),
	[VMX_EXIT_HLT] = KNOWN(EXIT_HLT),
	[VMX_EXIT_INVD] = KNOWN(EXIT_SKIP),
	[VMX_EXIT_RDPMC] = KNOWN(EXIT_PROTECTION),
	[VMX_EXIT_RSM] = KNOWN(EXIT_UNDEFINED),
	[VMX_EXIT_VMCALL] = KNOWN(EXIT_HYPERCALL),
	[VMX_EXIT_VMCLEAR... VMX_EXIT_VMXON] = KNOWN(EXIT_UNDEFINED),
	[VMX_EXIT_DR] = KNOWN(EXIT_MOV),
	[VMX_EXIT_IO] = KNOWN(EXIT_IO),
	[VMX_EXIT_RDMSR] = KNOWN(EXIT_MSR_READ),
	[VMX_EXIT_WRMSR] = KNOWN(EXIT_MSR_WRITE),
	[VMX_EXIT_MWAIT] = KNOWN(EXIT_UNDEFINED),
	[VMX_EXIT_MONITOR] = KNOWN(EXIT_UNDEFINED),
	[VMX_EXIT_MACHINE_CHECK] = KNOWN(EXIT_AGAIN),
	[VMX_EXIT_EPT_VIOLATION] = KNOWN(EXIT_PAGE),
	[VMX_EXIT_INVEPT] = KNOWN(EXIT_UNDEFINED),
	[VMX_EXIT_PREEMPTION_TIMER] = KNOWN(EXIT_AGAIN),
	[VMX_EXIT_INVVPID] = KNOWN(EXIT_UNDEFINED),
	[VMX_EXIT_WBINVD] = KNOWN(EXIT_SKIP),
	[VMX_EXIT_XSETBV] = KNOWN(EXIT_XSETBV),
};

static void describe_io(struct hv_exit_info *x, uint64_t what)
{
	x->port = (uint16_t)(what >> 16);
	x->size = (uint8_t)((what & 7) + 1);
	x->in = what >> 3 & 1;
	x->string = what >> 4 & 1;
	x->rep = what >> 5 & 1;
}

static void describe_page(struct hv_exit_info *x, uint64_t what)
{
	x->gpa = vmread(GUEST_PHYSICAL);
	x->error = (what & VIOLATION_PRESENT ? 1u : 0) | (what & VIOLATION_WRITE) |
		   (what & VIOLATION_FETCH ? 16u : 0);
	x->gpa_final = (what & VIOLATION_FINAL) == VIOLATION_FINAL;
	if (what & VIOLATION_IRET && !(vmread(VECTORING_EVENT) & EVENT_VALID))
		set_bit(GUEST_INTERRUPTIBILITY, BLOCKED_NMI); /* the IRET comes again */
}

/* NMIs and machine checks are the host's, others a debugger's. */
static void describe_exception(struct hv_exit_info *x, uint64_t event, uint64_t what)
{
	x->error = what;
	if (EVENT_TYPE(event) == EVENT_NMI)
		__asm__ volatile("int $2");
	else if (EVENT_VECTOR(event) == VECTOR_MC)
		__asm__ volatile("int $18");
	else if (EVENT_VECTOR(event) == VECTOR_DB)
		x->kind = EXIT_DEBUG;
	else if (EVENT_VECTOR(event) == VECTOR_BP)
		x->kind = EXIT_BREAKPOINT;
}

static void describe(struct hv_vcpu *v, struct hv_exit_info *x)
{
	uint64_t reason = vmread(EXIT_REASON), what = vmread(QUALIFICATION);

	*x = (struct hv_exit_info){.reason = reason, .kind = EXIT_FAILED};
	x->next_rip = vmread(GUEST_RIP) + vmread(INSTRUCTION_LENGTH);
	if (reason < VMX_EXIT_KINDS && exit_kinds[reason])
		x->kind = exit_kinds[reason] - 1;
	if (reason == VMX_EXIT_EPT_VIOLATION) {
		describe_page(x, what);
	} else if (reason == VMX_EXIT_IO) {
		describe_io(x, what);
	} else if (reason == VMX_EXIT_CR) {
		x->kind = access_cr(v, what);
	} else if (reason == VMX_EXIT_INTERRUPT_WINDOW) {
		clear_bits(CPU_CONTROLS, CPU_INTERRUPT_WINDOW);
	} else if (reason == VMX_EXIT_NMI_WINDOW) {
		v->nmi_masked = false;
		clear_bits(CPU_CONTROLS, CPU_NMI_WINDOW);
	} else if (reason == VMX_EXIT_EXCEPTION) {
		describe_exception(x, vmread(EXIT_EVENT), what);
	}
}

/* ---- running --------------------------------------------------------------------------------- */

static void run(struct hv_vcpu *v, struct hv_exit_info *x)
{
	struct vmx_vcpu *h = vmx_hw(v);

	vmx_use(v);
	vmx_flush(v);
	vmx_load_msrs(v);
	vmwrite(TSC_OFFSET, v->tsc_offset);
	vmwrite(GUEST_RSP, v->s.gpr[X86_RSP]);
	write_cr2(v->s.cr2);
	write_dr6(v->s.dr[6]);
	if (vmx_enter(v->s.gpr, h->launched)) {
		*x = (struct hv_exit_info){.kind = EXIT_FAILED,
					   .reason = vmread(INSTRUCTION_ERROR)};
		return;
	}
	h->launched = true;
	v->s.cr2 = read_cr2();
	v->s.dr[6] = read_dr6();
	v->s.gpr[X86_RSP] = vmread(GUEST_RSP);
	v->s.rflags = vmread(GUEST_RFLAGS);
	if (!(vmread(EXIT_REASON) & ENTRY_FAILED))
		vcpu_remember_event(v, (uint32_t)vmread(VECTORING_EVENT),
				    (uint32_t)vmread(VECTORING_ERROR));
	if (v->s.rflags & RFLAGS_TF)
		vmx_settle_step(v->s.rflags);
	describe(v, x);
}

const struct hv_ops hv_vmx = {
	.name = "VT-x with EPT",
	.page_bits = EPT_LEAF_WB,
	.probe = probe,
	.enable_cpu = vmx_enable_cpu,
	.hw_size = sizeof(struct vmx_vcpu),
	.vcpu_init = vcpu_init,
	.load = vmx_load,
	.save = vmx_save,
	.peek = vmx_peek,
	.release = vmx_release,
	.run = run,
	.interruptible = interruptible,
	.inject = inject,
	.request_window = request_window,
	.skip = skip,
};
