/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window at 0xa0000: how the processor reaches the four planes. (IBM VGA technical reference,
 * "Video memory organization" and graphics controller registers.)
 */
#include <string.h>

#include "vmm/device/vga/vga.h"

#define PLANE_SIZE 0x10000u
#define BANK_SIZE  0x10000u

/* Offset in the window that is mapped now; false: this address is not decoded. */
static bool decode(const struct vga *v, uint64_t *off)
{
	static const struct {
		uint32_t start, size;
	} map[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
	unsigned m = v->hw.gfx[GFX_MISC] >> 2 & 3;

	if (!(v->hw.misc & MISC_RAM) || *off - map[m].start >= map[m].size)
		return false;
	*off -= map[m].start;
	return true;
}

static bool is_linear(const struct vga *v)
{
	return vga_dispi_on(v) && v->hw.dispi[DISPI_BPP] > 4;
}

/* The bytes of an access in a linear mode; NULL when it leaves the bank. */
static uint8_t *linear(const struct vga *v, uint64_t off, unsigned size)
{
	return off + size <= BANK_SIZE ? v->memory + v->hw.dispi[DISPI_BANK] * BANK_SIZE + off
				       : NULL;
}

/* Which planes an address means, as a mask, and the offset inside them. */
static unsigned select_planes(const struct vga *v, uint64_t *off, bool odd_even)
{
	unsigned planes = 0xf;

	if (v->hw.seq[SEQ_MEMORY] & SEQ_CHAIN4) {
		planes = 1u << (*off & 3);
		*off &= ~3ull;
	} else if (odd_even) {
		planes = 0x5u << (*off & 1);
		*off &= ~1ull;
	}
	*off &= PLANE_SIZE - 1;
	return planes;
}

static uint8_t read_byte(struct vga *v, uint64_t off)
{
	const struct vga_hw *h = &v->hw;
	uint8_t differs = 0, plane = h->gfx[GFX_READ_MAP] & 3;
	unsigned planes;

	if (!decode(v, &off))
		return 0xff;
	planes = select_planes(v, &off, h->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN);
	memcpy(v->hw.latch, v->memory + off * 4, 4);
	if (planes != 0xf)
		return h->latch[planes == 0x5   ? plane & 2
				: planes == 0xa ? (plane & 2) | 1
						: __builtin_ctz(planes)];
	if (!(h->gfx[GFX_MODE] & GFX_MODE_READ1))
		return h->latch[plane];
	for (unsigned p = 0; p < 4; p++)
		if (h->gfx[GFX_DONT_CARE] >> p & 1)
			differs |= h->latch[p] ^ (uint8_t) - (h->gfx[GFX_COMPARE] >> p & 1);
	return (uint8_t)~differs;
}

static uint8_t logic(unsigned function, uint8_t data, uint8_t latch)
{
	switch (function & 3) {
	case 1:
		return data & latch;
	case 2:
		return data | latch;
	case 3:
		return data ^ latch;
	default:
		return data;
	}
}

/* What a write of `val` puts into plane p, by write mode. */
static uint8_t plane_data(const struct vga_hw *h, unsigned p, uint8_t val)
{
	unsigned turn = h->gfx[GFX_ROTATE] & 7, mode = h->gfx[GFX_MODE] & 3;
	uint8_t rotated = (uint8_t)(val >> turn | val << (8 - turn)), mask = h->gfx[GFX_BIT_MASK];
	uint8_t set = (uint8_t) - (h->gfx[GFX_SET_RESET] >> p & 1), latch = h->latch[p], data;

	if (mode == 1)
		return latch;
	if (mode == 0)
		data = h->gfx[GFX_ENABLE_SET_RESET] >> p & 1 ? set : rotated;
	else if (mode == 2)
		data = (uint8_t) - (val >> p & 1);
	else
		data = set;
	if (mode == 3)
		mask &= rotated;
	data = logic(h->gfx[GFX_ROTATE] >> 3, data, latch);
	return (uint8_t)((data & mask) | (latch & ~mask));
}

static void write_byte(struct vga *v, uint64_t off, uint8_t val)
{
	struct vga_hw *h = &v->hw;
	unsigned planes;

	if (!decode(v, &off))
		return;
	planes = select_planes(v, &off, !(h->seq[SEQ_MEMORY] & SEQ_NOT_ODD_EVEN)) &
		 h->seq[SEQ_MAP_MASK];
	for (unsigned p = 0; p < 4; p++)
		if (planes >> p & 1)
			v->memory[off * 4 + p] = plane_data(h, p, val);
}

static uint64_t window_read(void *dev, uint64_t off, unsigned size)
{
	struct vga *v = dev;
	uint64_t val = 0;

	if (is_linear(v)) {
		const uint8_t *p = linear(v, off, size);

		memcpy(&val, p ? p : (const uint8_t *)&(uint64_t){UINT64_MAX}, size);
		return val;
	}
	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)read_byte(v, off + i) << 8 * i;
	return val;
}

static void window_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct vga *v = dev;

	if (is_linear(v)) {
		uint8_t *p = linear(v, off, size);

		if (p)
			memcpy(p, &val, size);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		write_byte(v, off + i, (uint8_t)(val >> 8 * i));
}

const struct io_ops vga_window_ops = {window_read, window_write, 1 | 2 | 4 | 8};
