/* SPDX-License-Identifier: Apache-2.0 */
/* The VGA's own registers: sequencer, graphics, CRT and attribute controllers, palette. */
#include <string.h>

#include "vmm/device/vga/vga.h"

/* The picture of a real tube, for those who wait for its beam: 60 Hz, 525 lines. */
#define FRAME_NS   16666667u
#define RETRACE_NS 1000000u
#define LINE_NS    31746u
#define HBLANK_NS  6000u

#define STATUS_NO_DISPLAY 0x01
#define STATUS_VRETRACE   0x08
#define STATUS0_SWITCH    0x10 /* a monitor answers */
#define DAC_STATE_READ    0x03
#define CRTC_LOCKED       0x80
#define CRTC_LINE_COMPARE 0x10 /* the one bit of the locked registers that is not locked */

static uint8_t beam_status(struct vga *v)
{
	uint64_t now = clock_now(v->env.clock);
	bool retrace = now % FRAME_NS < RETRACE_NS;

	v->hw.attr_data_next = 0;
	return (retrace ? STATUS_VRETRACE : 0) |
	       (retrace || now % LINE_NS < HBLANK_NS ? STATUS_NO_DISPLAY : 0);
}

static void crtc_write(struct vga_hw *h, uint8_t val)
{
	unsigned i = h->crtc_index;

	if (i >= CRTC_COUNT)
		return;
	if (i <= CRTC_OVERFLOW && (h->crtc[CRTC_PROTECT] & CRTC_LOCKED)) {
		if (i == CRTC_OVERFLOW)
			h->crtc[i] = (uint8_t)((h->crtc[i] & ~CRTC_LINE_COMPARE) |
					       (val & CRTC_LINE_COMPARE));
		return;
	}
	h->crtc[i] = val;
}

static void attr_write(struct vga_hw *h, uint8_t val)
{
	if (!h->attr_data_next)
		h->attr_index = val & 0x3f;
	else if ((h->attr_index & 0x1f) < 0x15)
		h->attr[h->attr_index & 0x1f] = val;
	h->attr_data_next ^= 1;
}

/* Three accesses an entry: red, green, blue. */
static uint8_t *dac_part(struct vga_hw *h, uint8_t *entry)
{
	uint8_t *p = &h->dac[*entry * 3 + h->dac_part];

	if (++h->dac_part == 3) {
		h->dac_part = 0;
		(*entry)++;
	}
	return p;
}

static void dac_write(struct vga_hw *h, uint8_t val)
{
	bool wide = h->dispi[DISPI_ENABLE] & DISPI_DAC8;

	*dac_part(h, &h->dac_write) = wide ? val : val & 0x3f;
}

static void dac_seek(struct vga_hw *h, uint8_t *entry, uint8_t to, bool read)
{
	*entry = to;
	h->dac_part = 0;
	h->dac_read_next = read;
}

/* The CRT controller answers at one of two places. */
static bool is_elsewhere(const struct vga_hw *h, unsigned port)
{
	bool mono = port < 0x3c0, colour = port >= 0x3d0;

	return h->misc & MISC_COLOUR ? mono : colour;
}

/* Both places look alike from here on. */
static unsigned fold(unsigned port)
{
	return port < 0x3c0 ? port + 0x20 : port;
}

uint64_t vga_port_read(struct vga *v, unsigned port)
{
	struct vga_hw *h = &v->hw;

	if (is_elsewhere(h, port))
		return 0xff;
	switch (fold(port)) {
	case 0x3c0:
		return h->attr_data_next ? 0 : h->attr_index;
	case 0x3c1:
		return h->attr[h->attr_index & 0x1f];
	case 0x3c2:
		return STATUS0_SWITCH;
	case 0x3c4:
		return h->seq_index;
	case 0x3c5:
		return h->seq[h->seq_index];
	case 0x3c6:
		return h->dac_mask;
	case 0x3c7:
		return h->dac_read_next ? DAC_STATE_READ : 0;
	case 0x3c8:
		return h->dac_write;
	case 0x3c9:
		return *dac_part(h, &h->dac_read);
	case 0x3ca:
		return h->feature;
	case 0x3cc:
		return h->misc;
	case 0x3ce:
		return h->gfx_index;
	case 0x3cf:
		return h->gfx[h->gfx_index];
	case 0x3d4:
		return h->crtc_index;
	case 0x3d5:
		return h->crtc_index < CRTC_COUNT ? h->crtc[h->crtc_index] : 0xff;
	case 0x3da:
		return beam_status(v);
	default:
		return 0xff;
	}
}

void vga_port_write(struct vga *v, unsigned port, uint8_t val)
{
	struct vga_hw *h = &v->hw;

	if (is_elsewhere(h, port))
		return;
	switch (fold(port)) {
	case 0x3c0:
		attr_write(h, val);
		break;
	case 0x3c2:
		h->misc = val;
		break;
	case 0x3c4:
		h->seq_index = val & (SEQ_COUNT - 1);
		break;
	case 0x3c5:
		h->seq[h->seq_index] = val;
		break;
	case 0x3c6:
		h->dac_mask = val;
		break;
	case 0x3c7:
		dac_seek(h, &h->dac_read, val, true);
		break;
	case 0x3c8:
		dac_seek(h, &h->dac_write, val, false);
		break;
	case 0x3c9:
		dac_write(h, val);
		break;
	case 0x3ce:
		h->gfx_index = val & (GFX_COUNT - 1);
		break;
	case 0x3cf:
		h->gfx[h->gfx_index] = val;
		break;
	case 0x3d4:
		h->crtc_index = val;
		break;
	case 0x3d5:
		crtc_write(h, val);
		break;
	case 0x3da:
		h->feature = val;
		break;
	}
}

/* Entry n of the EGA's 64 colours: bits 5 to 3 are red, green, blue at a third, 2 to 0 at two. */
static void ega_palette(uint8_t *dac)
{
	for (unsigned n = 0; n < 64; n++)
		for (unsigned part = 0; part < 3; part++)
			*dac++ = (uint8_t)((n >> (2 - part) & 1) * 0x2a +
					   (n >> (5 - part) & 1) * 0x15);
}

void vga_regs_reset(struct vga *v)
{
	static const uint8_t seq[] = {0x03, 0x00, 0x03, 0x00, 0x02};
	static const uint8_t gfx[] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff};
	static const uint8_t crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
				       0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
				       0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
	static const uint8_t attr[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
				       0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
				       0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
	struct vga_hw *h = &v->hw;

	*h = (struct vga_hw){.misc = 0x67, .attr_index = ATTR_INDEX_ON, .dac_mask = 0xff};
	memcpy(h->seq, seq, sizeof(seq));
	memcpy(h->gfx, gfx, sizeof(gfx));
	memcpy(h->crtc, crtc, sizeof(crtc));
	memcpy(h->attr, attr, sizeof(attr));
	ega_palette(h->dac);
	h->dispi[DISPI_ID] = 0xb0c5;
	h->byte_order = 0x1e1e1e1e;
}
