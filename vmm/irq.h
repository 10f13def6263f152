/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts as devices see them: a line that is up or down, and a message (MSI).
 *
 * Lines are numbered by GSI (ACPI global system interrupt): 0..15 are the ISA interrupts, 16..23
 * the PCI ones. The router behind them is either the engine (KVM's chips in the kernel) or the
 * machine's own PIC and I/O APIC (vmm/device/irqchip).
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#define IRQ_NGSI 24

struct irq_router {
	void (*set)(void *opaque, unsigned gsi, bool level);
	void (*msi)(void *opaque, uint64_t addr, uint32_t data);
	void *opaque;
};

struct irq_line {
	const struct irq_router *router; /* NULL: not connected */
	unsigned gsi;
	const bool *replaced; /* while true another device has the line; NULL: never */
};

static inline void irq_set(const struct irq_line *l, bool level)
{
	if (l->router && !(l->replaced && *l->replaced))
		l->router->set(l->router->opaque, l->gsi, level);
}

static inline void irq_msi(const struct irq_router *r, uint64_t addr, uint32_t data)
{
	r->msi(r->opaque, addr, data);
}

#endif
