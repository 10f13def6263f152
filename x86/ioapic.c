/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O APIC: redirection table, remote IRR of level-triggered inputs, EOI by vector. */
#include "x86/ioapic.h"

#include "x86/lapic.h"

/* Version 11h has no EOI register, as KVM's, so that a VM can move between engines. */
#define VERSION (0x11u | (IOAPIC_PINS - 1) << 16)

#define RTE_VECTOR(r)  ((uint32_t)(r)&0xff)
#define RTE_MODE(r)    ((uint32_t)(r) >> 8 & 7)
#define RTE_LOGICAL    (1ull << 11)
#define RTE_STATUS     (1ull << 12)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL      IOAPIC_RTE_LEVEL
#define RTE_MASKED     (1ull << 16)
#define RTE_DEST(r)    ((uint32_t)((r) >> 56))
#define RTE_WRITABLE   (0xff0000000001ffffull & ~(RTE_STATUS | RTE_REMOTE_IRR))

static void pin_send(struct ioapic_hw *a, unsigned pin, const struct ioapic_out *to)
{
	uint64_t *rte = &a->rte[pin];
	uint32_t mode = RTE_MODE(*rte), data = RTE_VECTOR(*rte) | mode << 8;
	uint64_t addr = 0xfee00000ull | (uint64_t)RTE_DEST(*rte) << 12;

	/* ExtINT needs the PIC on this input, which no input has. */
	if ((*rte & RTE_MASKED) || mode == LAPIC_EXTINT)
		return;
	if (*rte & RTE_LEVEL) {
		if (*rte & RTE_REMOTE_IRR)
			return;
		if (mode <= LAPIC_LOWEST)
			*rte |= RTE_REMOTE_IRR;
		data |= 0xc000; /* level, assert */
	}
	if (*rte & RTE_LOGICAL)
		addr |= 4;
	if (mode == LAPIC_LOWEST)
		addr |= 8;
	to->msi(to->opaque, addr, data);
}

/* A level-triggered input that is still up asks again. */
static void pin_resume(struct ioapic_hw *a, unsigned pin, const struct ioapic_out *to)
{
	if ((a->rte[pin] & RTE_LEVEL) && (a->lines >> pin & 1))
		pin_send(a, pin, to);
}

void ioapic_hw_set(struct ioapic_hw *a, unsigned pin, bool level, const struct ioapic_out *to)
{
	uint32_t bit, was;

	if (pin >= IOAPIC_PINS)
		return;
	bit = 1u << pin;
	was = a->lines & bit;
	a->lines = level ? a->lines | bit : a->lines & ~bit;
	/* An edge at a masked input is lost, as the data sheet says of edge mode. */
	if (level && (!was || (a->rte[pin] & RTE_LEVEL)))
		pin_send(a, pin, to);
}

void ioapic_hw_eoi(struct ioapic_hw *a, uint8_t vector, const struct ioapic_out *to)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (!(a->rte[pin] & RTE_REMOTE_IRR) || RTE_VECTOR(a->rte[pin]) != vector)
			continue;
		a->rte[pin] &= ~RTE_REMOTE_IRR;
		pin_resume(a, pin, to);
	}
}

/* ---- registers ------------------------------------------------------------------------------- */

static void rte_write(struct ioapic_hw *a, unsigned index, uint32_t val,
		      const struct ioapic_out *to)
{
	unsigned pin = (index - 0x10) / 2, shift = index & 1 ? 32 : 0;
	uint64_t mask = (0xffffffffull << shift) & RTE_WRITABLE;

	a->rte[pin] = (a->rte[pin] & ~mask) | ((uint64_t)val << shift & mask);
	/* Without an EOI register, systems clear remote IRR by a detour through edge mode. */
	if (!(a->rte[pin] & RTE_LEVEL))
		a->rte[pin] &= ~RTE_REMOTE_IRR;
	pin_resume(a, pin, to);
}

static uint32_t register_read(const struct ioapic_hw *a, unsigned index)
{
	switch (index) {
	case 0:
	case 2: /* arbitration ID follows the ID */
		return a->id;
	case 1:
		return VERSION;
	default:
		if (index < 0x10 || index >= 0x10 + 2 * IOAPIC_PINS)
			return 0;
		return (uint32_t)(a->rte[(index - 0x10) / 2] >> (index & 1 ? 32 : 0));
	}
}

uint32_t ioapic_hw_read(const struct ioapic_hw *a, uint64_t off)
{
	if (off == 0x00)
		return a->index;
	return off == 0x10 ? register_read(a, a->index) : 0;
}

void ioapic_hw_write(struct ioapic_hw *a, uint64_t off, uint32_t val, const struct ioapic_out *to)
{
	if (off == 0x00)
		a->index = (uint8_t)val;
	else if (off == 0x10 && a->index == 0)
		a->id = val & 0x0f000000;
	else if (off == 0x10 && a->index >= 0x10 && a->index < 0x10 + 2 * IOAPIC_PINS)
		rte_write(a, a->index, val, to);
}

void ioapic_hw_reset(struct ioapic_hw *a)
{
	*a = (struct ioapic_hw){.lines = a->lines};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		a->rte[pin] = RTE_MASKED;
}
