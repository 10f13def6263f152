/* SPDX-License-Identifier: Apache-2.0 */
/* The graphics adapter's life, its place on the PCI bus and in the address spaces. */
#include "vmm/device/vga/vga.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_BASE      0x3b0
#define MONO_PORTS     12 /* 0x3b0 to 0x3bb; a printer's follow */
#define PORTS          0x3c0
#define NPORTS         32
#define DISPI_PORT     0x1ce
#define DISPI_NPORTS   4
#define REGISTERS_SIZE 4096u

enum {
	BAR_MEMORY = 0,
	BAR_REGISTERS = 2
};

/* ---- ports ---------------------------------------------------------------------------------- */

static uint64_t mono_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return vga_port_read(dev, PORT_BASE + (unsigned)off);
}

static void mono_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	vga_port_write(dev, PORT_BASE + (unsigned)off, (uint8_t)val);
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return vga_port_read(dev, PORTS + (unsigned)off);
}

static void ports_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	vga_port_write(dev, PORTS + (unsigned)off, (uint8_t)val);
}

/* The index at 0x1ce; data at 0x1cf, and at 0x1d0 for those who want it aligned. */
static uint64_t dispi_read(void *dev, uint64_t off, unsigned size)
{
	struct vga *v = dev;

	(void)size;
	return off == 0 ? v->hw.dispi_index : vga_dispi_read(v, v->hw.dispi_index);
}

static void dispi_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct vga *v = dev;

	(void)size;
	if (off == 0)
		v->hw.dispi_index = (uint16_t)val;
	else
		vga_dispi_write(v, v->hw.dispi_index, (uint16_t)val);
}

static const struct io_ops mono_ops = {mono_read, mono_write, 1};
static const struct io_ops ports_ops = {ports_read, ports_write, 1};
static const struct io_ops dispi_ops = {dispi_read, dispi_write, 2};

/* ---- BARs ----------------------------------------------------------------------------------- */

/* What the registers' BAR holds where; the rest reads as zero. */
#define MMIO_EDID   0x000
#define MMIO_PORTS  0x400
#define MMIO_DISPI  0x500
#define MMIO_EXTRA  0x600 /* size of this part, byte order of the frame buffer */
#define EXTRA_SIZE  8u
#define MMIO_END    (MMIO_EXTRA + EXTRA_SIZE)
#define DISPI_BYTES (2 * DISPI_COUNT)

static uint64_t extra_read(const struct vga *v, uint64_t off, unsigned size)
{
	const uint32_t regs[2] = {EXTRA_SIZE, v->hw.byte_order};
	uint64_t val = 0;

	if (off + size <= sizeof(regs))
		memcpy(&val, (const uint8_t *)regs + off, size);
	return val;
}

static uint64_t registers_read(void *dev, uint64_t off, unsigned size)
{
	struct vga *v = dev;
	uint64_t val = 0;

	if (off + size <= sizeof(v->edid))
		memcpy(&val, v->edid + off, size);
	else if (off >= MMIO_PORTS && off < MMIO_PORTS + NPORTS)
		for (unsigned i = 0; i < size && off + i < MMIO_PORTS + NPORTS; i++)
			val |= vga_port_read(v, PORTS + (unsigned)(off - MMIO_PORTS) + i) << 8 * i;
	else if (off >= MMIO_DISPI && off < MMIO_DISPI + DISPI_BYTES)
		val = vga_dispi_read(v, (unsigned)(off - MMIO_DISPI) / 2);
	else if (off >= MMIO_EXTRA && off < MMIO_END)
		val = extra_read(v, off - MMIO_EXTRA, size);
	return val;
}

static void registers_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct vga *v = dev;

	if (off >= MMIO_PORTS && off < MMIO_PORTS + NPORTS)
		for (unsigned i = 0; i < size && off + i < MMIO_PORTS + NPORTS; i++)
			vga_port_write(v, PORTS + (unsigned)(off - MMIO_PORTS) + i,
				       (uint8_t)(val >> 8 * i));
	else if (off >= MMIO_DISPI && off < MMIO_DISPI + DISPI_BYTES)
		vga_dispi_write(v, (unsigned)(off - MMIO_DISPI) / 2, (uint16_t)val);
	else if (off == MMIO_EXTRA + 4)
		v->hw.byte_order = (uint32_t)val;
}

/* The frame buffer by the slow way: while the engine does not have it where the BAR is. */
static uint64_t memory_read(void *dev, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	memcpy(&val, ((struct vga *)dev)->memory + off, size);
	return val;
}

static void memory_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	memcpy(((struct vga *)dev)->memory + off, &val, size);
}

static uint64_t rom_read(void *dev, uint64_t off, unsigned size)
{
	struct vga *v = dev;
	uint64_t val = 0;

	if (off + size <= v->setup.rom_size)
		memcpy(&val, v->setup.rom + off, size);
	return val;
}

static void rom_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)dev, (void)off, (void)size, (void)val;
}

static const struct io_ops registers_ops = {registers_read, registers_write, 1 | 2 | 4};
static const struct io_ops memory_ops = {memory_read, memory_write, 1 | 2 | 4 | 8};
static const struct io_ops rom_ops = {rom_read, rom_write, 1 | 2 | 4 | 8};

static void moved(void *opaque, unsigned bar)
{
	struct vga *v = opaque;
	uint64_t at = v->pci.bar[bar].at;

	if (bar == BAR_MEMORY)
		v->env.move_memory(v->env.opaque, v->slot, at == PCI_UNMAPPED ? MEM_UNMAPPED : at);
}

/* ---- life ----------------------------------------------------------------------------------- */

int vga_prepare_memory(struct guest_memory *m, struct err *e)
{
	unsigned slot;

	if (mem_open_hole(m, VGA_WINDOW, VGA_WINDOW_SIZE, e) ||
	    mem_add_device(m, VGA_MEMORY, &slot, e))
		return e->code;
	return 0;
}

static int find_memory(struct vga *v, struct err *e)
{
	struct guest_memory *m = v->env.mem;

	for (unsigned i = 0; i < m->nslots; i++)
		if (m->slot[i].device && m->slot[i].size == VGA_MEMORY) {
			v->slot = i;
			v->memory = m->slot[i].host;
			return 0;
		}
	return err_set(e, -EINVAL, "vga: a machine has it through its `display` setting");
}

static void vga_reset(struct device *d)
{
	struct vga *v = (struct vga *)d;

	vga_regs_reset(v);
	memset(v->memory, 0, VGA_MEMORY);
	vga_load_font(v);
	pci_reset(&v->pci);
}

static void vga_destroy(struct device *d)
{
	struct vga *v = (struct vga *)d;

	if (v->setup.display)
		*v->setup.display = (struct display){0};
	pci_detach(&v->pci);
	bus_remove(v->env.pio, PORT_BASE, v);
	bus_remove(v->env.pio, PORTS, v);
	bus_remove(v->env.pio, DISPI_PORT, v);
	bus_remove(v->env.mmio, VGA_WINDOW, v);
	free(v);
}

static int add_regions(struct vga *v, struct err *e)
{
	const struct device_env *env = &v->env;
	int rc = bus_add(env->pio, PORT_BASE, MONO_PORTS, &mono_ops, v, "vga-mono", e);

	if (!rc)
		rc = bus_add(env->pio, PORTS, NPORTS, &ports_ops, v, "vga", e);
	if (!rc)
		rc = bus_add(env->pio, DISPI_PORT, DISPI_NPORTS, &dispi_ops, v, "vga-dispi", e);
	if (!rc)
		rc = bus_add(env->mmio, VGA_WINDOW, VGA_WINDOW_SIZE, &vga_window_ops, v,
			     "vga-window", e);
	return rc;
}

static int attach(struct vga *v, struct err *e)
{
	static const struct pci_id id = {
		.vendor = 0x1234,
		.device = 0x1111,
		.subvendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 2,
		.class_code = 0x030000,
	};
	int rc = pci_attach(v->env.pci, &v->pci, &v->hw.pci, &id, e);

	if (!rc)
		rc = pci_add_bar(&v->pci, BAR_MEMORY, PCI_BAR_MEM32, VGA_MEMORY, &memory_ops, v, e);
	if (!rc)
		rc = pci_add_bar(&v->pci, BAR_REGISTERS, PCI_BAR_MEM32, REGISTERS_SIZE,
				 &registers_ops, v, e);
	if (!rc && v->setup.rom)
		rc = pci_add_bar(&v->pci, PCI_ROM, PCI_BAR_ROM, v->setup.rom_size, &rom_ops, v, e);
	return rc;
}

static int configure(struct vga *v, struct device_conf *conf, struct err *e)
{
	uint64_t xres, yres;
	int rc = device_conf_u64(conf, "xres", 1024, 320, DISPLAY_MAX, &xres, e);

	if (!rc)
		rc = device_conf_u64(conf, "yres", 768, 200, DISPLAY_MAX, &yres, e);
	if (!rc)
		vga_edid(v->edid, (unsigned)xres, (unsigned)yres);
	return rc;
}

static int vga_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct vga *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return err_set(e, -ENOMEM, "vga: out of memory");
	v->dev.ops = &vga_ops;
	v->env = *env;
	v->pci.name = "vga";
	v->pci.moved = moved;
	v->pci.opaque = v;
	if (conf->backend)
		v->setup = *(const struct vga_setup *)conf->backend;
	rc = find_memory(v, e);
	if (!rc)
		rc = configure(v, conf, e);
	if (!rc)
		rc = attach(v, e);
	if (!rc)
		rc = add_regions(v, e);
	if (rc) {
		vga_destroy(&v->dev);
		return rc;
	}
	vga_reset(&v->dev);
	if (v->setup.display)
		*v->setup.display = (struct display){vga_size, vga_draw, vga_text, v};
	*out = &v->dev;
	return 0;
}

/* ---- saved state ---------------------------------------------------------------------------- */

static void *vga_hw(struct device *d)
{
	return &((struct vga *)d)->hw;
}

/* Indices are taken as they are written to the registers; drawing checks what it computes. */
static int vga_loaded(struct device *d, struct err *e)
{
	struct vga *v = (struct vga *)d;
	struct vga_hw *h = &v->hw;

	if (h->seq_index >= SEQ_COUNT || h->gfx_index >= GFX_COUNT || h->dac_part > 2)
		return err_set(e, -EINVAL, "vga: an index is larger than it can be");
	if (h->dispi[DISPI_BANK] >= VGA_MEMORY >> 16)
		return err_set(e, -EINVAL, "vga: the bank lies outside the memory");
	if (vga_dispi_on(v)) /* clamps */
		vga_dispi_write(v, DISPI_BPP, h->dispi[DISPI_BPP]);
	return pci_loaded(&v->pci, e);
}

static const struct state_field fields[] = {
	ST_ARR(1, struct vga_hw, seq),
	ST_ARR(2, struct vga_hw, gfx),
	ST_ARR(3, struct vga_hw, crtc),
	ST_ARR(4, struct vga_hw, attr),
	ST(5, struct vga_hw, seq_index),
	ST(6, struct vga_hw, gfx_index),
	ST(7, struct vga_hw, crtc_index),
	ST(8, struct vga_hw, attr_index),
	ST(9, struct vga_hw, attr_data_next),
	ST(10, struct vga_hw, misc),
	ST(11, struct vga_hw, feature),
	ST_ARR(12, struct vga_hw, dac),
	ST(13, struct vga_hw, dac_mask),
	ST(14, struct vga_hw, dac_read_next),
	ST(15, struct vga_hw, dac_read),
	ST(16, struct vga_hw, dac_write),
	ST(17, struct vga_hw, dac_part),
	ST_ARR(18, struct vga_hw, latch),
	ST_ARR(19, struct vga_hw, dispi),
	ST(20, struct vga_hw, dispi_index),
	ST(21, struct vga_hw, byte_order),
	PCI_STATE(30, struct vga_hw, pci),
	ST_END,
};

static const struct state_desc state = {"vga", 1, sizeof(struct vga_hw), fields};

const struct device_ops vga_ops = {
	.name = "vga",
	.help = "graphics adapter: VGA with VESA modes",
	.create = vga_create,
	.reset = vga_reset,
	.destroy = vga_destroy,
	.state = &state,
	.hw = vga_hw,
	.loaded = vga_loaded,
};
