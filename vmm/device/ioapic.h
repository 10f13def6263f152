/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O APIC (82093AA): 24 inputs at FEC00000h, each sent on as a message. Used through
 * irqchip.h. */
#ifndef VMM_DEVICE_IOAPIC_H
#define VMM_DEVICE_IOAPIC_H

#include "vmm/device.h"
#include "vmm/device/chips.h"

/* Interrupts leave through `msi` in the address and data format of a PCI message. */
int ioapic_create(struct device **out, struct bus *mmio,
		  void (*msi)(void *opaque, uint64_t addr, uint32_t data), void *opaque,
		  struct err *e);
void ioapic_set(struct device *d, unsigned pin, bool level);
/* A local APIC finished a level-triggered interrupt. */
void ioapic_end_of_interrupt(struct device *d, uint8_t vector);

#endif
