/* SPDX-License-Identifier: Apache-2.0 */
/* The Bochs VBE extensions: linear modes of any size and depth. */
#include <string.h>

#include "vmm/device/vga/vga.h"

#define ID_FIRST 0xb0c0
#define ID_LAST  0xb0c5

#define BANK_SIZE 0x10000

static unsigned row_bytes(const struct vga *v, unsigned width)
{
	unsigned bpp = v->hw.dispi[DISPI_BPP];

	return bpp == 4 ? width / 2 : width * ((bpp + 7) / 8);
}

static bool depth_ok(uint16_t bpp)
{
	return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Whatever was asked for, the picture lies inside the memory afterwards. */
static void clamp(struct vga *v)
{
	uint16_t *d = v->hw.dispi;
	unsigned pitch;

	if (!depth_ok(d[DISPI_BPP]))
		d[DISPI_BPP] = 8;
	if (!d[DISPI_XRES] || d[DISPI_XRES] > DISPLAY_MAX)
		d[DISPI_XRES] = DISPLAY_MAX;
	d[DISPI_XRES] = d[DISPI_XRES] < 8 ? 8 : d[DISPI_XRES] & ~7;
	if (d[DISPI_VIRT_WIDTH] < d[DISPI_XRES])
		d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
	d[DISPI_VIRT_WIDTH] &= ~7;
	pitch = row_bytes(v, d[DISPI_VIRT_WIDTH]);
	if (!d[DISPI_YRES] || d[DISPI_YRES] > DISPLAY_MAX)
		d[DISPI_YRES] = DISPLAY_MAX;
	if (d[DISPI_YRES] > VGA_MEMORY / pitch)
		d[DISPI_YRES] = (uint16_t)(VGA_MEMORY / pitch);
	d[DISPI_VIRT_HEIGHT] =
		VGA_MEMORY / pitch > UINT16_MAX ? UINT16_MAX : (uint16_t)(VGA_MEMORY / pitch);
	if (d[DISPI_X] > d[DISPI_VIRT_WIDTH] - d[DISPI_XRES])
		d[DISPI_X] = d[DISPI_VIRT_WIDTH] - d[DISPI_XRES];
	if (d[DISPI_Y] > d[DISPI_VIRT_HEIGHT] - d[DISPI_YRES])
		d[DISPI_Y] = d[DISPI_VIRT_HEIGHT] - d[DISPI_YRES];
}

static void switch_mode(struct vga *v, uint16_t val)
{
	uint16_t *d = v->hw.dispi;
	bool was_on = d[DISPI_ENABLE] & DISPI_ON;

	d[DISPI_ENABLE] = val & (DISPI_ON | DISPI_CAPS | DISPI_DAC8 | 0x40 | DISPI_NOCLEAR);
	d[DISPI_BANK] = 0;
	if (!(val & DISPI_ON) || was_on)
		return;
	d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
	d[DISPI_X] = d[DISPI_Y] = 0;
	clamp(v);
	if (!(val & DISPI_NOCLEAR))
		memset(v->memory, 0, (size_t)row_bytes(v, d[DISPI_VIRT_WIDTH]) * d[DISPI_YRES]);
}

uint16_t vga_dispi_read(const struct vga *v, unsigned index)
{
	static const uint16_t most[DISPI_COUNT] = {
		[DISPI_XRES] = DISPLAY_MAX, [DISPI_YRES] = DISPLAY_MAX, [DISPI_BPP] = 32};

	if (index >= DISPI_COUNT)
		return 0;
	if ((v->hw.dispi[DISPI_ENABLE] & DISPI_CAPS) && most[index])
		return most[index];
	if (index == DISPI_MEMORY)
		return VGA_MEMORY / BANK_SIZE;
	return v->hw.dispi[index];
}

void vga_dispi_write(struct vga *v, unsigned index, uint16_t val)
{
	uint16_t *d = v->hw.dispi;

	if (index >= DISPI_MEMORY || index == DISPI_VIRT_HEIGHT)
		return;
	if (index == DISPI_ID && (val < ID_FIRST || val > ID_LAST))
		return;
	if (index == DISPI_BANK && val >= VGA_MEMORY / BANK_SIZE)
		return;
	if (index == DISPI_ENABLE) {
		switch_mode(v, val);
		return;
	}
	d[index] = val;
	if (vga_dispi_on(v))
		clamp(v);
}
