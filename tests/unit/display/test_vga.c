/* SPDX-License-Identifier: Apache-2.0 */
/* The graphics adapter: register sequences in, pixels out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/virtio/guest.h"
#include "vmm/device/vga/vga.h"

#define SLOT     1 /* behind the host bridge */
#define TEXT     0xb8000
#define GRAPHICS 0xa0000
#define ROM_SIZE 8192

/* A machine with an adapter in it, and one who looks. */
struct rig {
	struct guest g;
	struct device *d;
	struct display display;
	struct surface s;
	uint8_t rom[ROM_SIZE];
	gpa_t moved_to;
};

static void on_move(void *opaque, unsigned slot, gpa_t gpa)
{
	struct rig *r = (struct rig *)opaque;

	assert_true(r->g.mem.slot[slot].device);
	r->moved_to = gpa;
}

/* Where a font starts in a video BIOS: an empty character and a face. Character A is one line. */
static void fill_rom(uint8_t *rom)
{
	static const uint8_t face[] = {0x00, 0x00, 0x7e, 0x81, 0xa5, 0x81,
				       0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e};

	memset(rom, 0xee, 0x200);
	rom[0] = 0x55;
	rom[1] = 0xaa;
	memcpy(rom + 0x200 + 16, face, sizeof(face));
	rom[0x200 + 'A' * 16 + 5] = 0x81;
	rom[0x200 + 0xc4 * 16 + 7] = 0xff; /* a line that goes on into the ninth column */
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct vga_setup setup = {&r->display, r->rom, ROM_SIZE};
	struct device_conf conf = {.name = "vga", .backend = &setup};
	struct err e;

	fill_rom(r->rom);
	guest_init(&r->g);
	assert_int_equal(vga_prepare_memory(&r->g.mem, &e), 0);
	r->g.env.move_memory = on_move;
	r->g.env.opaque = r; /* the guest is its first member */
	r->d = guest_add(&r->g, &vga_ops, &conf);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	guest_remove(&r->g, r->d);
	assert_null(r->display.draw);
	surface_free(&r->s);
	guest_fini(&r->g);
	free(r);
	return 0;
}

static void out(struct rig *r, unsigned port, unsigned size, unsigned val)
{
	bus_write(&r->g.pio, port, size, val);
}

static unsigned in(struct rig *r, unsigned port, unsigned size)
{
	return (unsigned)bus_read(&r->g.pio, port, size);
}

static void dispi(struct rig *r, unsigned index, unsigned val)
{
	out(r, 0x1ce, 2, index);
	out(r, 0x1cf, 2, val);
}

static unsigned get_dispi(struct rig *r, unsigned index)
{
	out(r, 0x1ce, 2, index);
	return in(r, 0x1d0, 2);
}

static void set_mode(struct rig *r, unsigned width, unsigned height, unsigned bpp)
{
	dispi(r, DISPI_ENABLE, 0);
	dispi(r, DISPI_XRES, width);
	dispi(r, DISPI_YRES, height);
	dispi(r, DISPI_BPP, bpp);
	dispi(r, DISPI_ENABLE, DISPI_ON | 0x40);
}

static gpa_t bar(struct rig *r, unsigned n)
{
	return guest_cfg_read(&r->g, SLOT, pci_bar_reg(n), 4) & ~0xfull;
}

static uint32_t pixel(struct rig *r, unsigned x, unsigned y)
{
	assert_int_equal(display_look(&r->display, &r->s), 0);
	assert_true(x < r->s.width && y < r->s.height);
	return r->s.pixels[y * r->s.width + x] & 0xffffff;
}

static void assert_size(struct rig *r, unsigned width, unsigned height)
{
	assert_int_equal(display_look(&r->display, &r->s), 0);
	assert_int_equal(r->s.width, width);
	assert_int_equal(r->s.height, height);
}

/* ---- text ----------------------------------------------------------------------------------- */

static void text_mode(void **state)
{
	struct rig *r = *state;
	char *text;

	assert_size(r, 720, 400);
	guest_write(&r->g, TEXT, 4, 0x1fc41f41); /* A and a line: white on blue */
	guest_write(&r->g, TEXT + 160 + 2, 2, 0x0742);
	text = display_read_text(&r->display);
	assert_non_null(text);
	assert_memory_equal(text, "A\xe2\x94\x80\n B\n\n", 8);
	free(text);
	assert_int_equal(pixel(r, 0, 5), 0xffffff);
	assert_int_equal(pixel(r, 1, 5), 0x0000aa);
	assert_int_equal(pixel(r, 7, 5), 0xffffff);
	assert_int_equal(pixel(r, 8, 5), 0x0000aa);
	assert_int_equal(pixel(r, 9 + 8, 7), 0xffffff);
	assert_int_equal(pixel(r, 20, 3), 0x000000);
	assert_int_equal(guest_read(&r->g, TEXT, 4), 0x1fc41f41);
}

static void text_scrolls(void **state)
{
	struct rig *r = *state;
	char *text;

	guest_write(&r->g, TEXT + 160, 2, 0x0741);
	out(r, 0x3d4, 2, 0x000c);
	out(r, 0x3d4, 2, 80 << 8 | 0x0d);
	text = display_read_text(&r->display);
	assert_memory_equal(text, "A\n", 2);
	free(text);
}

static void cursor(void **state)
{
	struct rig *r = *state;

	out(r, 0x3d4, 2, 81 << 8 | 0x0f); /* second column of the second row */
	guest_write(&r->g, TEXT + 162, 2, 0x0220);
	assert_int_equal(pixel(r, 9, 16 + 13), 0x00aa00);
	assert_int_equal(pixel(r, 9, 16 + 12), 0x000000);
	out(r, 0x3d4, 2, 0x200a);
	assert_int_equal(pixel(r, 9, 16 + 13), 0x000000);
}

static void bright_background(void **state)
{
	struct rig *r = *state;

	guest_write(&r->g, TEXT, 2, 0x9020); /* blinks */
	assert_int_equal(pixel(r, 0, 0), 0x0000aa);
	in(r, 0x3da, 1);
	out(r, 0x3c0, 1, 0x30);
	out(r, 0x3c0, 1, 0x04);
	assert_int_equal(pixel(r, 0, 0), 0x5555ff);
}

static void screen_off(void **state)
{
	struct rig *r = *state;

	guest_write(&r->g, TEXT, 2, 0x1f20);
	assert_int_equal(pixel(r, 0, 0), 0x0000aa);
	out(r, 0x3c4, 2, 0x2001);
	assert_int_equal(pixel(r, 0, 0), 0);
	out(r, 0x3c4, 2, 0x0001);
	in(r, 0x3da, 1);
	out(r, 0x3c0, 1, 0x00); /* palette to the processor */
	assert_int_equal(pixel(r, 0, 0), 0);
	assert_int_equal(in(r, 0x3c0, 1), 0); /* data comes next */
}

/* ---- graphics ------------------------------------------------------------------------------- */

struct mode {
	uint8_t misc, seq[5], crtc[25], gfx[9], attr_mode;
};

static void load_mode(struct rig *r, const struct mode *m)
{
	out(r, 0x3c2, 1, m->misc);
	for (unsigned i = 0; i < 5; i++)
		out(r, 0x3c4, 2, m->seq[i] << 8 | i);
	out(r, 0x3d4, 2, 0x0011); /* unlock */
	for (unsigned i = 0; i < 25; i++)
		out(r, 0x3d4, 2, m->crtc[i] << 8 | i);
	for (unsigned i = 0; i < 9; i++)
		out(r, 0x3ce, 2, m->gfx[i] << 8 | i);
	in(r, 0x3da, 1);
	out(r, 0x3c0, 1, 0x30);
	out(r, 0x3c0, 1, m->attr_mode);
}

/* IBM VGA technical reference, "BIOS modes": 13h, 12h and 04h. */
static const struct mode mode13 = {0x63,
				   {0x03, 0x01, 0x0f, 0x00, 0x0e},
				   {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00,
				    0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
				    0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
				   {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
				   0x41};
static const struct mode mode12 = {0xe3,
				   {0x03, 0x01, 0x0f, 0x00, 0x06},
				   {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00,
				    0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xea, 0x8c,
				    0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
				   {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
				   0x01};
static const struct mode mode04 = {0x63,
				   {0x03, 0x09, 0x03, 0x00, 0x02},
				   {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00,
				    0xc1, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
				    0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
				   {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0f, 0x0f, 0xff},
				   0x01};

static void chain4(void **state)
{
	struct rig *r = *state;

	load_mode(r, &mode13);
	assert_size(r, 320, 200);
	out(r, 0x3c8, 1, 200);
	out(r, 0x3c9, 1, 63);
	out(r, 0x3c9, 1, 0);
	out(r, 0x3c9, 1, 32);
	guest_write(&r->g, GRAPHICS + 320 * 199 + 317, 1, 200);
	guest_write(&r->g, GRAPHICS + 5, 2, 0xc8c8);
	assert_int_equal(pixel(r, 317, 199), 0xff0082);
	assert_int_equal(pixel(r, 316, 199), 0);
	assert_int_equal(pixel(r, 5, 0), 0xff0082);
	assert_int_equal(pixel(r, 6, 0), 0xff0082);
	assert_int_equal(pixel(r, 7, 0), 0);
	assert_int_equal(guest_read(&r->g, GRAPHICS + 4, 4), 0x00c8c800);
	assert_null(display_read_text(&r->display));
}

/* Mode X: the same picture, but each plane by itself. */
static void unchained(void **state)
{
	struct rig *r = *state;

	load_mode(r, &mode13);
	out(r, 0x3c4, 2, 0x0604);
	out(r, 0x3d4, 2, 0x0014);
	out(r, 0x3d4, 2, 0xe317);
	out(r, 0x3c4, 2, 0x0202); /* plane 1 */
	guest_write(&r->g, GRAPHICS + 80 + 1, 1, 0x04);
	assert_int_equal(pixel(r, 5, 1), 0xaa0000);
	assert_int_equal(pixel(r, 4, 1), 0);
}

static void planes(void **state)
{
	struct rig *r = *state;

	load_mode(r, &mode12);
	assert_size(r, 640, 480);
	out(r, 0x3c4, 2, 0x0502); /* planes 0 and 2: magenta */
	guest_write(&r->g, GRAPHICS + 80 * 479 + 79, 1, 0x81);
	assert_int_equal(pixel(r, 632, 479), 0xaa00aa);
	assert_int_equal(pixel(r, 633, 479), 0);
	assert_int_equal(pixel(r, 639, 479), 0xaa00aa);
	out(r, 0x3ce, 2, 0x0204); /* read plane 2, then plane 1 */
	assert_int_equal(guest_read(&r->g, GRAPHICS + 80 * 479 + 79, 1), 0x81);
	out(r, 0x3ce, 2, 0x0104);
	assert_int_equal(guest_read(&r->g, GRAPHICS + 80 * 479 + 79, 1), 0x00);
}

/* Each row: graphics registers 0 to 8, the byte written over planes that hold ff 00 ff 00, and what
 * they hold then. */
static void write_modes(void **state)
{
	static const struct {
		uint8_t gfx[9], val, planes[4];
	} rows[] = {
		{{0, 0, 0, 0, 0, 0, 5, 15, 0xff}, 0x3c, {0x3c, 0x3c, 0x3c, 0x3c}},
		{{0, 0, 0, 2, 0, 0, 5, 15, 0xff}, 0x03, {0xc0, 0xc0, 0xc0, 0xc0}},    /* rotate */
		{{0, 0, 0, 0x08, 0, 0, 5, 15, 0xff}, 0x3c, {0x3c, 0x00, 0x3c, 0x00}}, /* and */
		{{0, 0, 0, 0x10, 0, 0, 5, 15, 0xff}, 0x3c, {0xff, 0x3c, 0xff, 0x3c}}, /* or */
		{{0, 0, 0, 0x18, 0, 0, 5, 15, 0xff}, 0x3c, {0xc3, 0x3c, 0xc3, 0x3c}}, /* xor */
		{{0, 0, 0, 0, 0, 0, 5, 15, 0x0f}, 0x55, {0xf5, 0x05, 0xf5, 0x05}},    /* bit mask */
		{{0x2, 0x6, 0, 0, 0, 0, 5, 15, 0xff},
		 0x3c,
		 {0x3c, 0xff, 0x00, 0x3c}},                                          /* set/reset */
		{{0, 0, 0, 0, 0, 1, 5, 15, 0xff}, 0x3c, {0xff, 0x00, 0xff, 0x00}},   /* latches */
		{{0, 0, 0, 0, 0, 2, 5, 15, 0xf0}, 0x0a, {0x0f, 0xf0, 0x0f, 0xf0}},   /* colour */
		{{0x9, 0, 0, 0, 0, 3, 5, 15, 0x3f}, 0x0f, {0xff, 0x00, 0xf0, 0x0f}}, /* mask */
	};
	struct rig *r = *state;

	load_mode(r, &mode12);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t plain[9] = {0, 0, 0, 0, 0, 0, 5, 15, 0xff};
		const uint8_t *regs[2] = {plain, rows[i].gfx};

		for (unsigned n = 0; n < 9; n++)
			out(r, 0x3ce, 2, regs[0][n] << 8 | n);
		out(r, 0x3c4, 2, 0x0502);
		guest_write(&r->g, GRAPHICS, 1, 0xff);
		out(r, 0x3c4, 2, 0x0a02);
		guest_write(&r->g, GRAPHICS, 1, 0x00);
		out(r, 0x3c4, 2, 0x0f02);
		for (unsigned n = 0; n < 9; n++)
			out(r, 0x3ce, 2, regs[1][n] << 8 | n);
		guest_read(&r->g, GRAPHICS, 1);
		guest_write(&r->g, GRAPHICS, 1, rows[i].val);
		out(r, 0x3ce, 2, 0x0005);
		for (unsigned p = 0; p < 4; p++) {
			out(r, 0x3ce, 2, p << 8 | 4);
			assert_int_equal(guest_read(&r->g, GRAPHICS, 1), rows[i].planes[p]);
		}
	}
}

static void read_mode_1(void **state)
{
	struct rig *r = *state;

	load_mode(r, &mode12);
	out(r, 0x3c4, 2, 0x0502);
	guest_write(&r->g, GRAPHICS, 1, 0xf0);
	out(r, 0x3ce, 2, 0x0805);
	out(r, 0x3ce, 2, 0x0502); /* compare with colour 5 */
	assert_int_equal(guest_read(&r->g, GRAPHICS, 1), 0xf0);
	out(r, 0x3ce, 2, 0x0a07); /* only planes that are 0 anyway count */
	out(r, 0x3ce, 2, 0x0002);
	assert_int_equal(guest_read(&r->g, GRAPHICS, 1), 0xff);
}

static void cga(void **state)
{
	struct rig *r = *state;

	load_mode(r, &mode04);
	assert_size(r, 320, 200);
	guest_write(&r->g, TEXT, 2, 0xc01b);        /* pixels 0 1 2 3, then 3 0 0 0 */
	guest_write(&r->g, TEXT + 0x2000, 1, 0x80); /* odd lines lie 8 KiB further */
	assert_int_equal(pixel(r, 0, 0), 0);
	assert_int_equal(pixel(r, 1, 0), 0x0000aa);
	assert_int_equal(pixel(r, 2, 0), 0x00aa00);
	assert_int_equal(pixel(r, 3, 0), 0x00aaaa);
	assert_int_equal(pixel(r, 4, 0), 0x00aaaa);
	assert_int_equal(pixel(r, 0, 1), 0x00aa00);
}

/* ---- linear modes --------------------------------------------------------------------------- */

static void depths(void **state)
{
	static const struct {
		unsigned bpp, val, colour;
	} rows[] = {{8, 0x04, 0xaa0000},
		    {15, 0x7c1f, 0xff00ff},
		    {16, 0x07e0, 0x00ff00},
		    {24, 0x123456, 0x123456},
		    {32, 0x89abcd, 0x89abcd}};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned bytes = (rows[i].bpp + 7) / 8;

		set_mode(r, 640, 480, rows[i].bpp);
		assert_size(r, 640, 480);
		for (unsigned b = 0; b < bytes; b++)
			guest_write(&r->g, bar(r, 0) + (640 * 479 + 3) * bytes + b, 1,
				    rows[i].val >> 8 * b & 0xff);
		assert_int_equal(pixel(r, 3, 479), rows[i].colour);
		assert_int_equal(pixel(r, 2, 479), 0);
	}
	dispi(r, DISPI_ENABLE, 0);
	assert_size(r, 720, 400);
}

static void banks_and_panning(void **state)
{
	struct rig *r = *state;

	set_mode(r, 1024, 768, 32);
	dispi(r, DISPI_BANK, 2);
	guest_write(&r->g, GRAPHICS, 4, 0x00112233); /* 128 KiB: row 32 */
	assert_int_equal(pixel(r, 0, 32), 0x112233);
	dispi(r, DISPI_VIRT_WIDTH, 2048);
	dispi(r, DISPI_Y, 16);
	assert_int_equal(pixel(r, 0, 0), 0x112233);
	assert_int_equal(get_dispi(r, DISPI_VIRT_HEIGHT), (16 << 20) / 8192);
	dispi(r, DISPI_BANK, 256); /* there is none */
	assert_int_equal(get_dispi(r, DISPI_BANK), 2);
}

static void dispi_registers(void **state)
{
	struct rig *r = *state;

	assert_int_equal(get_dispi(r, DISPI_ID), 0xb0c5);
	dispi(r, DISPI_ID, 0xb0c0);
	assert_int_equal(get_dispi(r, DISPI_ID), 0xb0c0);
	dispi(r, DISPI_ID, 0x1234);
	assert_int_equal(get_dispi(r, DISPI_ID), 0xb0c0);
	assert_int_equal(get_dispi(r, DISPI_MEMORY), 256);
	dispi(r, DISPI_ENABLE, DISPI_CAPS);
	assert_int_equal(get_dispi(r, DISPI_BPP), 32);
	assert_int_equal(guest_read(&r->g, bar(r, 2) + 0x500 + 2 * DISPI_MEMORY, 2), 256);
	guest_write(&r->g, bar(r, 2) + 0x500 + 2 * DISPI_XRES, 2, 800);
	dispi(r, DISPI_ENABLE, 0);
	assert_int_equal(get_dispi(r, DISPI_XRES), 800);
	assert_int_equal(get_dispi(r, 99), 0);
}

/* Whatever a guest asks for, the picture lies inside the memory. */
static void absurd_modes(void **state)
{
	static const uint16_t sizes[] = {0, 1, 7, 9, 4095, 4096, 4097, 65535};
	static const uint16_t depth[] = {0, 4, 8, 15, 24, 32, 33, 65535};
	struct rig *r = *state;

	for (unsigned w = 0; w < 8; w++)
		for (unsigned h = 0; h < 8; h++)
			for (unsigned b = 0; b < 8; b += 1 + (w ^ h) % 3) {
				set_mode(r, sizes[w], sizes[h], depth[b]);
				dispi(r, DISPI_VIRT_WIDTH, sizes[h]);
				dispi(r, DISPI_X, sizes[w]);
				dispi(r, DISPI_Y, 65535);
				assert_int_equal(display_look(&r->display, &r->s), 0);
				assert_true(r->s.width <= DISPLAY_MAX);
			}
}

static void nothing_changed_is_clean(void **state)
{
	struct rig *r = *state;

	set_mode(r, 640, 480, 32);
	display_look(&r->display, &r->s);
	memset(r->s.dirty, 0, r->s.tiles_x * r->s.tiles_y);
	display_look(&r->display, &r->s);
	assert_null(memchr(r->s.dirty, 1, r->s.tiles_x * r->s.tiles_y));
	guest_write(&r->g, bar(r, 0) + (640 * 70 + 130) * 4, 4, 0xff);
	display_look(&r->display, &r->s);
	for (unsigned i = 0; i < r->s.tiles_x * r->s.tiles_y; i++)
		assert_int_equal(r->s.dirty[i], i == r->s.tiles_x + 2);
}

/* ---- PCI ------------------------------------------------------------------------------------ */

static void memory_follows_bar(void **state)
{
	struct rig *r = *state;

	assert_int_equal(r->moved_to, bar(r, 0));
	guest_cfg_write(&r->g, SLOT, PCI_REG_BAR0, 4, 0xd0000000);
	assert_int_equal(r->moved_to, 0xd0000000);
	guest_write(&r->g, 0xd0000004, 4, 0x1234);
	assert_int_equal(guest_read(&r->g, 0xd0000004, 2), 0x1234);
	guest_cfg_write(&r->g, SLOT, PCI_REG_COMMAND, 2, 0);
	assert_int_equal(r->moved_to, MEM_UNMAPPED);
}

static void expansion_rom(void **state)
{
	struct rig *r = *state;

	guest_cfg_write(&r->g, SLOT, PCI_REG_ROM, 4, 0xfffffffe);
	assert_int_equal(guest_cfg_read(&r->g, SLOT, PCI_REG_ROM, 4), 0xffffe000);
	guest_cfg_write(&r->g, SLOT, PCI_REG_ROM, 4, 0xe0000000);
	assert_int_equal(guest_read(&r->g, 0xe0000000, 2), 0xffff);
	guest_cfg_write(&r->g, SLOT, PCI_REG_ROM, 4, 0xe0000001);
	assert_int_equal(guest_read(&r->g, 0xe0000000, 2), 0xaa55);
}

static void edid(void **state)
{
	static const uint8_t header[] = {0, 255, 255, 255, 255, 255, 255, 0};
	struct rig *r = *state;
	uint8_t e[128], sum = 0;

	for (unsigned i = 0; i < 128; i++) {
		e[i] = (uint8_t)guest_read(&r->g, bar(r, 2) + i, 1);
		sum += e[i];
	}
	assert_memory_equal(e, header, 8);
	assert_int_equal(sum, 0);
	assert_int_equal(e[56] | e[58] >> 4 << 8, 1024);
	assert_int_equal(e[59] | e[61] >> 4 << 8, 768);
}

static void ports_by_memory(void **state)
{
	struct rig *r = *state;

	guest_write(&r->g, bar(r, 2) + 0x404, 2, 0x0b02); /* sequencer register 2 */
	out(r, 0x3c4, 1, 2);
	assert_int_equal(in(r, 0x3c5, 1), 0x0b);
	assert_int_equal(guest_read(&r->g, bar(r, 2) + 0x604, 4), 0x1e1e1e1e);
}

static void mono_ports(void **state)
{
	struct rig *r = *state;

	out(r, 0x3d4, 1, 0x0f);
	assert_int_equal(in(r, 0x3b4, 1), 0xff);
	out(r, 0x3c2, 1, 0x66);
	assert_int_equal(in(r, 0x3b4, 1), 0x0f);
	assert_int_equal(in(r, 0x3d4, 1), 0xff);
}

static void palette_registers(void **state)
{
	struct rig *r = *state;

	out(r, 0x3c7, 1, 63);
	assert_int_equal(in(r, 0x3c7, 1), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(in(r, 0x3c9, 1), 0x3f);
	out(r, 0x3c8, 1, 7);
	assert_int_equal(in(r, 0x3c7, 1), 0);
	out(r, 0x3c9, 1, 0xff);
	out(r, 0x3c7, 1, 7);
	assert_int_equal(in(r, 0x3c9, 1), 0x3f);
}

static void saved_and_loaded(void **state)
{
	struct rig *r = *state;

	set_mode(r, 800, 600, 16);
	guest_cfg_write(&r->g, SLOT, PCI_REG_BAR0, 4, 0xd0000000);
	guest_save_load(&r->g, r->d);
	assert_size(r, 800, 600);
	assert_int_equal(bar(r, 0), 0xd0000000);
	assert_int_equal(r->moved_to, 0xd0000000);
}

static void hostile_load(void **state)
{
	struct rig *r = *state;
	struct vga_hw *h = vga_ops.hw(r->d);
	struct err e;

	h->gfx_index = 16;
	assert_int_not_equal(vga_ops.loaded(r->d, &e), 0);
	h->gfx_index = 0;
	h->dispi[DISPI_BANK] = 256;
	assert_int_not_equal(vga_ops.loaded(r->d, &e), 0);
	h->dispi[DISPI_BANK] = 0;
	memset(h->crtc, 0xff, sizeof(h->crtc));
	h->dispi[DISPI_ENABLE] = DISPI_ON;
	h->dispi[DISPI_XRES] = h->dispi[DISPI_YRES] = h->dispi[DISPI_Y] = 65535;
	assert_int_equal(vga_ops.loaded(r->d, &e), 0);
	assert_int_equal(display_look(&r->display, &r->s), 0);
	h->dispi[DISPI_ENABLE] = 0;
	assert_int_equal(display_look(&r->display, &r->s), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(text_mode),
		TEST(text_scrolls),
		TEST(cursor),
		TEST(bright_background),
		TEST(screen_off),
		TEST(chain4),
		TEST(unchained),
		TEST(planes),
		TEST(write_modes),
		TEST(read_mode_1),
		TEST(cga),
		TEST(depths),
		TEST(banks_and_panning),
		TEST(dispi_registers),
		TEST(absurd_modes),
		TEST(nothing_changed_is_clean),
		TEST(memory_follows_bar),
		TEST(expansion_rom),
		TEST(edid),
		TEST(ports_by_memory),
		TEST(mono_ports),
		TEST(palette_registers),
		TEST(saved_and_loaded),
		TEST(hostile_load),
	};

	return cmocka_run_group_tests_name("vga", tests, NULL, NULL);
}
