/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A processor's registers between our form and that of KVM's ioctls (Linux'
 * Documentation/virt/kvm/api.rst): for the KVM engine, which makes those calls, and for the
 * bare-metal kernel, which answers them. Bits past a field's width are dropped.
 */
#ifndef X86_KVMSTATE_H
#define X86_KVMSTATE_H

#include <linux/kvm.h>

#include "x86/lapic.h"
#include "x86/state.h"

/* General registers, RIP, RFLAGS. */
void regs_from_kvm(const struct kvm_regs *k, struct x86_cpu_state *s);
void regs_to_kvm(const struct x86_cpu_state *s, struct kvm_regs *k);

/* Segments, tables, control registers, EFER, the local APIC's base. No interrupt is told. */
void sregs_from_kvm(const struct kvm_sregs *k, struct x86_cpu_state *s);
void sregs_to_kvm(const struct x86_cpu_state *s, struct kvm_sregs *k);

void debugregs_from_kvm(const struct kvm_debugregs *k, struct x86_cpu_state *s);
void debugregs_to_kvm(const struct x86_cpu_state *s, struct kvm_debugregs *k);

void lapic_from_kvm(const struct kvm_lapic_state *k, uint32_t regs[LAPIC_NREGS]);
void lapic_to_kvm(const uint32_t regs[LAPIC_NREGS], struct kvm_lapic_state *k);

/* KVM_MP_STATE_* and enum x86_activity. Whatever waits to be started waits for a SIPI. */
uint8_t activity_from_kvm(uint32_t mp_state);
uint32_t activity_to_kvm(uint8_t activity);

#endif
