/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The font of text modes. A firmware loads it; for a kernel that is started without one it is taken
 * from the video BIOS as well, which holds it as 256 characters of 16 rows.
 */
#include <string.h>

#include "vmm/device/vga/vga.h"

#define ROWS  16u
#define CHARS 256u

/* Every such font begins with an empty character and a smiling face. */
static const uint8_t start[2 * ROWS] = {[16] = 0x00, 0x00, 0x7e, 0x81, 0xa5, 0x81,
					0x81,        0xbd, 0x99, 0x81, 0x81, 0x7e};

static const uint8_t *find_font(const struct vga_setup *s)
{
	const uint8_t *f = s->rom ? memmem(s->rom, s->rom_size, start, sizeof(start)) : NULL;

	return f && (uint64_t)(f - s->rom) + CHARS * ROWS <= s->rom_size ? f : NULL;
}

void vga_load_font(struct vga *v)
{
	const uint8_t *font = find_font(&v->setup);

	for (unsigned i = 0; font && i < CHARS * ROWS; i++)
		v->memory[(i / ROWS * 32 + i % ROWS) * 4 + 2] = font[i];
}
