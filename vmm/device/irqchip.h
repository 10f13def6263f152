/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PIC and I/O APIC behind one interrupt router, for engines that have none inside.
 *
 * GSI 0..15 reach both chips (GSI 0 is input 2 of the I/O APIC, as the MADT's source override
 * says), 16..23 the I/O APIC alone. Messages go straight to the engine. The machine lists the two
 * chips among its devices for reset and save; irqchip_destroy() destroys them.
 */
#ifndef VMM_DEVICE_IRQCHIP_H
#define VMM_DEVICE_IRQCHIP_H

#include "vmm/device.h"

struct irqchip;

/* Where interrupts go: engine_ops.extint and engine_ops.msi. */
struct irqchip_out {
	void (*extint)(void *opaque, bool level);
	void (*msi)(void *opaque, uint64_t addr, uint32_t data);
	void *opaque;
};

int irqchip_create(struct irqchip **out, const struct device_env *env, const struct irqchip_out *to,
		   struct err *e);
void irqchip_destroy(struct irqchip *c);

const struct irq_router *irqchip_router(const struct irqchip *c);
struct device *irqchip_pic(const struct irqchip *c);
struct device *irqchip_ioapic(const struct irqchip *c);

/* For struct engine_machine: pic_ack and ioapic_eoi, with the machine lock held. */
int irqchip_pic_ack(struct irqchip *c);
void irqchip_ioapic_eoi(struct irqchip *c, uint8_t vector);

#endif
