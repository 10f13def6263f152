/* SPDX-License-Identifier: Apache-2.0 */
/* The 8259A pair. Names follow Intel's data sheet: ICW and OCW are the command words. */
#include "vmm/device/pic.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/device/chips.h"

#define CASCADE_PIN 2
#define NONE        8 /* "no interrupt" in the order of priorities */

struct pic {
	struct device dev;
	struct pic_hw hw;
	struct bus *pio;
	void (*output)(void *opaque, bool level);
	void *opaque;
	bool level; /* what output() was told last */
};

#define CHIP(n)                                                                                 \
	ST((n)*16 + 1, struct pic_hw, chip[n].irr), ST((n)*16 + 2, struct pic_hw, chip[n].isr), \
		ST((n)*16 + 3, struct pic_hw, chip[n].imr),                                     \
		ST((n)*16 + 4, struct pic_hw, chip[n].lines),                                   \
		ST((n)*16 + 5, struct pic_hw, chip[n].elcr),                                    \
		ST((n)*16 + 6, struct pic_hw, chip[n].base),                                    \
		ST((n)*16 + 7, struct pic_hw, chip[n].icw1),                                    \
		ST((n)*16 + 8, struct pic_hw, chip[n].next_icw),                                \
		ST((n)*16 + 9, struct pic_hw, chip[n].icw4),                                    \
		ST((n)*16 + 10, struct pic_hw, chip[n].lowest),                                 \
		ST((n)*16 + 11, struct pic_hw, chip[n].ocw3),                                   \
		ST((n)*16 + 12, struct pic_hw, chip[n].rotate_aeoi)

static const struct state_field pic_fields[] = {CHIP(0), CHIP(1), ST_END};
const struct state_desc pic_state = {"pic", 1, sizeof(struct pic_hw), pic_fields};
_Static_assert(sizeof(struct pic_hw) == 24, "new field? give it a tag above, then correct this");

/* Rank (0 highest) of the most important input in `mask`, NONE if it is empty. */
static unsigned chip_rank(const struct pic_chip *c, uint8_t mask)
{
	for (unsigned rank = 0; rank < 8; rank++)
		if (mask >> ((c->lowest + 1 + rank) & 7) & 1)
			return rank;
	return NONE;
}

/* The input that would be acknowledged now, or -1. */
static int chip_pending(const struct pic *p, unsigned n)
{
	const struct pic_chip *c = &p->hw.chip[n];
	unsigned rank = chip_rank(c, c->irr & ~c->imr);
	uint8_t in_service = c->isr;

	if (c->ocw3 & OCW3_SMM)
		in_service &= ~c->imr;
	/* Special fully nested mode: the slave may interrupt its own service. */
	if (n == 0 && (c->icw4 & ICW4_SFNM))
		in_service &= ~(1u << CASCADE_PIN);
	if (rank >= chip_rank(c, in_service))
		return -1;
	return (c->lowest + 1 + (int)rank) & 7;
}

static void chip_input(struct pic_chip *c, unsigned pin, bool level)
{
	uint8_t bit = (uint8_t)(1u << pin);

	if (c->elcr & bit)
		c->irr = level ? c->irr | bit : c->irr & ~bit;
	else if (level && !(c->lines & bit))
		c->irr |= bit;
	c->lines = level ? c->lines | bit : c->lines & ~bit;
}

static void pic_update(struct pic *p)
{
	bool level;

	chip_input(&p->hw.chip[0], CASCADE_PIN, chip_pending(p, 1) >= 0);
	/* The cascade is level-sensitive whatever the mode: a request that went away is none. */
	if (!(p->hw.chip[0].lines >> CASCADE_PIN & 1))
		p->hw.chip[0].irr &= ~(1u << CASCADE_PIN);
	else
		p->hw.chip[0].irr |= 1u << CASCADE_PIN;
	level = chip_pending(p, 0) >= 0;
	if (level == p->level)
		return;
	p->level = level;
	p->output(p->opaque, level);
}

void pic_set(struct device *d, unsigned irq, bool level)
{
	struct pic *p = (struct pic *)d;

	if (irq > 15 || irq == CASCADE_PIN)
		return;
	chip_input(&p->hw.chip[irq >> 3], irq & 7, level);
	pic_update(p);
}

/* The chip hands its request to the processor. */
static void chip_take(struct pic_chip *c, int pin)
{
	uint8_t bit = (uint8_t)(1u << pin);

	if (!(c->elcr & bit))
		c->irr &= ~bit;
	if (!(c->icw4 & ICW4_AEOI))
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->lowest = (uint8_t)pin;
}

static uint8_t chip_acknowledge(struct pic *p, unsigned n)
{
	int pin = chip_pending(p, n);

	if (pin < 0)
		return (p->hw.chip[n].base & 0xf8) | 7;
	chip_take(&p->hw.chip[n], pin);
	return (uint8_t)((p->hw.chip[n].base & 0xf8) | pin);
}

uint8_t pic_acknowledge(struct device *d)
{
	struct pic *p = (struct pic *)d;
	bool cascaded = chip_pending(p, 0) == CASCADE_PIN;
	uint8_t vector = chip_acknowledge(p, 0);

	if (cascaded)
		vector = chip_acknowledge(p, 1);
	pic_update(p);
	return vector;
}

/* ---- registers ------------------------------------------------------------------------------- */

static void chip_init(struct pic_chip *c, uint8_t icw1)
{
	/* What a level-triggered input asks for stays; a latched edge is forgotten. */
	c->irr &= c->elcr;
	c->isr = c->imr = 0;
	c->lowest = 7;
	c->ocw3 = c->rotate_aeoi = 0;
	c->icw1 = icw1;
	c->next_icw = 2;
	if (!(icw1 & 1))
		c->icw4 = 0;
}

static void chip_eoi(struct pic_chip *c, uint8_t ocw2)
{
	unsigned rank = chip_rank(c, c->isr);
	uint8_t pin = ocw2 & 7;

	if (!(ocw2 & 0x40)) { /* not specific: the one of highest priority */
		if (rank == NONE)
			return;
		pin = (c->lowest + 1 + rank) & 7;
	}
	c->isr &= ~(1u << pin);
	if (ocw2 & 0x80)
		c->lowest = pin;
}

static void chip_ocw2(struct pic_chip *c, uint8_t val)
{
	switch (val >> 5) {
	case 0: /* rotate in automatic EOI mode: off, on */
	case 4:
		c->rotate_aeoi = val >> 7;
		break;
	case 6: /* set priority */
		c->lowest = val & 7;
		break;
	case 2: /* no operation */
		break;
	default:
		chip_eoi(c, val);
	}
}

static void chip_ocw3(struct pic_chip *c, uint8_t val)
{
	c->ocw3 = (c->ocw3 & ~OCW3_POLL) | (val & 4 ? OCW3_POLL : 0);
	if (val & 2)
		c->ocw3 = (c->ocw3 & ~OCW3_READ_ISR) | (val & 1);
	if (val & 0x40)
		c->ocw3 = (c->ocw3 & ~OCW3_SMM) | (val & 0x20 ? OCW3_SMM : 0);
}

static void chip_write_data(struct pic_chip *c, uint8_t val)
{
	switch (c->next_icw) {
	case 2:
		c->base = val;
		c->next_icw = c->icw1 & 2 ? (c->icw1 & 1 ? 4 : 0) : 3;
		break;
	case 3: /* the wiring of the cascade, which is fixed in a PC */
		c->next_icw = c->icw1 & 1 ? 4 : 0;
		break;
	case 4:
		c->icw4 = val;
		c->next_icw = 0;
		break;
	default:
		c->imr = val;
	}
}

static void pic_write(struct pic *p, unsigned n, uint64_t off, uint8_t val)
{
	struct pic_chip *c = &p->hw.chip[n];

	if (off)
		chip_write_data(c, val);
	else if (val & 0x10)
		chip_init(c, val);
	else if (val & 8)
		chip_ocw3(c, val);
	else
		chip_ocw2(c, val);
	pic_update(p);
}

static uint8_t chip_poll(struct pic *p, unsigned n)
{
	int pin = chip_pending(p, n);

	p->hw.chip[n].ocw3 &= ~OCW3_POLL;
	if (pin < 0)
		return 0;
	chip_take(&p->hw.chip[n], pin);
	pic_update(p);
	return (uint8_t)(0x80 | pin);
}

static uint8_t pic_read(struct pic *p, unsigned n, uint64_t off)
{
	struct pic_chip *c = &p->hw.chip[n];

	if (c->ocw3 & OCW3_POLL)
		return chip_poll(p, n);
	if (off)
		return c->imr;
	return c->ocw3 & OCW3_READ_ISR ? c->isr : c->irr;
}

static uint64_t master_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return pic_read(dev, 0, off);
}

static void master_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	pic_write(dev, 0, off, (uint8_t)val);
}

static uint64_t slave_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return pic_read(dev, 1, off);
}

static void slave_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	pic_write(dev, 1, off, (uint8_t)val);
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size)
{
	struct pic *p = dev;

	(void)size;
	return p->hw.chip[off].elcr;
}

static void elcr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	/* Timer, keyboard, cascade, clock and coprocessor are always edge-triggered. */
	static const uint8_t writable[2] = {0xf8, 0xde};
	struct pic *p = dev;

	(void)size;
	p->hw.chip[off].elcr = (uint8_t)val & writable[off];
}

static const struct io_ops master_ops = {master_read, master_write, 1};
static const struct io_ops slave_ops = {slave_read, slave_write, 1};
static const struct io_ops elcr_ops = {elcr_read, elcr_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void pic_reset(struct device *d)
{
	struct pic *p = (struct pic *)d;

	for (unsigned n = 0; n < 2; n++) {
		uint8_t lines = p->hw.chip[n].lines;

		p->hw.chip[n] = (struct pic_chip){.lowest = 7, .lines = lines};
	}
	pic_update(p);
}

static void pic_destroy(struct device *d)
{
	struct pic *p = (struct pic *)d;

	bus_remove(p->pio, 0x20, p);
	bus_remove(p->pio, 0xa0, p);
	bus_remove(p->pio, 0x4d0, p);
	free(p);
}

static void *pic_hw(struct device *d)
{
	return &((struct pic *)d)->hw;
}

static int pic_loaded(struct device *d, struct err *e)
{
	struct pic *p = (struct pic *)d;

	(void)e;
	for (unsigned n = 0; n < 2; n++) {
		p->hw.chip[n].lowest &= 7;
		if (p->hw.chip[n].next_icw > 4)
			p->hw.chip[n].next_icw = 0;
	}
	/* The processor's pin is not saved with it: tell it in any case. */
	p->level = chip_pending(p, 0) >= 0;
	p->output(p->opaque, p->level);
	return 0;
}

static const struct device_ops pic_ops = {
	.name = "pic",
	.help = "8259A interrupt controllers",
	.reset = pic_reset,
	.destroy = pic_destroy,
	.state = &pic_state,
	.hw = pic_hw,
	.loaded = pic_loaded,
};

int pic_create(struct device **out, struct bus *pio, void (*output)(void *opaque, bool level),
	       void *opaque, struct err *e)
{
	struct pic *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return err_set(e, -ENOMEM, "pic: out of memory");
	p->dev.ops = &pic_ops;
	p->pio = pio;
	p->output = output;
	p->opaque = opaque;
	rc = bus_add(pio, 0x20, 2, &master_ops, p, "pic1", e);
	if (!rc)
		rc = bus_add(pio, 0xa0, 2, &slave_ops, p, "pic2", e);
	if (!rc)
		rc = bus_add(pio, 0x4d0, 2, &elcr_ops, p, "elcr", e);
	if (rc) {
		pic_destroy(&p->dev);
		return rc;
	}
	pic_reset(&p->dev);
	*out = &p->dev;
	return 0;
}
