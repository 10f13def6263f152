/* SPDX-License-Identifier: Apache-2.0 */
/* The 8259A pair: priorities, cascade, command words. See pic.h. */
#include "x86/pic.h"

#define CASCADE_PIN 2
#define NONE        8 /* "no interrupt" in the order of priorities */

/* Timer, keyboard, cascade, clock and coprocessor are always edge-triggered. */
const uint8_t pic_elcr_mask[2] = {0xf8, 0xde};

/* Rank (0 highest) of the most important input in `mask`, NONE if it is empty. */
static unsigned chip_rank(const struct pic_chip *c, uint8_t mask)
{
	for (unsigned rank = 0; rank < 8; rank++)
		if (mask >> ((c->lowest + 1 + rank) & 7) & 1)
			return rank;
	return NONE;
}

/* The input that would be acknowledged now, or -1. */
static int chip_pending(const struct pic_hw *p, unsigned n)
{
	const struct pic_chip *c = &p->chip[n];
	uint8_t wanted = c->irr & ~c->imr, in_service = c->isr;
	unsigned rank;

	if (!wanted)
		return -1;
	rank = chip_rank(c, wanted);
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

/* The slave's output is the master's input, level-sensitive whatever the mode. */
static void update_cascade(struct pic_hw *p)
{
	uint8_t bit = 1u << CASCADE_PIN;
	struct pic_chip *master = &p->chip[0];
	bool level = chip_pending(p, 1) >= 0;

	master->lines = level ? master->lines | bit : master->lines & ~bit;
	master->irr = level ? master->irr | bit : master->irr & ~bit;
}

bool pic_hw_output(const struct pic_hw *p)
{
	return chip_pending(p, 0) >= 0;
}

void pic_hw_set(struct pic_hw *p, unsigned irq, bool level)
{
	if (irq > 15 || irq == CASCADE_PIN)
		return;
	chip_input(&p->chip[irq >> 3], irq & 7, level);
	update_cascade(p);
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

static uint8_t chip_acknowledge(struct pic_hw *p, unsigned n)
{
	int pin = chip_pending(p, n);

	if (pin < 0)
		return (p->chip[n].base & 0xf8) | 7;
	chip_take(&p->chip[n], pin);
	return (uint8_t)((p->chip[n].base & 0xf8) | pin);
}

uint8_t pic_hw_acknowledge(struct pic_hw *p)
{
	bool cascaded = chip_pending(p, 0) == CASCADE_PIN;
	uint8_t vector = chip_acknowledge(p, 0);

	if (cascaded)
		vector = chip_acknowledge(p, 1);
	update_cascade(p);
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

void pic_hw_write(struct pic_hw *p, unsigned n, bool data, uint8_t val)
{
	struct pic_chip *c = &p->chip[n];

	if (data)
		chip_write_data(c, val);
	else if (val & 0x10)
		chip_init(c, val);
	else if (val & 8)
		chip_ocw3(c, val);
	else
		chip_ocw2(c, val);
	update_cascade(p);
}

static uint8_t chip_poll(struct pic_hw *p, unsigned n)
{
	int pin = chip_pending(p, n);

	p->chip[n].ocw3 &= ~OCW3_POLL;
	if (pin < 0)
		return 0;
	chip_take(&p->chip[n], pin);
	update_cascade(p);
	return (uint8_t)(0x80 | pin);
}

uint8_t pic_hw_read(struct pic_hw *p, unsigned n, bool data)
{
	struct pic_chip *c = &p->chip[n];

	if (c->ocw3 & OCW3_POLL)
		return chip_poll(p, n);
	if (data)
		return c->imr;
	return c->ocw3 & OCW3_READ_ISR ? c->isr : c->irr;
}

void pic_hw_write_elcr(struct pic_hw *p, unsigned n, uint8_t val)
{
	p->chip[n].elcr = val & pic_elcr_mask[n];
}

/* ---- life ------------------------------------------------------------------------------------ */

void pic_hw_reset(struct pic_hw *p)
{
	for (unsigned n = 0; n < 2; n++)
		p->chip[n] = (struct pic_chip){.lowest = 7, .lines = p->chip[n].lines};
	update_cascade(p);
}

void pic_hw_sanitize(struct pic_hw *p)
{
	for (unsigned n = 0; n < 2; n++) {
		p->chip[n].lowest &= 7;
		if (p->chip[n].next_icw > 4)
			p->chip[n].next_icw = 0;
	}
}
