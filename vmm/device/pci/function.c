/* SPDX-License-Identifier: Apache-2.0 */
/* One PCI function: its configuration space, BARs and capabilities. (PCI 3.0 chapter 6.) */
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/device/pci/pci.h"

#define FIRST_CAP 0x40

static void set_identity(struct pci_function *f, const struct pci_id *id)
{
	uint8_t *c = f->initial;

	pci_put16(c, PCI_REG_VENDOR, id->vendor);
	pci_put16(c, PCI_REG_DEVICE, id->device);
	pci_put16(c, PCI_REG_SUBVENDOR, id->subvendor);
	pci_put16(c, PCI_REG_SUBSYSTEM, id->subsystem);
	c[PCI_REG_REVISION] = id->revision;
	c[PCI_REG_CLASS] = (uint8_t)id->class_code;
	pci_put16(c, PCI_REG_CLASS + 1, (uint16_t)(id->class_code >> 8));
	c[PCI_REG_INT_PIN] = id->intx;
	c[PCI_REG_INT_LINE] = id->intx ? (uint8_t)PCI_INTX_GSI(f->slot, 0) : 0;
	f->writable[PCI_REG_INT_LINE] = 0xff;
	pci_put16(f->writable, PCI_REG_COMMAND, PCI_CMD_MASTER | (id->intx ? PCI_CMD_NO_INTX : 0));
}

int pci_attach(struct pci_host *h, struct pci_function *f, struct pci_hw *hw,
	       const struct pci_id *id, struct err *e)
{
	int rc;

	if (!h)
		return err_set(e, -ENODEV, "%s: the machine has no PCI bus", f->name);
	f->host = h;
	f->hw = hw;
	f->cap_end = FIRST_CAP;
	for (unsigned i = 0; i < PCI_NBARS; i++)
		f->bar[i].at = PCI_UNMAPPED;
	rc = pci_host_plug(h, f, e);
	if (!rc)
		set_identity(f, id);
	return rc;
}

void pci_detach(struct pci_function *f)
{
	if (!f->host)
		return;
	pci_put16(f->hw->cfg, PCI_REG_COMMAND, 0);
	pci_host_remap(f->host, f);
	pci_intx(f, false);
	pci_host_unplug(f->host, f);
	f->host = NULL;
}

/* Low bits of a BAR that tell its kind (PCI 3.0 figures 6-5 and 6-6). */
static uint32_t bar_type(const struct pci_bar *b)
{
	static const uint32_t type[] = {
		[PCI_BAR_MEM32] = 0x0,
		[PCI_BAR_MEM64] = 0x4,
		[PCI_BAR_IO] = 0x1,
		[PCI_BAR_ROM] = 0x0,
	};

	return type[b->kind];
}

int pci_add_bar(struct pci_function *f, unsigned n, enum pci_bar_kind kind, uint64_t size,
		const struct io_ops *ops, void *opaque, struct err *e)
{
	struct pci_bar *b = &f->bar[n];
	unsigned reg = pci_bar_reg(n);
	uint64_t mask = ~(size - 1);

	*b = (struct pci_bar){size, kind, ops, opaque, PCI_UNMAPPED, 0};
	if (pci_host_reserve(f->host, kind, size, &b->initial)) {
		b->size = 0;
		return err_set(e, -ENOSPC,
			       "%s: no address space is left for its registers; "
			       "use fewer PCI devices",
			       f->name);
	}
	pci_put32(f->initial, reg, (uint32_t)b->initial | bar_type(b));
	/* All 32 bits for I/O, too: SeaBIOS takes zeroes in the upper half for a huge region. */
	pci_put32(f->writable, reg, (uint32_t)mask);
	if (kind == PCI_BAR_ROM)
		f->writable[reg] |= PCI_ROM_ENABLE;
	if (kind == PCI_BAR_MEM64) {
		pci_put32(f->initial, reg + 4, (uint32_t)(b->initial >> 32));
		pci_put32(f->writable, reg + 4, (uint32_t)(mask >> 32));
	}
	/* Addresses are assigned and decoded from the start, as firmware would leave them. */
	f->initial[PCI_REG_COMMAND] |= kind == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEMORY;
	f->writable[PCI_REG_COMMAND] |= PCI_CMD_IO | PCI_CMD_MEMORY;
	return 0;
}

int pci_add_cap(struct pci_function *f, uint8_t id, const void *data, const void *writable,
		unsigned len, struct err *e)
{
	unsigned at = f->cap_end;
	uint8_t *link = &f->initial[PCI_REG_CAP];

	if (!range_ok(at, len, PCI_CONFIG_SIZE))
		return err_set(e, -ENOSPC, "%s: its PCI capabilities do not fit", f->name);
	while (*link)
		link = &f->initial[*link + 1];
	memcpy(&f->initial[at], data, len);
	f->initial[at] = id;
	f->initial[at + 1] = 0;
	*link = (uint8_t)at;
	if (writable)
		memcpy(&f->writable[at], writable, len);
	f->initial[PCI_REG_STATUS] |= PCI_STATUS_CAPS;
	f->cap_end = at + len;
	return (int)at;
}

void pci_reset(struct pci_function *f)
{
	memset(f->hw, 0, sizeof(*f->hw));
	memcpy(f->hw->cfg, f->initial, sizeof(f->hw->cfg));
	for (unsigned i = 0; i < f->nvectors; i++)
		f->hw->msix[4 * i + 3] = 1; /* masked after reset */
	pci_host_remap(f->host, f);
	pci_intx(f, false);
}

int pci_loaded(struct pci_function *f, struct err *e)
{
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
		uint8_t fixed = (uint8_t)~f->writable[i];

		if (i == PCI_REG_STATUS)
			fixed &= (uint8_t)~PCI_STATUS_INTX;
		if ((f->hw->cfg[i] ^ f->initial[i]) & fixed)
			return err_set(e, -EINVAL,
				       "%s: PCI register %#x does not fit this machine's device",
				       f->name, i);
	}
	f->hw->msix_pending &= (1u << f->nvectors) - 1;
	pci_host_remap(f->host, f);
	return 0;
}

static void drive_intx(struct pci_function *f)
{
	uint8_t *c = f->hw->cfg;
	bool held = pci_get16(c, PCI_REG_COMMAND) & PCI_CMD_NO_INTX;
	bool drive = f->intx_wanted && !held;

	c[PCI_REG_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
	if (f->intx_wanted)
		c[PCI_REG_STATUS] |= PCI_STATUS_INTX;
	if (drive == f->intx_driven)
		return;
	f->intx_driven = drive;
	pci_host_intx(f->host, f->slot, drive);
}

void pci_intx(struct pci_function *f, bool level)
{
	f->intx_wanted = level;
	if (f->initial[PCI_REG_INT_PIN])
		drive_intx(f);
}

static uint32_t ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

uint32_t pci_config_read(struct pci_function *f, unsigned reg, unsigned size)
{
	uint32_t val = 0;

	if (!range_ok(reg, size, PCI_CONFIG_SIZE))
		return ones(size); /* no extended capabilities */
	if (f->touched)
		f->touched(f->opaque, reg, size, false);
	for (unsigned i = 0; i < size; i++)
		val |= (uint32_t)f->hw->cfg[reg + i] << i * 8;
	return val;
}

static bool overlaps(unsigned reg, unsigned size, unsigned start, unsigned len)
{
	return reg < start + len && start < reg + size;
}

void pci_config_write(struct pci_function *f, unsigned reg, unsigned size, uint32_t val)
{
	if (!range_ok(reg, size, PCI_CONFIG_SIZE))
		return;
	for (unsigned i = 0; i < size; i++) {
		uint8_t w = f->writable[reg + i], *c = &f->hw->cfg[reg + i];

		*c = (uint8_t)((*c & ~w) | (val >> i * 8 & w));
	}
	if (overlaps(reg, size, PCI_REG_COMMAND, 2) ||
	    overlaps(reg, size, PCI_REG_BAR0, 4 * PCI_ROM) || overlaps(reg, size, PCI_REG_ROM, 4))
		pci_host_remap(f->host, f);
	if (overlaps(reg, size, PCI_REG_COMMAND, 2) && f->initial[PCI_REG_INT_PIN])
		drive_intx(f);
	if (f->msix_cap && overlaps(reg, size, f->msix_cap + 2, 2))
		pci_msix_config_written(f);
	if (f->touched)
		f->touched(f->opaque, reg, size, true);
}
