/* SPDX-License-Identifier: Apache-2.0 */
/* The state after power-on and after INIT (Intel SDM volume 3A table 10-1). */
#include "vmm/engine/bt/seg.h"

#include "vmm/engine/bt/fpu.h"
#include "x86/cpuid.h"

#define PAT_RESET 0x0007040600070406ull

static void reset_segments(struct bt_vcpu *v)
{
	for (unsigned i = 0; i < X86_NSEG; i++) {
		struct x86_segment s = {.limit = 0xffff, .attr = 0x93};

		if (i == X86_CS)
			s = (struct x86_segment){.base = 0xffff0000,
						 .limit = 0xffff,
						 .attr = 0x9b,
						 .selector = 0xf000};
		bt_seg_set(v, i, &s);
	}
	v->gdt = v->idt = (struct x86_table){.limit = 0xffff};
	v->ldt = (struct x86_segment){.limit = 0xffff, .attr = 0x82};
	v->tr = (struct x86_segment){.limit = 0xffff, .attr = 0x8b};
}

/* What INIT leaves alone: memory types, time, system-call registers. */
static void reset_msrs(struct bt_vcpu *v)
{
	v->pat = PAT_RESET;
	v->misc_enable = 1;
	v->star = v->lstar = v->cstar = v->sfmask = v->kernel_gs_base = 0;
	v->sysenter_cs = v->sysenter_esp = v->sysenter_eip = 0;
	v->tsc_aux = v->tsc_adjust = 0;
	v->mtrr_def_type = 0;
	for (unsigned i = 0; i < 11; i++)
		v->mtrr_fixed[i] = 0;
	for (unsigned i = 0; i < 8; i++)
		v->mtrr_base[i] = v->mtrr_mask[i] = 0;
	v->kvmclock_system_time = v->kvmclock_wall_clock = 0;
	v->xcr0 = 1;
}

static uint32_t signature(struct bt_vcpu *v)
{
	const struct cpuid_context ctx = {.apic_id = v->index, .nvcpus = v->vm->cfg.nvcpus};
	struct cpuid_regs r;

	cpuid_answer(v->vm->cfg.cpu, &ctx, 1, 0, &r);
	return r.eax;
}

void bt_reset_vcpu(struct bt_vcpu *v, bool init)
{
	for (unsigned i = 0; i < X86_NGPR; i++)
		v->gpr[i] = 0;
	v->gpr[X86_RDX] = signature(v);
	v->rip = 0xfff0;
	v->rflags = FL_ONE;
	v->cr0 = (init ? v->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW) | CR0_ET;
	v->cr2 = v->cr3 = v->cr4 = v->efer = 0;
	for (unsigned i = 0; i < 4; i++)
		v->dr[i] = 0;
	v->dr[6] = 0xffff0ff0;
	v->dr[7] = 0x400;
	reset_segments(v);
	if (!init)
		reset_msrs(v);
	v->activity = v->index ? X86_WAIT_SIPI : X86_ACTIVE;
	v->interrupt_shadow = 0;
	v->nmi_masked = v->nmi_pending = v->shutdown = v->fault_pending = false;
	if (init)
		lapic_reset(&v->lapic);
	bt_flush_all(v);
	bt_mode_changed(v);
}
