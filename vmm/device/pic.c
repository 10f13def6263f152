/* SPDX-License-Identifier: Apache-2.0 */
/* The 8259A pair on its ports; x86/pic.c is the chips. */
#include "vmm/device/pic.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/device/chips.h"

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

static void pic_update(struct pic *p)
{
	bool level = pic_hw_output(&p->hw);

	if (level == p->level)
		return;
	p->level = level;
	p->output(p->opaque, level);
}

void pic_set(struct device *d, unsigned irq, bool level)
{
	struct pic *p = (struct pic *)d;

	pic_hw_set(&p->hw, irq, level);
	pic_update(p);
}

uint8_t pic_acknowledge(struct device *d)
{
	struct pic *p = (struct pic *)d;
	uint8_t vector = pic_hw_acknowledge(&p->hw);

	pic_update(p);
	return vector;
}

/* ---- ports ----------------------------------------------------------------------------------- */

static uint64_t chip_read(struct pic *p, unsigned n, uint64_t off)
{
	uint8_t val = pic_hw_read(&p->hw, n, off);

	pic_update(p);
	return val;
}

static void chip_write(struct pic *p, unsigned n, uint64_t off, uint64_t val)
{
	pic_hw_write(&p->hw, n, off, (uint8_t)val);
	pic_update(p);
}

static uint64_t master_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return chip_read(dev, 0, off);
}

static void master_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	chip_write(dev, 0, off, val);
}

static uint64_t slave_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return chip_read(dev, 1, off);
}

static void slave_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	chip_write(dev, 1, off, val);
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size)
{
	struct pic *p = dev;

	(void)size;
	return p->hw.chip[off].elcr;
}

static void elcr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pic *p = dev;

	(void)size;
	pic_hw_write_elcr(&p->hw, (unsigned)off, (uint8_t)val);
}

static const struct io_ops master_ops = {master_read, master_write, 1};
static const struct io_ops slave_ops = {slave_read, slave_write, 1};
static const struct io_ops elcr_ops = {elcr_read, elcr_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void pic_reset(struct device *d)
{
	struct pic *p = (struct pic *)d;

	pic_hw_reset(&p->hw);
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
	pic_hw_sanitize(&p->hw);
	/* The processor's pin is not saved with it: tell it in any case. */
	p->level = pic_hw_output(&p->hw);
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
