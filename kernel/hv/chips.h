/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt controllers and the timer of a PC: 8259A pair, I/O APIC (82093AA), 8254. */
#ifndef KERNEL_HV_CHIPS_H
#define KERNEL_HV_CHIPS_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/sched/timer.h"

#define IOAPIC_PINS 24
#define MAX_ROUTES  256

struct hv_vm;

struct hv_chips {
	struct hv_vm *vm;
	struct kvm_pic_state pic[2];
	struct kvm_ioapic_state ioapic;
	struct kvm_pit_state2 pit;
	struct ktimer pit_timer;
	bool pit_irq; /* its output as the controllers see it */
	struct kvm_irq_routing_entry route[MAX_ROUTES];
	unsigned nroutes;
};

/* vm->lock is held in all of these. */
void chips_init(struct hv_vm *vm);
/* A line changes: every route of the GSI sees it. */
void chips_set_gsi(struct hv_vm *vm, unsigned gsi, bool level);
void chips_msi_route(struct hv_vm *vm, unsigned gsi);

void pic_set_irq(struct hv_vm *vm, unsigned irq, bool level);
bool pic_output(struct hv_vm *vm); /* INTR */
uint8_t pic_acknowledge(struct hv_vm *vm);
bool pic_access(struct hv_vm *vm, uint16_t port, bool write, uint32_t *val);
void pic_init(struct hv_vm *vm);

void ioapic_set_irq(struct hv_vm *vm, unsigned pin, bool level);
void ioapic_eoi(struct hv_vm *vm, uint8_t vector);
uint32_t ioapic_read(struct hv_vm *vm, uint32_t offset);
void hv_ioapic_write(struct hv_vm *vm, uint32_t offset, uint32_t val);
void hv_ioapic_init(struct hv_vm *vm);

void pit_init(struct hv_vm *vm);
bool pit_access(struct hv_vm *vm, uint16_t port, bool write, uint32_t *val);
/* After SET_PIT2: counts on from the loaded state. */
void pit_restart(struct hv_vm *vm);

/* Without the lock: no timer runs afterwards. */
void chips_fini(struct hv_vm *vm);

#endif
