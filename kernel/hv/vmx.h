/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VT-x: a VMCS for each vCPU. It is current on a CPU from the first access until another thread may
 * run there (hv_ops.release), so it is never active on two; the MSRs of system calls, which it does
 * not hold, are the guest's from the first entry until then.
 *
 *   vmx.c        entries, exits, events       vmx_cpu.c   what the CPU can, VMXON, controls
 *   vmx_state.c  registers to and from it     vmx.S       the entry itself
 */
#ifndef KERNEL_HV_VMX_H
#define KERNEL_HV_VMX_H

#include "kernel/hv/hv.h"
#include "kernel/hv/vmcs.h"

struct vmx_vcpu {
	uint64_t eptp;
	bool launched;        /* since VMCLEAR: VMRESUME */
	bool msrs_loaded;     /* system-call MSRs are the guest's */
	bool stale;           /* control registers were set: forget linear translations */
	uint64_t host_msr[6]; /* the thread's meanwhile */
	uint16_t vpid;
	uint64_t vpid_generation;
};

static inline struct vmx_vcpu *vmx_hw(struct hv_vcpu *v)
{
	return v->hw;
}

bool vmx_probe(void);
int vmx_enable_cpu(void);
/* Pages for VMX operation on every CPU: turning it on finds them. 0 or -ENOMEM. */
int vmx_prepare_cpus(void);
/* The number that this processor wants at the start of a VMCS and of VMXON's page. */
void vmx_set_revision(uint64_t region);
/* Makes the VMCS current on this CPU, with the host's state in it. */
void vmx_use(struct hv_vcpu *v);
void vmx_release(struct hv_vcpu *v);
/* Fields that never change. The VMCS is current. */
void vmx_set_controls(struct hv_vcpu *v, uint64_t msr_bitmap);
/* Before an entry: forgets translations that may be old. */
void vmx_flush(struct hv_vcpu *v);

void vmx_load(struct hv_vcpu *v);
void vmx_save(struct hv_vcpu *v);
void vmx_peek(struct hv_vcpu *v);
/* After an exit with TF on. */
void vmx_settle_step(uint64_t rflags);
void vmx_load_msrs(struct hv_vcpu *v);
void vmx_save_msrs(struct hv_vcpu *v);

#endif
