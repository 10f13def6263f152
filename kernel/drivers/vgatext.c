/* SPDX-License-Identifier: Apache-2.0 */
/* VGA text mode, 80 x 25, as firmware leaves it. */
#include "kernel/boot/bootinfo.h"
#include "kernel/cpu/cpu.h"
#include "kernel/drivers/screen.h"
#include "kernel/mm/pagetable.h"

#define TEXT_MEMORY 0xb8000
#define CRTC        0x3d4

static volatile uint16_t *text;

static void draw(unsigned row, unsigned col, struct cell c)
{
	text[row * 80 + col] = (uint16_t)(c.colour << 8 | c.ch);
}

static void crtc(uint8_t reg, uint8_t v)
{
	outb(CRTC, reg);
	outb(CRTC + 1, v);
}

static void cursor(unsigned row, unsigned col, bool visible)
{
	unsigned at = row * 80 + col;

	crtc(0x0a, visible ? 13 : 0x20);
	crtc(0x0b, 14);
	crtc(0x0e, (uint8_t)(at >> 8));
	crtc(0x0f, (uint8_t)at);
}

const struct screen *vgatext_open(void)
{
	static const struct screen screen = {25, 80, draw, cursor};

	if (boot.fb.addr)
		return NULL;
	outb(CRTC, 0x0f);
	if (inb(CRTC + 1) == 0xff) /* no adapter */
		return NULL;
	text = map_device(TEXT_MEMORY, 80 * 25 * 2);
	return &screen;
}
