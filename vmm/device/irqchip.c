/* SPDX-License-Identifier: Apache-2.0 */
/* Joins PIC and I/O APIC into the router that devices see. */
#include "vmm/device/irqchip.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/device/ioapic.h"
#include "vmm/device/pic.h"

struct irqchip {
	struct irq_router router;
	struct irqchip_out to;
	struct device *pic, *ioapic;
};

static void route_line(void *opaque, unsigned gsi, bool level)
{
	struct irqchip *c = opaque;

	if (gsi < 16)
		pic_set(c->pic, gsi, level);
	if (gsi != 2)
		ioapic_set(c->ioapic, gsi ? gsi : 2, level);
}

static void route_message(void *opaque, uint64_t addr, uint32_t data)
{
	struct irqchip *c = opaque;

	c->to.msi(c->to.opaque, addr, data);
}

static void route_extint(void *opaque, bool level)
{
	struct irqchip *c = opaque;

	c->to.extint(c->to.opaque, level);
}

int irqchip_create(struct irqchip **out, const struct device_env *env, const struct irqchip_out *to,
		   struct err *e)
{
	struct irqchip *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, -ENOMEM, "irqchip: out of memory");
	c->to = *to;
	c->router = (struct irq_router){route_line, route_message, c};
	rc = pic_create(&c->pic, env->pio, route_extint, c, e);
	if (rc)
		goto free_chip;
	rc = ioapic_create(&c->ioapic, env->mmio, route_message, c, e);
	if (rc)
		goto destroy_pic;
	*out = c;
	return 0;
destroy_pic:
	c->pic->ops->destroy(c->pic);
free_chip:
	free(c);
	return rc;
}

void irqchip_destroy(struct irqchip *c)
{
	if (!c)
		return;
	c->ioapic->ops->destroy(c->ioapic);
	c->pic->ops->destroy(c->pic);
	free(c);
}

const struct irq_router *irqchip_router(const struct irqchip *c)
{
	return &c->router;
}

struct device *irqchip_pic(const struct irqchip *c)
{
	return c->pic;
}

struct device *irqchip_ioapic(const struct irqchip *c)
{
	return c->ioapic;
}

int irqchip_pic_ack(struct irqchip *c)
{
	return pic_acknowledge(c->pic);
}

void irqchip_ioapic_eoi(struct irqchip *c, uint8_t vector)
{
	ioapic_end_of_interrupt(c->ioapic, vector);
}
