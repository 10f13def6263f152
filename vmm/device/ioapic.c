/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O APIC on the memory bus; x86/ioapic.c is the chip. */
#include "vmm/device/ioapic.h"

#include <errno.h>
#include <stdlib.h>

struct ioapic {
	struct device dev;
	struct ioapic_hw hw;
	struct ioapic_out to;
	struct bus *mmio;
};

static const struct state_field ioapic_fields[] = {
	ST_ARR(1, struct ioapic_hw, rte),
	ST(2, struct ioapic_hw, lines),
	ST(3, struct ioapic_hw, id),
	ST(4, struct ioapic_hw, index),
	ST_END,
};
const struct state_desc ioapic_state = {"ioapic", 1, sizeof(struct ioapic_hw), ioapic_fields};

void ioapic_set(struct device *d, unsigned pin, bool level)
{
	struct ioapic *a = (struct ioapic *)d;

	ioapic_hw_set(&a->hw, pin, level, &a->to);
}

void ioapic_end_of_interrupt(struct device *d, uint8_t vector)
{
	struct ioapic *a = (struct ioapic *)d;

	ioapic_hw_eoi(&a->hw, vector, &a->to);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
	const struct ioapic *a = dev;

	(void)size;
	return ioapic_hw_read(&a->hw, off);
}

static void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct ioapic *a = dev;

	(void)size;
	ioapic_hw_write(&a->hw, off, (uint32_t)val, &a->to);
}

static const struct io_ops ioapic_io = {ioapic_read, ioapic_write, 4};

/* ---- life ------------------------------------------------------------------------------------ */

static void ioapic_reset(struct device *d)
{
	ioapic_hw_reset(&((struct ioapic *)d)->hw);
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
	a->to = (struct ioapic_out){msi, opaque};
	rc = bus_add(mmio, IOAPIC_BASE, 0x1000, &ioapic_io, a, "ioapic", e);
	if (rc) {
		free(a);
		return rc;
	}
	ioapic_reset(&a->dev);
	*out = &a->dev;
	return 0;
}
