/* SPDX-License-Identifier: Apache-2.0 */
/* VT-x on a CPU: what it can do (Intel SDM vol. 3, appendix A), VMXON, whose VMCS is current. */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/vmx.h"
#include "kernel/mm/page.h"

#define MAX_TURN_MS 4 /* as the scheduler's */

#define PIN_NEEDED (PIN_EXTERNAL | PIN_NMI | PIN_VIRTUAL_NMI)
#define CPU_NEEDED                                                                         \
	(CPU_TSC_OFFSET | CPU_HLT | CPU_MWAIT | CPU_RDPMC | CPU_CR8_LOAD | CPU_CR8_STORE | \
	 CPU_IO | CPU_MSR_BITMAP | CPU_MONITOR | CPU_SECONDARY)
#define CPU2_NEEDED (CPU2_EPT | CPU2_UNRESTRICTED | CPU2_WBINVD | CPU2_RDTSCP)
#define CPU2_WANTED (CPU2_NEEDED | CPU2_VPID | CPU2_INVPCID)
#define EXIT_NEEDED                                                                        \
	(EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | \
	 EXIT_LOAD_EFER)
#define ENTRY_NEEDED (ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

struct vmx_cpu {
	uint64_t region; /* of VMXON */
	struct hv_vcpu *current;
	bool on;
	uint16_t next_vpid;
	uint64_t generation; /* of VPIDs: all are new after it changes */
};

static struct vmx_cpu per_cpu[MAX_CPUS];

extern char vmx_left[];

/* ---- what it can ----------------------------------------------------------------------------- */

/* The low half has bits that must be 1, the high half those that may be. */
static uint32_t allowed(uint32_t msr, uint32_t wanted)
{
	uint64_t can = rdmsr(msr);

	return (wanted | (uint32_t)can) & (uint32_t)(can >> 32);
}

static bool has_all(uint32_t msr, uint32_t needed)
{
	return (allowed(msr, needed) & needed) == needed;
}

static bool has_controls(void)
{
	return rdmsr(MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS &&
	       has_all(MSR_VMX_TRUE_PIN, PIN_NEEDED) && has_all(MSR_VMX_TRUE_CPU, CPU_NEEDED) &&
	       has_all(MSR_VMX_CONTROLS2, CPU2_NEEDED) && has_all(MSR_VMX_TRUE_EXIT, EXIT_NEEDED) &&
	       has_all(MSR_VMX_TRUE_ENTRY, ENTRY_NEEDED) &&
	       (rdmsr(MSR_VMX_EPT) & EPT_NEEDED) == EPT_NEEDED;
}

static uint32_t controls2(void)
{
	uint32_t c = allowed(MSR_VMX_CONTROLS2, CPU2_WANTED);

	return (rdmsr(MSR_VMX_EPT) & EPT_VPID) == EPT_VPID ? c : c & ~CPU2_VPID;
}

static bool locked_off(void)
{
	return (rdmsr(MSR_FEATURE_CONTROL) & (FEATURE_LOCKED | FEATURE_VMX)) == FEATURE_LOCKED;
}

bool vmx_probe(void)
{
	if (!(cpuid(1, 0).ecx & 1u << 5))
		return false;
	if (locked_off()) {
		klog("VT-x is switched off in the firmware's set-up");
		return false;
	}
	if (!has_controls()) {
		klog("VT-x lacks EPT or guests in real mode: not used");
		return false;
	}
	return true;
}

/* ---- turning it on --------------------------------------------------------------------------- */

void vmx_set_revision(uint64_t region)
{
	*(uint32_t *)phys_to_virt(region) = (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
}

int vmx_prepare_cpus(void)
{
	for (unsigned i = 0; i < ncpus; i++) {
		if (!per_cpu[i].region)
			per_cpu[i].region = page_alloc_zero(0);
		if (!per_cpu[i].region)
			return -ENOMEM;
	}
	return 0;
}

int vmx_enable_cpu(void)
{
	struct vmx_cpu *c = &per_cpu[this_cpu()->index];
	uint64_t feature = rdmsr(MSR_FEATURE_CONTROL);

	if (locked_off())
		return -ENODEV;
	if (!(feature & FEATURE_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL, feature | FEATURE_LOCKED | FEATURE_VMX);
	write_cr0(read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0));
	write_cr4(read_cr4() | CR4_VMXE);
	vmx_set_revision(c->region);
	c->on = vmxon(c->region);
	c->next_vpid = 1;
	c->generation = 1;
	return c->on ? 0 : -EIO;
}

/* ---- the current VMCS ------------------------------------------------------------------------ */

static uint64_t idt_base(void)
{
	struct table_register r;

	__asm__ volatile("sidt %0" : "=m"(r));
	return r.base;
}

/* What an exit loads: this CPU's and this thread's. Programs have null data selectors. */
static void set_host_state(void)
{
	struct cpu *c = this_cpu();

	vmwrite(HOST_CS, SEL_KCODE);
	vmwrite(HOST_SS, SEL_KDATA);
	vmwrite(HOST_TR, SEL_TSS);
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(HOST_FS_BASE, rdmsr(MSR_FS_BASE));
	vmwrite(HOST_GS_BASE, rdmsr(MSR_GS_BASE));
	vmwrite(HOST_TR_BASE, (uint64_t)&c->tss);
	vmwrite(HOST_GDTR_BASE, (uint64_t)c->gdt);
	vmwrite(HOST_IDTR_BASE, idt_base());
	vmwrite(HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(HOST_RIP, (uint64_t)vmx_left);
}

void vmx_use(struct hv_vcpu *v)
{
	struct vmx_cpu *c = &per_cpu[this_cpu()->index];

	if (c->current == v)
		return;
	if (!c->on && vmx_enable_cpu())
		panic("VT-x works on the first CPU only: look at the firmware's set-up");
	vmclear(v->hw_page); /* makes new memory a VMCS */
	vmptrld(v->hw_page);
	c->current = v;
	set_host_state();
}

void vmx_release(struct hv_vcpu *v)
{
	struct vmx_cpu *c = &per_cpu[this_cpu()->index];

	vmx_save_msrs(v);
	if (c->current != v)
		return;
	vmclear(v->hw_page);
	vmx_hw(v)->launched = false;
	c->current = NULL;
}

void vmx_set_controls(struct hv_vcpu *v, uint64_t msr_bitmap)
{
	vmwrite(PIN_CONTROLS, allowed(MSR_VMX_TRUE_PIN, PIN_NEEDED | PIN_TIMER));
	/* Bochs 2.7 holds interrupts back that come while the guest has them off: it is left after
	 * a turn at the latest. */
	vmwrite(PREEMPTION_TIMER, tsc_khz() * MAX_TURN_MS >> (rdmsr(MSR_VMX_MISC) & 31));
	vmwrite(CPU_CONTROLS, allowed(MSR_VMX_TRUE_CPU, CPU_NEEDED));
	vmwrite(CPU_CONTROLS2, controls2());
	vmwrite(EXIT_CONTROLS, allowed(MSR_VMX_TRUE_EXIT, EXIT_NEEDED));
	vmwrite(ENTRY_CONTROLS, allowed(MSR_VMX_TRUE_ENTRY, ENTRY_NEEDED));
	vmwrite(MSR_BITMAP, msr_bitmap);
	vmwrite(EPT_POINTER, vmx_hw(v)->eptp);
	vmwrite(VMCS_LINK, ~0UL);
}

/* ---- translations ---------------------------------------------------------------------------- */

static void choose_vpid(struct hv_vcpu *v, struct vmx_cpu *c)
{
	struct vmx_vcpu *h = vmx_hw(v);

	if (v->last_cpu == (int)this_cpu()->index && h->vpid_generation == c->generation)
		return;
	if (!c->next_vpid) { /* all were given */
		invvpid(INVALIDATE_ALL, 0);
		c->next_vpid = 1;
		c->generation++;
	}
	h->vpid = c->next_vpid++;
	h->vpid_generation = c->generation;
	vmwrite(VMCS_VPID, h->vpid);
	h->stale = true; /* the number may have been another one's */
}

void vmx_flush(struct hv_vcpu *v)
{
	struct vmx_vcpu *h = vmx_hw(v);

	if (vmread(CPU_CONTROLS2) & CPU2_VPID) {
		choose_vpid(v, &per_cpu[this_cpu()->index]);
		if (h->stale)
			invvpid(INVALIDATE_SINGLE, h->vpid);
		h->stale = false;
	}
	if (v->last_cpu != (int)this_cpu()->index) {
		v->last_cpu = (int)this_cpu()->index;
		v->flush = true;
	}
	if (__atomic_exchange_n(&v->flush, false, __ATOMIC_SEQ_CST))
		invept(INVALIDATE_SINGLE, h->eptp);
}
