/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does anything to the graphics adapter: accesses to its ports, its window and its
 * BARs, 8 bytes of input each, with somebody looking in between.
 */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/device/vga/vga.h"

struct machine {
	struct bus pio, mmio;
	struct guest_memory mem;
	struct vm_clock clock;
	struct irq_router irq;
	struct device_env env;
	struct display display;
	struct surface surface;
	struct device *pci, *vga;
};

static void set_line(void *opaque, unsigned gsi, bool level)
{
	(void)opaque, (void)gsi, (void)level;
}

static void move_memory(void *opaque, unsigned slot, gpa_t gpa)
{
	(void)opaque, (void)slot, (void)gpa;
}

static struct device *add(struct machine *m, const struct device_ops *ops, void *backend)
{
	struct device_conf conf = {.name = ops->name, .backend = backend};
	struct device *d;
	struct err e;

	if (ops->create(&d, &m->env, &conf, &e))
		abort();
	return d;
}

static void create(struct machine *m)
{
	struct vga_setup setup = {.display = &m->display};
	struct err e;

	bus_init(&m->pio, 0x10000);
	bus_init(&m->mmio, 1ull << 52);
	m->irq = (struct irq_router){.set = set_line};
	m->env = (struct device_env){.pio = &m->pio,
				     .mmio = &m->mmio,
				     .mem = &m->mem,
				     .clock = &m->clock,
				     .irq = &m->irq,
				     .move_memory = move_memory};
	if (mem_init(&m->mem, 4 * MIB, &e) || vga_prepare_memory(&m->mem, &e))
		abort();
	m->pci = add(m, &pci_host_ops, NULL);
	m->env.pci = pci_host_of(m->pci);
	m->vga = add(m, &vga_ops, &setup);
}

/* Which part, read or write and width; where in it; what. */
static void access_device(struct machine *m, const uint8_t *p)
{
	static const struct {
		uint64_t base;
		uint32_t mask;
		bool port;
	} part[8] = {{0x3b0, 0x3f, true},          {0x1ce, 0x3, true},
		     {VGA_WINDOW, 0x1ffff, false}, {PCI_MMIO32_BASE, 0xffffff, false},
		     {0xc1000000, 0xfff, false},   {0x3c0, 0x1f, true},
		     {0x1ce, 0x1, true},           {PCI_ECAM_BASE + 0x8000, 0x3f, false}};
	unsigned n = p[0] & 7, size = 1u << (p[0] >> 3 & 3);
	uint32_t off = (p[1] | p[2] << 8 | (uint32_t)p[3] << 16) & part[n].mask;
	struct bus *b = part[n].port ? &m->pio : &m->mmio;
	uint64_t val = 0;

	memcpy(&val, p + 4, 4);
	if (part[n].port && size == 8)
		size = 2;
	if (p[0] & 0x20)
		bus_read(b, part[n].base + off, size);
	else
		bus_write(b, part[n].base + off, size, val);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine m;
	struct display_text text;
	static uint8_t cells[256 * 256];

	if (!m.vga)
		create(&m);
	for (; size >= 8; data += 8, size -= 8) {
		access_device(&m, data);
		if (data[0] & 0x80)
			display_look(&m.display, &m.surface);
	}
	text.cells = cells;
	m.display.text(m.display.adapter, &text);
	if (size && data[0] & 1) { /* what is left is a saved state's beginning */
		memcpy(vga_ops.hw(m.vga), data, size);
		vga_ops.loaded(m.vga, NULL);
	}
	display_look(&m.display, &m.surface);
	vga_ops.reset(m.vga);
	return 0;
}
