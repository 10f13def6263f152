/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI host bridge: both ways into configuration space, the slots, the address windows and the
 * wiring of interrupts. (PCI 3.0 section 3.2.2.3.2: mechanism 1; PCI Express 5.0 section 7.2.2:
 * ECAM.)
 *
 * It has the registers of Intel's Q35 that PC firmware knows (data sheet 316966, section 5.1):
 * PCIEXBAR moves the ECAM; PAM and SMRAM are kept but decode nothing, since there is RAM below 1
 * MiB all the time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/device/pci/pci.h"

/* The reset control register sits amid mechanism 1's address register, in byte accesses only. */
#define RESET_PORT_OFF 1
#define RESET_CPU      0x04

#define CONFIG_ENABLE 0x80000000u
#define NPINS         4
#define ECAM_DECODED  MIB /* bus 0; the others are empty and read as all ones */
#define ABOVE_WINDOW  0x100000000ull

#define Q35_PCIEXBAR        0x60
#define Q35_PCIEXBAR_ENABLE 1u
#define Q35_PAM0            0x90 /* seven of them */
#define Q35_SMRAM           0x9d
#define Q35_ESMRAMC         0x9e

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
	struct pci_function *fn[PCI_SLOTS][PCI_FUNCTIONS];
	uint64_t next_mem, next_io; /* next address for use after reset */
	uint64_t ecam;              /* where the bus has it, or PCI_UNMAPPED */
	unsigned holders[NPINS];    /* how many functions hold each interrupt line up */
	pci_pin_fn *pin_changed;
	void *pin_opaque;
	unsigned long refused; /* BARs at addresses that cannot be mapped */
};

struct pci_host *pci_host_of(struct device *d)
{
	return (struct pci_host *)d;
}

uint64_t pci_host_ecam(const struct pci_host *h)
{
	return h->ecam;
}

void pci_host_watch_pins(struct pci_host *h, pci_pin_fn *fn, void *opaque)
{
	h->pin_changed = fn;
	h->pin_opaque = opaque;
}

static int find_place(const struct pci_host *h, struct pci_function *f)
{
	for (f->slot = 0; f->slot < PCI_SLOTS; f->slot++)
		if (!h->fn[f->slot][0])
			return 0;
	f->slot = 0;
	return -ENOSPC;
}

int pci_host_plug(struct pci_host *h, struct pci_function *f, struct err *e)
{
	if (!f->fixed_place && find_place(h, f))
		return err_set(e, -ENOSPC, "%s: all %d PCI slots are taken", f->name, PCI_SLOTS);
	if (h->fn[f->slot][f->func])
		return err_set(e, -EEXIST, "%s: PCI %02x.%u is taken by %s", f->name, f->slot,
			       f->func, h->fn[f->slot][f->func]->name);
	h->fn[f->slot][f->func] = f;
	return 0;
}

void pci_host_unplug(struct pci_host *h, struct pci_function *f)
{
	if (h->fn[f->slot][f->func] == f)
		h->fn[f->slot][f->func] = NULL;
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
	unsigned gsi = PCI_INTX_GSI(slot, 0), pin = gsi % NPINS;
	struct irq_line line = {h->env.irq, gsi};
	bool was = h->holders[pin] != 0;

	h->holders[pin] += level ? 1 : -1u;
	level = h->holders[pin] != 0;
	if (was == level)
		return;
	irq_set(&line, level);
	if (h->pin_changed)
		h->pin_changed(h->pin_opaque, pin, level);
}

/* ---- address decoding --------------------------------------------------------------------------
 */

static uint64_t wanted_at(const struct pci_function *f, unsigned n)
{
	const struct pci_bar *b = &f->bar[n];
	const uint8_t *c = f->hw->cfg;
	uint16_t enable = b->kind == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEMORY;
	uint64_t at = pci_get32(c, pci_bar_reg(n));

	if (!b->size || !(pci_get16(c, PCI_REG_COMMAND) & enable))
		return PCI_UNMAPPED;
	if (b->kind == PCI_BAR_ROM && !(at & PCI_ROM_ENABLE))
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
		if (!m->slot[i].device && meets(at, b->size, m->slot[i].gpa, m->slot[i].size))
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
	for (unsigned i = 0; i < PCI_SLOTS * PCI_FUNCTIONS; i++) {
		struct pci_function *f = h->fn[i / PCI_FUNCTIONS][i % PCI_FUNCTIONS];

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
	return where >> 16 & 0xff ? NULL : h->fn[where >> 11 & 31][where >> 8 & 7];
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

/* The size bits only say how many buses there may be; bus 0 is all there is. */
static void move_ecam(struct pci_host *h)
{
	const uint8_t *c = h->hw.bridge.cfg;
	uint32_t low = pci_get32(c, Q35_PCIEXBAR);
	uint64_t at = (uint64_t)pci_get32(c, Q35_PCIEXBAR + 4) << 32 | (low & 0xfc000000);

	if (!(low & Q35_PCIEXBAR_ENABLE))
		at = PCI_UNMAPPED;
	if (at == h->ecam)
		return;
	bus_remove(h->env.mmio, h->ecam, h);
	h->ecam = PCI_UNMAPPED;
	if (at == PCI_UNMAPPED)
		return;
	if (bus_add(h->env.mmio, at, ECAM_DECODED, &ecam_ops, h, "pci-ecam", NULL))
		h->refused++;
	else
		h->ecam = at;
}

static void bridge_touched(void *opaque, unsigned reg, unsigned size, bool write)
{
	if (write && reg < Q35_PCIEXBAR + 8 && reg + size > Q35_PCIEXBAR)
		move_ecam(opaque);
}

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

	h->pin_changed = NULL;
	for (unsigned i = 0; i < PCI_SLOTS * PCI_FUNCTIONS; i++)
		if (h->fn[i / PCI_FUNCTIONS][i % PCI_FUNCTIONS]) /* their devices go later */
			pci_detach(h->fn[i / PCI_FUNCTIONS][i % PCI_FUNCTIONS]);
	bus_remove(h->env.mmio, h->ecam, h);
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
	move_ecam(h);
}

static int add_regions(struct pci_host *h, struct err *e)
{
	int rc = bus_add(h->env.pio, PCI_CONFIG_PORT, 4, &address_ops, h, "pci-address", e);

	if (!rc)
		rc = bus_add(h->env.pio, PCI_CONFIG_PORT + 4, 4, &data_ops, h, "pci-data", e);
	return rc;
}

/* From reset on the ECAM is decoded, as firmware would leave it. */
static void add_registers(struct pci_function *f)
{
	pci_put32(f->initial, Q35_PCIEXBAR, PCI_ECAM_BASE | Q35_PCIEXBAR_ENABLE);
	pci_put32(f->writable, Q35_PCIEXBAR, 0xfc000007);
	pci_put32(f->writable, Q35_PCIEXBAR + 4, 0xf);
	f->writable[Q35_PAM0] = 0x30;
	memset(&f->writable[Q35_PAM0 + 1], 0x33, 6);
	f->initial[Q35_SMRAM] = 0x02;
	f->writable[Q35_SMRAM] = 0x78;
	f->writable[Q35_ESMRAMC] = 0xff;
}

static int host_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		       struct err *e)
{
	/* Q35's memory controller; the subsystem tells firmware that fw_cfg is there. */
	static const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x29c0,
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
	h->ecam = PCI_UNMAPPED;
	h->bridge.name = "pci-host";
	h->bridge.touched = bridge_touched;
	h->bridge.opaque = h;
	rc = pci_attach(h, &h->bridge, &h->hw.bridge, &id, e);
	if (!rc)
		rc = add_regions(h, e);
	if (rc) {
		host_destroy(&h->dev);
		return rc;
	}
	add_registers(&h->bridge);
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
	int rc;

	h->hw.address &= 0x80fffffc;
	rc = pci_loaded(&h->bridge, e);
	if (rc)
		return rc;
	move_ecam(h);
	return 0;
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
