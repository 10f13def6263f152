/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space, the scan of the buses, base addresses. */
#include "kernel/drivers/pci.h"

#include "kernel/boot/bootinfo.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/pagetable.h"
#include "kernel/sched/timer.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc

static struct spinlock config_lock;

/* ---- configuration space --------------------------------------------------------------------- */

/* Selects the double word. The lock is held. */
static void select(const struct pci_device *d, unsigned offset)
{
	outl(CONFIG_ADDRESS, 1u << 31 | (uint32_t)d->bus << 16 | (uint32_t)d->slot << 11 |
				     (uint32_t)d->function << 8 | (offset & 0xfc));
}

uint32_t pci_read(const struct pci_device *d, unsigned offset, unsigned size)
{
	uint32_t v;

	LOCKED(&config_lock) {
		select(d, offset);
		v = inl(CONFIG_DATA);
	}
	return v >> offset % 4 * 8 & (uint32_t)((1UL << size * 8) - 1);
}

void pci_write(const struct pci_device *d, unsigned offset, unsigned size, uint32_t v)
{
	SPIN_GUARD(&config_lock);

	select(d, offset);
	if (size == 2)
		outw((uint16_t)(CONFIG_DATA + offset % 4), (uint16_t)v);
	else
		outl(CONFIG_DATA, v);
}

unsigned pci_capability(const struct pci_device *d, unsigned id, unsigned after)
{
	unsigned at = after ? after + 1 : PCI_CAPABILITIES;

	if (!(pci_read(d, PCI_STATUS, 2) & 1 << 4))
		return 0;
	for (unsigned i = 0; i < MAX_CAPABILITIES; i++) {
		at = pci_read(d, at, 1) & 0xfc;
		if (at < 0x40)
			return 0;
		if (pci_read(d, at, 1) == id)
			return at;
		at++;
	}
	return 0;
}

/* ---- base addresses -------------------------------------------------------------------------- */

/* Writes ones and reads which bits stay: those above the size. */
static uint64_t probe_bar(const struct pci_device *d, unsigned at, bool wide, uint64_t old)
{
	uint64_t mask;

	pci_write(d, at, 4, ~0u);
	mask = pci_read(d, at, 4) | 0xffffffff00000000UL;
	if (wide) {
		pci_write(d, at + 4, 4, ~0u);
		mask = (mask & 0xffffffff) | (uint64_t)pci_read(d, at + 4, 4) << 32;
		pci_write(d, at + 4, 4, (uint32_t)(old >> 32));
	}
	pci_write(d, at, 4, (uint32_t)old);
	mask &= ~15UL;
	return mask & 0xffffffff || wide ? -mask : 0;
}

/* The size of a memory BAR with an address; 0 if it is none. */
static uint64_t memory_bar(const struct pci_device *d, unsigned bar, uint64_t *phys)
{
	unsigned at = PCI_BAR0 + bar * 4, command = pci_read(d, PCI_COMMAND, 2);
	uint64_t old = bar > 5 ? 1 : pci_read(d, at, 4), size;
	bool wide = (old & 7) == 4 && bar < 5;

	if (old & 1) /* ports */
		return 0;
	if (wide)
		old |= (uint64_t)pci_read(d, at + 4, 4) << 32;
	pci_write(d, PCI_COMMAND, 2, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	size = probe_bar(d, at, wide, old);
	pci_write(d, PCI_COMMAND, 2, command);
	*phys = old & ~15UL;
	return *phys ? size : 0;
}

volatile void *pci_map(struct pci_device *d, unsigned bar, uint64_t offset, uint64_t size)
{
	uint64_t phys = 0, have = memory_bar(d, bar, &phys), end = phys + offset + size;
	const char *why = NULL;

	if (offset > have || size > have - offset)
		why = "is too small";
	else if (end < phys || end > KSTACKS - PHYS_MAP)
		why = "is beyond all addresses";
	else if (ranges_overlap(boot.ram, boot.nram, phys + offset, end))
		why = "lies where memory is";
	if (why)
		klog("pci %s: base address %u (%lx) %s: %lu bytes at %lu are wanted", d->name, bar,
		     phys, why, size, offset);
	return why ? NULL : map_device(phys + offset, size);
}

void *pci_alloc(struct pci_device *d, size_t size)
{
	void *p = d->nmemory < PCI_ALLOCATIONS ? kzalloc(size) : NULL;

	if (p)
		d->memory[d->nmemory++] = p;
	return p;
}

void pci_enable(struct pci_device *d)
{
	pci_write(d, PCI_COMMAND, 2,
		  pci_read(d, PCI_COMMAND, 2) | PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
			  PCI_COMMAND_MASTER);
}

bool mmio_wait(volatile void *base, uint64_t at, uint32_t mask, uint32_t value, unsigned ms)
{
	uint64_t deadline = now_ns() + ms * 1000000UL;

	while ((mmio_read32(base, at) & mask) != value) {
		if (now_ns() > deadline)
			return false;
		__builtin_ia32_pause();
	}
	return true;
}

/* ---- the scan -------------------------------------------------------------------------------- */

static bool matches(const struct pci_driver *p, const struct pci_device *d)
{
	return (p->vendor == PCI_ANY || p->vendor == d->vendor) &&
	       (p->device == PCI_ANY || p->device == d->device) &&
	       (d->class & p->class_mask) == p->class;
}

static void probe(const struct pci_device *found)
{
	const struct pci_driver *p = pci_drivers;
	struct pci_device *d;
	int rc;

	while (p->name && !matches(p, found))
		p++;
	if (!p->name)
		return;
	d = kzalloc(sizeof(*d));
	if (!d) {
		klog("pci: no memory for %s", p->name);
		return;
	}
	*d = *found;
	snprintf(d->name, sizeof(d->name), "%02x:%02x.%x", d->bus, d->slot, d->function);
	d->msi = (uint8_t)pci_capability(d, PCI_CAP_MSI, 0);
	d->msix = (uint8_t)pci_capability(d, PCI_CAP_MSIX, 0);
	rc = p->probe(d);
	if (!rc)
		return;
	klog("pci %s: %s gives up (error %d)", d->name, p->name, -rc);
	/* No DMA to memory that is given back; the read ends when the write has arrived. */
	pci_write(d, PCI_COMMAND, 2, PCI_COMMAND_NO_INTX);
	pci_read(d, PCI_COMMAND, 2);
	if (d->interrupts) /* a handler may be running */
		return;
	while (d->nmemory)
		kfree(d->memory[--d->nmemory]);
	kfree(d);
}

/* Buses to be scanned: a bridge leads to one of a higher number, so none is found too late. */
static uint64_t buses[256 / 64] = {1};

static void add_bus(unsigned bus)
{
	uint64_t bit = 1UL << bus % 64;

	if (buses[bus / 64] & bit)
		klog("pci: two bridges lead to bus %02x", bus);
	buses[bus / 64] |= bit;
}

/* False if there is nothing. */
static bool scan_function(struct pci_device d)
{
	uint32_t id = pci_read(&d, PCI_VENDOR, 4);
	unsigned secondary;

	if ((id & 0xffff) == 0xffff)
		return false;
	d.vendor = (uint16_t)id;
	d.device = (uint16_t)(id >> 16);
	d.class = pci_read(&d, PCI_CLASS, 4) >> 8;
	/* Lines are shared: nobody may ask on one that has no driver yet. */
	pci_write(&d, PCI_COMMAND, 2, pci_read(&d, PCI_COMMAND, 2) | PCI_COMMAND_NO_INTX);
	if ((pci_read(&d, PCI_HEADER_TYPE, 1) & 0x7f) == 1) {
		secondary = pci_read(&d, PCI_SECONDARY_BUS, 1);
		if (secondary > d.bus) /* else firmware has not set it up */
			add_bus(secondary);
		return true;
	}
	probe(&d);
	return true;
}

static void scan_bus(uint8_t bus)
{
	struct pci_device d = {.bus = bus};

	for (d.slot = 0; d.slot < 32; d.slot++) {
		bool several;

		d.function = 0;
		if (!scan_function(d))
			continue;
		several = pci_read(&d, PCI_HEADER_TYPE, 1) & 0x80;
		for (d.function = 1; several && d.function < 8; d.function++)
			scan_function(d);
	}
}

void pci_init(void)
{
	for (unsigned bus = 0; bus < 256; bus++) {
		if (buses[bus / 64] & 1UL << bus % 64)
			scan_bus((uint8_t)bus);
	}
}
