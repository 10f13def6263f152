/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A graphics adapter: IBM VGA (text, planar and 256-colour modes) with the Bochs VBE extensions
 * ("dispi") and the register BAR of QEMU's standard VGA, PCI 1234:1111. vgabios of SeaBIOS, OVMF's
 * QemuVideoDxe and Linux's bochs-drm drive it.
 *
 * Memory: byte p of dword n is plane p at plane offset n, and a linear frame buffer is the same
 * bytes in order. The guest reaches them through the window at 0xa0000 (window.c) and BAR 0.
 * Sources: IBM VGA/XGA technical reference; Bochs "VBE display hardware interface"; QEMU
 * docs/specs/standard-vga.
 */
#ifndef VMM_DEVICE_VGA_VGA_H
#define VMM_DEVICE_VGA_VGA_H

#include "vmm/backend/display.h"
#include "vmm/device.h"
#include "vmm/device/pci/pci.h"

#define VGA_MEMORY      (16ull << 20)
#define VGA_WINDOW      0xa0000ull
#define VGA_WINDOW_SIZE 0x20000ull

/* Before the engine is created: the hole for the window, and the adapter's memory. */
int vga_prepare_memory(struct guest_memory *m, struct err *e);

/* What the machine gives to the adapter as its back end; all of it outlives the adapter. */
struct vga_setup {
	struct display *display; /* NULL: nobody can look */
	const uint8_t *rom;      /* the video BIOS, NULL: none */
	uint64_t rom_size;       /* power of two, at least 2 KiB */
};

extern const struct device_ops vga_ops; /* [xres=1024, yres=768], backend: struct vga_setup */

/* Registers by index; unimplemented bits are kept as written. */
enum {
	SEQ_CLOCKING = 1,
	SEQ_MAP_MASK = 2,
	SEQ_FONT = 3,
	SEQ_MEMORY = 4,
	SEQ_COUNT = 8
};
enum {
	GFX_SET_RESET,
	GFX_ENABLE_SET_RESET,
	GFX_COMPARE,
	GFX_ROTATE,
	GFX_READ_MAP,
	GFX_MODE,
	GFX_MISC,
	GFX_DONT_CARE,
	GFX_BIT_MASK,
	GFX_COUNT = 16
};
enum {
	CRTC_COLUMNS = 0x01,
	CRTC_OVERFLOW = 0x07,
	CRTC_CELL_HEIGHT = 0x09,
	CRTC_CURSOR_START = 0x0a,
	CRTC_CURSOR_END = 0x0b,
	CRTC_START = 0x0c,
	CRTC_CURSOR = 0x0e,
	CRTC_PROTECT = 0x11,
	CRTC_LINES = 0x12,
	CRTC_PITCH = 0x13,
	CRTC_UNDERLINE = 0x14,
	CRTC_MODE = 0x17,
	CRTC_COUNT = 0x20
};
enum {
	ATTR_MODE = 0x10,
	ATTR_PLANES = 0x12,
	ATTR_SELECT = 0x14,
	ATTR_COUNT = 0x20
};

#define SEQ_DOTS8          0x01
#define SEQ_SCREEN_OFF     0x20
#define SEQ_NOT_ODD_EVEN   0x04
#define SEQ_CHAIN4         0x08
#define GFX_MODE_READ1     0x08
#define GFX_MODE_ODD_EVEN  0x10
#define GFX_MODE_SHIFT2    0x20
#define GFX_MODE_SHIFT256  0x40
#define GFX_MISC_GRAPHICS  0x01
#define CRTC_UNDERLINE_DW  0x40
#define CRTC_MODE_BYTE     0x40
#define ATTR_MODE_LINE     0x04
#define ATTR_MODE_BLINK    0x08
#define ATTR_MODE_SELECT54 0x80
#define ATTR_INDEX_ON      0x20
#define MISC_COLOUR        0x01
#define MISC_RAM           0x02

/* Bochs VBE extensions: 16-bit registers by index. */
enum {
	DISPI_ID,
	DISPI_XRES,
	DISPI_YRES,
	DISPI_BPP,
	DISPI_ENABLE,
	DISPI_BANK,
	DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT,
	DISPI_X,
	DISPI_Y,
	DISPI_MEMORY, /* read only: 64 KiB units */
	DISPI_COUNT
};

#define DISPI_ON      0x01
#define DISPI_CAPS    0x02
#define DISPI_DAC8    0x20
#define DISPI_NOCLEAR 0x80

struct vga_hw {
	uint8_t seq[SEQ_COUNT], gfx[GFX_COUNT], crtc[CRTC_COUNT], attr[ATTR_COUNT];
	uint8_t seq_index, gfx_index, crtc_index, attr_index, attr_data_next;
	uint8_t misc, feature;
	uint8_t dac[768], dac_mask, dac_read_next, dac_read, dac_write; /* positions in dac[] / 3 */
	uint8_t dac_part, latch[4];
	uint16_t dispi[DISPI_COUNT], dispi_index;
	uint32_t byte_order; /* 0xbebebebe: big endian, not supported; kept for the driver */
	struct pci_hw pci;
};

struct vga {
	struct device dev;
	struct vga_hw hw;
	struct device_env env;
	struct pci_function pci;
	struct vga_setup setup;
	unsigned slot; /* of the memory */
	uint8_t *memory;
	uint8_t edid[256];
};

/* regs.c: ports 0x3b0 to 0x3df */
uint64_t vga_port_read(struct vga *v, unsigned port);
void vga_port_write(struct vga *v, unsigned port, uint8_t val);
void vga_regs_reset(struct vga *v); /* the registers of text mode 3, and its palette */

/* window.c */
extern const struct io_ops vga_window_ops;

/* dispi.c */
uint16_t vga_dispi_read(const struct vga *v, unsigned index);
void vga_dispi_write(struct vga *v, unsigned index, uint16_t val);
static inline bool vga_dispi_on(const struct vga *v)
{
	return v->hw.dispi[DISPI_ENABLE] & DISPI_ON;
}

/* font.c: puts the 8x16 font of the video BIOS where text modes look for it. */
void vga_load_font(struct vga *v);

/* draw.c */
void vga_size(void *vga, unsigned *width, unsigned *height);
void vga_draw(void *vga, struct surface *s);
bool vga_text(void *vga, struct display_text *out);

/* edid.c: an EDID 1.4 block of a screen that likes this size best. */
void vga_edid(uint8_t edid[256], unsigned width, unsigned height);

#endif
