/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O APIC: redirection table, remote IRR of level-triggered inputs, EOI by vector. */
#include "vmm/device/ioapic.h"

#include <errno.h>
#include <stdlib.h>

/* Version 11h has no EOI register, as KVM's, so that a VM can move between engines. */
#define VERSION (0x11u | (IOAPIC_PINS - 1) << 16)

#define RTE_VECTOR(r)  ((uint32_t)(r)&0xff)
#define RTE_MODE(r)    ((uint32_t)(r) >> 8 & 7)
#define RTE_LOGICAL    (1ull << 11)
#define RTE_STATUS     (1ull << 12)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL      (1ull << 15)
#define RTE_MASKED     (1ull << 16)
#define RTE_DEST(r)    ((uint32_t)((r) >> 56))
#define RTE_WRITABLE   (0xff0000000001ffffull & ~(RTE_STATUS | RTE_REMOTE_IRR))

enum {
	MODE_FIXED,
	MODE_LOWEST,
	MODE_EXTINT = 7
};

struct ioapic {
	struct device dev;
	struct ioapic_hw hw;
	struct bus *mmio;
	void (*msi)(void *opaque, uint64_t addr, uint32_t data);
	void *opaque;
};

static const struct state_field ioapic_fields[] = {
	ST_ARR(1, struct ioapic_hw, rte),
	ST(2, struct ioapic_hw, lines),
	ST(3, struct ioapic_hw, id),
	ST(4, struct ioapic_hw, index),
	ST_END,
};
const struct state_desc ioapic_state = {"ioapic", 1, sizeof(struct ioapic_hw), ioapic_fields};

static void pin_send(struct ioapic *a, unsigned pin)
{
	uint64_t *rte = &a->hw.rte[pin];
	uint32_t mode = RTE_MODE(*rte), data = RTE_VECTOR(*rte) | mode << 8;
	uint64_t addr = 0xfee00000ull | (uint64_t)RTE_DEST(*rte) << 12;

	/* ExtINT needs the PIC on this input, which no input has. */
	if ((*rte & RTE_MASKED) || mode == MODE_EXTINT)
		return;
	if (*rte & RTE_LEVEL) {
		if (*rte & RTE_REMOTE_IRR)
			return;
		if (mode <= MODE_LOWEST)
			*rte |= RTE_REMOTE_IRR;
		data |= 0xc000; /* level, assert */
	}
	if (*rte & RTE_LOGICAL)
		addr |= 4;
	if (mode == MODE_LOWEST)
		addr |= 8;
	a->msi(a->opaque, addr, data);
}

/* A level-triggered input that is still up asks again. */
static void pin_resume(struct ioapic *a, unsigned pin)
{
	if ((a->hw.rte[pin] & RTE_LEVEL) && (a->hw.lines >> pin & 1))
		pin_send(a, pin);
}

void ioapic_set(struct device *d, unsigned pin, bool level)
{
	struct ioapic *a = (struct ioapic *)d;
	uint32_t bit, was;

	if (pin >= IOAPIC_PINS)
		return;
	bit = 1u << pin;
	was = a->hw.lines & bit;
	a->hw.lines = level ? a->hw.lines | bit : a->hw.lines & ~bit;
	/* An edge at a masked input is lost, as the data sheet says of edge mode. */
	if (level && (!was || (a->hw.rte[pin] & RTE_LEVEL)))
		pin_send(a, pin);
}

void ioapic_end_of_interrupt(struct device *d, uint8_t vector)
{
	struct ioapic *a = (struct ioapic *)d;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (!(a->hw.rte[pin] & RTE_REMOTE_IRR) || RTE_VECTOR(a->hw.rte[pin]) != vector)
			continue;
		a->hw.rte[pin] &= ~RTE_REMOTE_IRR;
		pin_resume(a, pin);
	}
}

/* ---- registers ------------------------------------------------------------------------------- */

static void rte_write(struct ioapic *a, unsigned index, uint32_t val)
{
	unsigned pin = (index - 0x10) / 2, shift = index & 1 ? 32 : 0;
	uint64_t mask = (0xffffffffull << shift) & RTE_WRITABLE;

	a->hw.rte[pin] = (a->hw.rte[pin] & ~mask) | ((uint64_t)val << shift & mask);
	/* Without an EOI register, systems clear remote IRR by a detour through edge mode. */
	if (!(a->hw.rte[pin] & RTE_LEVEL))
		a->hw.rte[pin] &= ~RTE_REMOTE_IRR;
	pin_resume(a, pin);
}

static uint32_t register_read(const struct ioapic *a, unsigned index)
{
	switch (index) {
	case 0:
	case 2: /* arbitration ID follows the ID */
		return a->hw.id;
	case 1:
		return VERSION;
	default:
		if (index < 0x10 || index >= 0x10 + 2 * IOAPIC_PINS)
			return 0;
		return (uint32_t)(a->hw.rte[(index - 0x10) / 2] >> (index & 1 ? 32 : 0));
	}
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
	struct ioapic *a = dev;

	(void)size;
	switch (off) {
	case 0x00:
		return a->hw.index;
	case 0x10:
		return register_read(a, a->hw.index);
	default:
		return 0;
	}
}

static void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct ioapic *a = dev;

	(void)size;
	if (off == 0x00)
		a->hw.index = (uint8_t)val;
	else if (off == 0x10 && a->hw.index == 0)
		a->hw.id = (uint32_t)val & 0x0f000000;
	else if (off == 0x10 && a->hw.index >= 0x10 && a->hw.index < 0x10 + 2 * IOAPIC_PINS)
		rte_write(a, a->hw.index, (uint32_t)val);
}

static const struct io_ops ioapic_io = {ioapic_read, ioapic_write, 4};

/* ---- life ------------------------------------------------------------------------------------ */

static void ioapic_reset(struct device *d)
{
	struct ioapic *a = (struct ioapic *)d;

	a->hw = (struct ioapic_hw){.lines = a->hw.lines};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		a->hw.rte[pin] = RTE_MASKED;
}

static void ioapic_destroy(struct device *d)
{
	struct ioapic *a = (struct ioapic *)d;

	bus_remove(a->mmio, IOAPIC_BASE, a);
	free(a);
}

static void *ioapic_hw(struct device *d)
{
	return &((struct ioapic *)d)->hw;
}

static const struct device_ops ioapic_ops = {
	.name = "ioapic",
	.help = "I/O APIC",
	.reset = ioapic_reset,
	.destroy = ioapic_destroy,
	.state = &ioapic_state,
	.hw = ioapic_hw,
};

int ioapic_create(struct device **out, struct bus *mmio,
		  void (*msi)(void *opaque, uint64_t addr, uint32_t data), void *opaque,
		  struct err *e)
{
	struct ioapic *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return err_set(e, -ENOMEM, "ioapic: out of memory");
	a->dev.ops = &ioapic_ops;
	a->mmio = mmio;
	a->msi = msi;
	a->opaque = opaque;
	rc = bus_add(mmio, IOAPIC_BASE, 0x1000, &ioapic_io, a, "ioapic", e);
	if (rc) {
		free(a);
		return rc;
	}
	ioapic_reset(&a->dev);
	*out = &a->dev;
	return 0;
}
