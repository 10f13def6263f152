/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI and PCI Express (PCI Local Bus 3.0; PCI Express Base 3.0): the bus is scanned once at start
 * and each function offered to the drivers of drivers.c. Addresses are those that firmware gave.
 * What drivers want of configuration space are its first 256 bytes, which the old ports reach on
 * every PC; the memory that PCI Express has for it would be one more thing to be believed.
 */
#ifndef KERNEL_DRIVERS_PCI_H
#define KERNEL_DRIVERS_PCI_H

#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"

#define PCI_ANY 0xffffu

/* Offsets in configuration space. */
enum {
	PCI_VENDOR = 0x00,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_CLASS = 0x08, /* class in bits 31-8, revision below */
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SECONDARY_BUS = 0x19, /* bridges */
	PCI_CAPABILITIES = 0x34,
	PCI_LINE = 0x3c, /* the ISA interrupt that firmware joined the INTx pin to */
	PCI_PIN = 0x3d,
};

enum {
	PCI_COMMAND_IO = 1,
	PCI_COMMAND_MEMORY = 2,
	PCI_COMMAND_MASTER = 4,
	PCI_COMMAND_NO_INTX = 1 << 10,
};

enum {
	PCI_CAP_MSI = 0x05,
	PCI_CAP_VENDOR = 0x09,
	PCI_CAP_MSIX = 0x11,
};

#define PCI_ALLOCATIONS  72 /* two for each of 32 SATA ports, and some */
#define MAX_CAPABILITIES 48 /* so many fit; a longer chain is a loop */

struct pci_device {
	uint8_t bus, slot, function;
	char name[8]; /* for messages: "00:1f.2" */
	uint16_t vendor, device;
	uint32_t class;                /* class << 16 | subclass << 8 | interface */
	uint8_t msi, msix;             /* offsets of the capabilities; 0: none */
	volatile uint32_t *msix_table; /* mapped at the first pci_irq() */
	bool interrupts;               /* handlers are there */
	void *memory[PCI_ALLOCATIONS]; /* of pci_alloc() */
	unsigned nmemory;
};

struct pci_driver {
	const char *name;
	uint16_t vendor, device;    /* PCI_ANY matches all */
	uint32_t class, class_mask; /* as in struct pci_device; mask 0 matches all */
	/* 0: the device stays valid for good. A negative errno: it is turned off, and its memory
	 * given back. Runs in a thread of the kernel, with interrupts on. */
	int (*probe)(struct pci_device *d);
};

/* drivers.c: ends with an entry without a name. */
extern const struct pci_driver pci_drivers[];

/* Scans all buses and probes. In a thread. */
void pci_init(void);

/* `size` is 1 (only to read), 2 or 4 bytes. */
uint32_t pci_read(const struct pci_device *d, unsigned offset, unsigned size);
void pci_write(const struct pci_device *d, unsigned offset, unsigned size, uint32_t v);
/* The next capability of this kind after the one at `after` (0: the first); 0: none. */
unsigned pci_capability(const struct pci_device *d, unsigned id, unsigned after);

/* Turns on memory, ports and DMA. */
void pci_enable(struct pci_device *d);
/* Bytes [offset, offset + size) of a memory BAR, uncached; NULL (logged) if the device has not so
 * many, or has them where memory is. */
volatile void *pci_map(struct pci_device *d, unsigned bar, uint64_t offset, uint64_t size);

/* Zeroed memory of the device's driver, contiguous for DMA, from half a page on page-aligned; NULL
 * without memory. */
void *pci_alloc(struct pci_device *d, size_t size);

/*
 * Lets the device's interrupt `n` call fn(opaque): an entry of MSI-X, or for n = 0 MSI or the INTx
 * line. INTx is shared: `fn` must bear calls without a reason and take the device's request away.
 * 0, or -ENODEV (logged): the device has no such interrupt.
 */
int pci_irq(struct pci_device *d, unsigned n, irq_fn *fn, void *opaque);

/* ---- registers ------------------------------------------------------------------------------- */

#define MMIO_ACCESS(bits)                                                                       \
	static inline uint##bits##_t mmio_read##bits(const volatile void *base, uint64_t at)    \
	{                                                                                       \
		return *(const volatile uint##bits##_t *)((const volatile char *)base + at);    \
	}                                                                                       \
	static inline void mmio_write##bits(volatile void *base, uint64_t at, uint##bits##_t v) \
	{                                                                                       \
		*(volatile uint##bits##_t *)((volatile char *)base + at) = v;                   \
	}
MMIO_ACCESS(8)
MMIO_ACCESS(16)
MMIO_ACCESS(32)

/* Devices need not know accesses of 64 bits: the low half comes first. */
static inline uint64_t mmio_read64(const volatile void *base, uint64_t at)
{
	uint32_t low = mmio_read32(base, at);

	return low | (uint64_t)mmio_read32(base, at + 4) << 32;
}
static inline void mmio_write64(volatile void *base, uint64_t at, uint64_t v)
{
	mmio_write32(base, at, (uint32_t)v);
	mmio_write32(base, at + 4, (uint32_t)(v >> 32));
}

/* Waits, without giving the CPU away, until the bits of `mask` in a register are `value`; false:
 * they were not for `ms`. */
bool mmio_wait(volatile void *base, uint64_t at, uint32_t mask, uint32_t value, unsigned ms);

#endif
