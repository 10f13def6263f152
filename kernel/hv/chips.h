/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt controllers and the timer of a PC: x86/ has the chips, here are their wires. */
#ifndef KERNEL_HV_CHIPS_H
#define KERNEL_HV_CHIPS_H

#include <linux/kvm.h>

#include "kernel/sched/timer.h"
#include "x86/ioapic.h"
#include "x86/pic.h"
#include "x86/pit.h"

#define MAX_ROUTES 256

struct hv_vm;

struct hv_chips {
	struct pic_hw pic;
	struct ioapic_hw ioapic;
	struct ioapic_out ioapic_out;
	struct pit_hw pit;       /* in ticks since the kernel's start */
	struct ktimer pit_timer; /* without fn: there is no PIT */
	uint64_t pit_edge_ns;    /* when it rang last */
	struct kvm_irq_routing_entry route[MAX_ROUTES];
	unsigned nroutes;
};

/* vm->lock is held in these. */
void chips_init(struct hv_vm *vm);
void chips_add_pit(struct hv_vm *vm);
/* A line changes: every route of the GSI sees it. */
void chips_set_gsi(struct hv_vm *vm, unsigned gsi, bool level);

/* These take it. A guest's access to a port; false: it is none of theirs. */
bool chips_port(struct hv_vm *vm, uint16_t port, bool write, uint32_t *val);
/* KVM_GET_IRQCHIP and so on. */
int64_t chips_get(struct hv_vm *vm, void *data, uint64_t arg);
int64_t chips_set(struct hv_vm *vm, void *data, uint64_t arg);
int64_t chips_get_pit(struct hv_vm *vm, void *data, uint64_t arg);
int64_t chips_set_pit(struct hv_vm *vm, void *data, uint64_t arg);

/* Without the lock: no timer runs afterwards. */
void chips_fini(struct hv_vm *vm);

#endif
