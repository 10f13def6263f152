/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI host bridge: both ways into configuration space, the slots, the address windows and the
 * wiring of interrupts. (PCI 3.0 section 3.2.2.3.2: mechanism 1; PCI Express 5.0 section 7.2.2:
 * ECAM.)
 */
#include <errno.h>
#include <stdlib.h>

#include "base/num.h"
#include "vmm/device/pci/pci.h"

/* The reset control register sits amid mechanism 1's address register, in byte accesses only. */
#define RESET_PORT_OFF 1
#define RESET_CPU      0x04

#define CONFIG_ENABLE 0x80000000u
#define NPINS         4
#define ECAM_DECODED  MIB /* bus 0; the others are empty and read as all ones */
#define ABOVE_WINDOW  0x100000000ull

struct host_hw {
	uint32_t address; /* 0xcf8 */
	uint8_t reset_control;
	struct pci_hw bridge;
};

struct pci_host {
	struct device dev;
	struct device_env env;
	struct host_hw hw;
	struct pci_function bridge;
	struct pci_function *slot[PCI_SLOTS];
	uint64_t next_mem, next_io; /* next address for use after reset */
	uint32_t asserted[NPINS];   /* which slots hold each interrupt line up */
	unsigned long refused;      /* BARs at addresses that cannot be mapped */
};

struct pci_host *pci_host_of(struct device *d)
{
	return (struct pci_host *)d;
}

int pci_host_plug(struct pci_host *h, struct pci_function *f, struct err *e)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (h->slot[i])
			continue;
		h->slot[i] = f;
		f->slot = i;
		return 0;
	}
	return err_set(e, -ENOSPC, "%s: all %d PCI slots are taken", f->name, PCI_SLOTS);
}

void pci_host_unplug(struct pci_host *h, struct pci_function *f)
{
	h->slot[f->slot] = NULL;
}

int pci_host_reserve(struct pci_host *h, enum pci_bar_kind kind, uint64_t size, uint64_t *addr)
{
	bool io = kind == PCI_BAR_IO;
	uint64_t *next = io ? &h->next_io : &h->next_mem;
	uint64_t end = io ? PCI_IO_END : PCI_MMIO32_END;

	*addr = align_up(*next, size);
	if (!range_ok(*addr, size, end))
		return -ENOSPC;
	*next = *addr + size;
	return 0;
}

void pci_host_msi(struct pci_host *h, uint64_t addr, uint32_t data)
{
	irq_msi(h->env.irq, addr, data);
}

void pci_host_intx(struct pci_host *h, unsigned slot, bool level)
{
	unsigned gsi = PCI_INTX_GSI(slot, 0);
	uint32_t *a = &h->asserted[gsi % NPINS];
	struct irq_line line = {h->env.irq, gsi};
	bool was = *a != 0;

	*a = (*a & ~(1u << slot)) | (uint32_t)level << slot;
	if (was != (*a != 0))
		irq_set(&line, *a != 0);
}

/* ---- address decoding --------------------------------------------------------------------------
 */

static uint64_t wanted_at(const struct pci_function *f, unsigned n)
{
	const struct pci_bar *b = &f->bar[n];
	const uint8_t *c = f->hw->cfg;
	uint16_t enable = b->kind == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEMORY;
	uint64_t at = pci_get32(c, PCI_REG_BAR0 + 4 * n);

	if (!b->size || !(pci_get16(c, PCI_REG_COMMAND) & enable))
		return PCI_UNMAPPED;
	if (b->kind == PCI_BAR_MEM64)
		at |= (uint64_t)pci_get32(c, PCI_REG_BAR0 + 4 * n + 4) << 32;
	return at & ~(b->size - 1);
}

static struct bus *bus_of(struct pci_host *h, const struct pci_bar *b)
{
	return b->kind == PCI_BAR_IO ? h->env.pio : h->env.mmio;
}

static bool meets(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b ? b - a < alen : a - b < blen;
}

/* RAM and ROM answer before any device, and the chips below 4 GiB are not the guest's to cover. */
static bool is_free(const struct pci_host *h, const struct pci_bar *b, uint64_t at)
{
	const struct guest_memory *m = h->env.mem;

	if (b->kind == PCI_BAR_IO)
		return true;
	for (unsigned i = 0; i < m->nslots; i++)
		if (meets(at, b->size, m->slot[i].gpa, m->slot[i].size))
			return false;
	return !meets(at, b->size, PCI_MMIO32_END, ABOVE_WINDOW - PCI_MMIO32_END);
}

static void unmap(struct pci_host *h, struct pci_function *f, unsigned n)
{
	struct pci_bar *b = &f->bar[n];
	uint64_t at = b->at;

	b->at = PCI_UNMAPPED;
	if (f->moved)
		f->moved(f->opaque, n);
	bus_remove(bus_of(h, b), at, b->opaque);
}

static bool map(struct pci_host *h, struct pci_function *f, unsigned n, uint64_t at)
{
	struct pci_bar *b = &f->bar[n];

	if (!is_free(h, b, at) ||
	    bus_add(bus_of(h, b), at, b->size, b->ops, b->opaque, f->name, NULL))
		return false;
	b->at = at;
	if (f->moved)
		f->moved(f->opaque, n);
	return true;
}

/*
 * First everything that moves away leaves its old place, then all that have none try theirs: one
 * that was refused because of its neighbour comes into its own when the neighbour goes.
 */
void pci_host_remap(struct pci_host *h, struct pci_function *cause)
{
	for (unsigned n = 0; n < PCI_NBARS; n++)
		if (cause->bar[n].at != PCI_UNMAPPED && cause->bar[n].at != wanted_at(cause, n))
			unmap(h, cause, n);
	for (unsigned s = 0; s < PCI_SLOTS; s++) {
		struct pci_function *f = h->slot[s];

		for (unsigned n = 0; f && n < PCI_NBARS; n++) {
			uint64_t at = f->bar[n].at == PCI_UNMAPPED ? wanted_at(f, n) : PCI_UNMAPPED;

			if (at != PCI_UNMAPPED && !map(h, f, n, at) && f == cause)
				h->refused++;
		}
	}
}

/* ---- configuration space -----------------------------------------------------------------------
 */

static uint32_t ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

/* `where`: bus << 16 | device << 11 | function << 8, as in mechanism 1; NULL: nobody answers. */
static struct pci_function *find(struct pci_host *h, uint32_t where)
{
	return where >> 16 & 0xff || where >> 8 & 7 ? NULL : h->slot[where >> 11 & 31];
}

static uint64_t ecam_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_function *f = find(dev, (uint32_t)(off >> 12 << 8));

	return f ? pci_config_read(f, off & 0xfff, size) : ones(size);
}

static void ecam_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_function *f = find(dev, (uint32_t)(off >> 12 << 8));

	if (f)
		pci_config_write(f, off & 0xfff, size, (uint32_t)val);
}

static const struct io_ops ecam_ops = {ecam_read, ecam_write, 1 | 2 | 4};

static uint64_t address_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_host *h = dev;

	if (size == 4 && off == 0)
		return h->hw.address;
	return size == 1 && off == RESET_PORT_OFF ? h->hw.reset_control : ones(size);
}

static void reset_control_write(struct pci_host *h, uint8_t val)
{
	bool rises = val & ~h->hw.reset_control & RESET_CPU;

	h->hw.reset_control = val & 0x0e;
	if (rises)
		h->env.event(h->env.opaque, MACHINE_RESET, 0);
}

static void address_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = dev;

	if (size == 4 && off == 0)
		h->hw.address = (uint32_t)val & 0x80fffffc;
	else if (size == 1 && off == RESET_PORT_OFF)
		reset_control_write(h, (uint8_t)val);
}

static const struct io_ops address_ops = {address_read, address_write, 1 | 2 | 4};

static struct pci_function *selected(struct pci_host *h, uint64_t off, unsigned size)
{
	if (!(h->hw.address & CONFIG_ENABLE) || off + size > 4)
		return NULL;
	return find(h, h->hw.address);
}

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_host *h = dev;
	struct pci_function *f = selected(h, off, size);

	return f ? pci_config_read(f, (h->hw.address & 0xfc) + (unsigned)off, size) : ones(size);
}

static void data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = dev;
	struct pci_function *f = selected(h, off, size);

	if (f)
		pci_config_write(f, (h->hw.address & 0xfc) + (unsigned)off, size, (uint32_t)val);
}

static const struct io_ops data_ops = {data_read, data_write, 1 | 2 | 4};

/* ---- life
 * ---------------------------------------------------------------------------------------- */

static void host_destroy(struct device *d)
{
	struct pci_host *h = pci_host_of(d);

	for (unsigned i = 0; i < PCI_SLOTS; i++)
		if (h->slot[i])
			pci_detach(h->slot[i]); /* their devices may be destroyed later */
	bus_remove(h->env.mmio, PCI_ECAM_BASE, h);
	bus_remove(h->env.pio, PCI_CONFIG_PORT, h);
	bus_remove(h->env.pio, PCI_CONFIG_PORT + 4, h);
	free(h);
}

static void host_reset(struct device *d)
{
	struct pci_host *h = pci_host_of(d);

	h->hw.address = 0;
	h->hw.reset_control = 0;
	pci_reset(&h->bridge);
}

static int add_regions(struct pci_host *h, struct err *e)
{
	int rc = bus_add(h->env.pio, PCI_CONFIG_PORT, 4, &address_ops, h, "pci-address", e);

	if (!rc)
		rc = bus_add(h->env.pio, PCI_CONFIG_PORT + 4, 4, &data_ops, h, "pci-data", e);
	if (!rc)
		rc = bus_add(h->env.mmio, PCI_ECAM_BASE, ECAM_DECODED, &ecam_ops, h, "pci-ecam", e);
	return rc;
}

static int host_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		       struct err *e)
{
	/* The identity of a generic bridge, for which no operating system has special cases. */
	static const struct pci_id id = {
		.vendor = 0x1b36,
		.device = 0x0008,
		.subvendor = 0x1af4,
		.subsystem = 0x1100,
		.class_code = 0x060000,
	};
	struct pci_host *h = calloc(1, sizeof(*h));
	int rc;

	(void)conf;
	if (!h)
		return err_set(e, -ENOMEM, "pci-host: out of memory");
	h->env = *env;
	h->next_mem = PCI_MMIO32_BASE;
	h->next_io = PCI_IO_BASE;
	h->bridge.name = "pci-host";
	rc = pci_attach(h, &h->bridge, &h->hw.bridge, &id, e);
	if (!rc)
		rc = add_regions(h, e);
	if (rc) {
		host_destroy(&h->dev);
		return rc;
	}
	h->dev.ops = &pci_host_ops;
	host_reset(&h->dev);
	*out = &h->dev;
	return 0;
}

static void *host_hw(struct device *d)
{
	return &pci_host_of(d)->hw;
}

static int host_loaded(struct device *d, struct err *e)
{
	struct pci_host *h = pci_host_of(d);

	h->hw.address &= 0x80fffffc;
	return pci_loaded(&h->bridge, e);
}

static const struct state_field host_fields[] = {
	ST(1, struct host_hw, address),
	ST(2, struct host_hw, reset_control),
	PCI_STATE(10, struct host_hw, bridge),
	ST_END,
};

static const struct state_desc host_state = {"pci-host", 1, sizeof(struct host_hw), host_fields};

const struct device_ops pci_host_ops = {
	.name = "pci-host",
	.help = "PCI Express root with 32 slots",
	.create = host_create,
	.reset = host_reset,
	.destroy = host_destroy,
	.state = &host_state,
	.hw = host_hw,
	.loaded = host_loaded,
};
