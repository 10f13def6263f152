/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU's state to and from the engine-neutral form. Outside vcpu_run() only. */
#include "vmm/engine/bt/state.h"

#include <errno.h>
#include <string.h>

#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/translate.h"

/* Fields of the same name and type in both: one list for both directions. */
/* clang-format off */
#define SAME_FIELDS(F) \
	F(rip) F(rflags) F(ldt) F(tr) F(gdt) F(idt) F(cr0) F(cr2) F(cr3) F(cr4) F(xcr0) \
	F(efer) F(pat) F(star) F(lstar) F(cstar) F(sfmask) F(kernel_gs_base) \
	F(sysenter_cs) F(sysenter_esp) F(sysenter_eip) F(tsc_aux) F(tsc_adjust) \
	F(misc_enable) F(mtrr_def_type) F(kvmclock_system_time) F(kvmclock_wall_clock) \
	F(activity) F(interrupt_shadow)
/* clang-format on */
#define SAME_ARRAYS(F) F(gpr) F(seg) F(dr) F(mtrr_fixed) F(mtrr_base) F(mtrr_mask)

/* TSC at which guest time stands or runs. */
static uint64_t host_tsc(const struct bt_vcpu *v)
{
	return v->vm->stopped ? v->vm->stopped_tsc : bt_rdtsc();
}

void bt_state_get(struct bt_vcpu *v, struct x86_cpu_state *s)
{
	memset(s, 0, sizeof(*s));
#define F(name) s->name = v->name;
	SAME_FIELDS(F)
#undef F
#define F(name) memcpy(s->name, v->name, sizeof(s->name));
	SAME_ARRAYS(F)
#undef F
	s->cr8 = lapic_get_cr8(&v->lapic);
	s->apic_base = v->lapic.hw.base;
	s->tsc = host_tsc(v) + v->tsc_offset;
	s->tsc_deadline = v->lapic.hw.tsc_deadline;
	s->nmi_masked = v->nmi_masked;
	s->nmi_pending = v->nmi_pending || (atomic_load(&v->requests) & BT_REQ_NMI);
	s->exception_pending = v->fault_pending;
	s->exception_vector = v->fault_pending ? v->fault.vector : 0;
	s->exception_has_error = v->fault_pending && v->fault.has_error;
	s->exception_error = v->fault_pending ? v->fault.error : 0;
	lapic_save(&v->lapic, s->lapic);
	bt_fpu_get(v, s->xsave);
}

/* Values that no processor can have would break what the engine takes for granted. */
static int check(const struct bt_vcpu *v, const struct x86_cpu_state *s, struct err *e)
{
	bool lma = (s->efer & EFER_LME) && (s->cr0 & CR0_PG);

	if ((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE))
		return err_set(e, -EINVAL, "state: CR0 %#llx has paging without protection",
			       (unsigned long long)s->cr0);
	if (!!(s->efer & EFER_LMA) != lma || (lma && !(s->cr4 & CR4_PAE)))
		return err_set(e, -EINVAL, "state: EFER %#llx contradicts CR0 and CR4",
			       (unsigned long long)s->efer);
	if (s->activity > X86_WAIT_SIPI)
		return err_set(e, -EINVAL, "state: activity %u is unknown", s->activity);
	if (s->xcr0 & ~(v->vm->cfg.cpu->xcr0_allowed | 1))
		return err_set(e, -EINVAL, "state: XCR0 %#llx has components the CPU model lacks",
			       (unsigned long long)s->xcr0);
	if (s->exception_pending && s->exception_vector > 31)
		return err_set(e, -EINVAL, "state: exception %u is no exception",
			       s->exception_vector);
	return 0;
}

int bt_state_set(struct bt_vcpu *v, const struct x86_cpu_state *s, struct err *e)
{
	int rc = check(v, s, e);

	if (!rc)
		rc = bt_fpu_set(v, s->xsave, e);
	if (rc)
		return rc;
#define F(name) v->name = s->name;
	SAME_FIELDS(F)
#undef F
#define F(name) memcpy(v->name, s->name, sizeof(v->name));
	SAME_ARRAYS(F)
#undef F
	for (unsigned i = 0; i < X86_NSEG; i++)
		v->segbase[i] = v->seg[i].base;
	v->rflags = (v->rflags & 0x3f7fd5) | FL_ONE;
	v->xcr0 |= 1;
	v->tsc_offset = s->tsc - host_tsc(v);
	v->nmi_masked = s->nmi_masked;
	v->nmi_pending = s->nmi_pending;
	v->shutdown = false;
	v->fault_pending = s->exception_pending;
	v->fault = (struct bt_fault){.vector = s->exception_vector,
				     .has_error = s->exception_has_error,
				     .error = s->exception_error,
				     .cr2 = s->cr2};
	lapic_load(&v->lapic, s->lapic, s->apic_base, s->tsc_deadline);
	bt_flush_all(v);
	bt_mode_changed(v);
	bt_translate_points(v);
	if ((v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE) && !(v->efer & EFER_LMA))
		bt_load_pdptes(v, v->cr3);
	return 0;
}
