/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt controllers and timer between our form and that of KVM's ioctls (Linux'
 * Documentation/virt/kvm/api.rst, KVM_GET_IRQCHIP and KVM_GET_PIT2): for the VMM, whose saves hold
 * ours, and for the bare-metal kernel, which answers those calls.
 */
#ifndef X86_KVMCHIPS_H
#define X86_KVMCHIPS_H

#include <linux/kvm.h>

#include "x86/ioapic.h"
#include "x86/pic.h"
#include "x86/pit.h"

/* `n`: 0 the master, 1 the slave. */
void pic_from_kvm(const struct kvm_pic_state *k, struct pic_chip *c);
void pic_to_kvm(const struct pic_chip *c, unsigned n, struct kvm_pic_state *k);

/* KVM keeps of the inputs those that are, or were, to be delivered: a level is one of them. An edge
 * that is past must not come again: only levels are told. */
void ioapic_from_kvm(const struct kvm_ioapic_state *k, struct ioapic_hw *a);
void ioapic_to_kvm(const struct ioapic_hw *a, struct kvm_ioapic_state *k);

/* Modes from here on: no count has been written, as after power-on (KVM itself says ffh). */
#define KVM_PIT_NO_MODE 8

/*
 * Times differ: whoever calls sets ch[].start from count_load_time. Back, that is 0: setting it
 * makes KVM start the counts anew, so that a phase is lost but never a tick too many.
 */
void pit_from_kvm(const struct kvm_pit_state2 *k, struct pit_hw *p);
void pit_to_kvm(const struct pit_hw *p, struct kvm_pit_state2 *k);

#endif
