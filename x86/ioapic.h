/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O APIC (Intel 82093AA data sheet): 24 inputs, each sent on as a message. Freestanding: the
 * state and what happens to it. Used by the VMM's device and by the bare-metal kernel. The caller
 * locks.
 */
#ifndef X86_IOAPIC_H
#define X86_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_PINS 24

#define IOAPIC_RTE_LEVEL (1ull << 15) /* level-triggered */

struct ioapic_hw { /* what a save holds */
	uint64_t rte[IOAPIC_PINS];
	uint32_t lines; /* inputs as they are now */
	uint32_t id;
	uint8_t index; /* IOREGSEL */
};

/* Where interrupts go, in the address and data format of a PCI message. */
struct ioapic_out {
	void (*msi)(void *opaque, uint64_t addr, uint32_t data);
	void *opaque;
};

void ioapic_hw_reset(struct ioapic_hw *a); /* the inputs stay as they are */
void ioapic_hw_set(struct ioapic_hw *a, unsigned pin, bool level, const struct ioapic_out *to);
/* A local APIC finished a level-triggered interrupt. */
void ioapic_hw_eoi(struct ioapic_hw *a, uint8_t vector, const struct ioapic_out *to);
/* Registers at byte offsets 0 and 10h; others read 0. */
uint32_t ioapic_hw_read(const struct ioapic_hw *a, uint64_t off);
void ioapic_hw_write(struct ioapic_hw *a, uint64_t off, uint32_t val, const struct ioapic_out *to);

#endif
