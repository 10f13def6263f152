/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions as device models build them, and the host bridge they are plugged into. One bus, 32
 * slots; a device that names no place gets a free slot as its function 0. (PCI Local Bus 3.0; PCI
 * Express base 5.0 for ECAM.)
 *
 * A function is described once at creation (identity, BARs, capabilities); from then on its
 * registers live in `struct pci_hw`, which the device embeds in its saved struct. Bus mastering is
 * not enforced: memory access works with the bit clear, as on many real root complexes.
 * All calls with the machine lock held.
 */
#ifndef VMM_DEVICE_PCI_PCI_H
#define VMM_DEVICE_PCI_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/bus.h"
#include "vmm/device.h"
#include "vmm/device/pci/layout.h"
#include "vmm/state/state.h"

#define PCI_SLOTS       32
#define PCI_FUNCTIONS   8
#define PCI_NBARS       7
#define PCI_ROM         6 /* the expansion ROM, as the last of the BARs */
#define PCI_CONFIG_SIZE 256
#define PCI_MSIX_MAX    16
#define PCI_UNMAPPED    UINT64_MAX

/* Offsets in configuration space (PCI 3.0 chapter 6). */
#define PCI_REG_VENDOR    0x00
#define PCI_REG_DEVICE    0x02
#define PCI_REG_COMMAND   0x04
#define PCI_REG_STATUS    0x06
#define PCI_REG_REVISION  0x08
#define PCI_REG_CLASS     0x09
#define PCI_REG_HEADER    0x0e
#define PCI_REG_BAR0      0x10
#define PCI_REG_SUBVENDOR 0x2c
#define PCI_REG_SUBSYSTEM 0x2e
#define PCI_REG_ROM       0x30
#define PCI_REG_CAP       0x34
#define PCI_REG_INT_LINE  0x3c
#define PCI_REG_INT_PIN   0x3d

#define PCI_CMD_IO      0x0001
#define PCI_CMD_MEMORY  0x0002
#define PCI_CMD_MASTER  0x0004
#define PCI_CMD_NO_INTX 0x0400
#define PCI_STATUS_INTX 0x0008
#define PCI_STATUS_CAPS 0x0010

#define PCI_HEADER_MULTIFUNCTION 0x80
#define PCI_ROM_ENABLE           0x1

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11

/* What a save holds of one function. */
struct pci_hw {
	uint8_t cfg[PCI_CONFIG_SIZE];
	uint32_t msix[PCI_MSIX_MAX * 4]; /* address low, high, data, vector control */
	uint32_t msix_pending;           /* bit n: vector n waits for its mask to go */
};

/* Rows of a state table for a member `m` of type struct pci_hw; takes tags t to t+2. */
#define PCI_STATE(t, type, m) \
	ST_ARR((t), type, m.cfg), ST_ARR((t) + 1, type, m.msix), ST((t) + 2, type, m.msix_pending)

enum pci_bar_kind {
	PCI_BAR_MEM32,
	PCI_BAR_MEM64,
	PCI_BAR_IO,
	PCI_BAR_ROM /* with an enable bit of its own, off after reset; BAR PCI_ROM only */
};

struct pci_bar {
	uint64_t size; /* power of two; 0: no such BAR */
	enum pci_bar_kind kind;
	const struct io_ops *ops;
	void *opaque;
	uint64_t at;      /* where the bus has it now, or PCI_UNMAPPED */
	uint64_t initial; /* address after reset */
};

struct pci_id {
	uint16_t vendor, device, subvendor, subsystem;
	uint8_t revision;
	uint32_t class_code; /* class, subclass, interface: 0x010000 is a SCSI-like controller */
	bool intx;           /* has an INTA# pin */
};

struct pci_host;

struct pci_function {
	const char *name; /* for messages and traces */
	struct pci_host *host;
	bool fixed_place; /* slot and func were set before pci_attach(), which otherwise finds one
			   */
	unsigned slot, func;
	struct pci_hw *hw;
	uint8_t initial[PCI_CONFIG_SIZE];  /* registers after reset */
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits a guest can change */
	struct pci_bar bar[PCI_NBARS];
	unsigned cap_end; /* where the next capability goes */
	unsigned msix_cap, nvectors;
	bool intx_wanted; /* the device's own idea of its pin */
	bool intx_driven; /* what the host bridge was told last */
	unsigned long guest_errors;

	/* Optional. */
	void (*moved)(void *opaque, unsigned bar); /* after bar[].at changed */
	/* Before a read and after a write of [reg, reg+size): for capabilities that act. */
	void (*touched)(void *opaque, unsigned reg, unsigned size, bool write);
	void *opaque;
};

extern const struct device_ops pci_host_ops;
struct pci_host *pci_host_of(struct device *d); /* `d` is a pci_host_ops */
/* Where ECAM is decoded now, or PCI_UNMAPPED. */
uint64_t pci_host_ecam(const struct pci_host *h);
/* Tells `fn` of the levels of INTA..INTD behind the rotation, besides the GSIs. NULL: nobody. */
typedef void pci_pin_fn(void *opaque, unsigned pin, bool level);
void pci_host_watch_pins(struct pci_host *h, pci_pin_fn *fn, void *opaque);

/* ---- building a function -----------------------------------------------------------------------
 */

/* Takes its fixed place or the next free slot. `name`, moved, touched and opaque may be set before
 * or after. */
int pci_attach(struct pci_host *h, struct pci_function *f, struct pci_hw *hw,
	       const struct pci_id *id, struct err *e);
void pci_detach(struct pci_function *f);
/* Reserves an address for use after reset. -ENOSPC when the window is full. */
int pci_add_bar(struct pci_function *f, unsigned n, enum pci_bar_kind kind, uint64_t size,
		const struct io_ops *ops, void *opaque, struct err *e);
/*
 * Appends a capability of `len` bytes (a multiple of 4, with the two header bytes, which are filled
 * in here) and returns its offset. `writable` may be NULL. -ENOSPC when the space is full.
 */
int pci_add_cap(struct pci_function *f, uint8_t id, const void *data, const void *writable,
		unsigned len, struct err *e);
/* The table lies at `table` in BAR `bar`, the pending bits at `pba`; the BAR's ops call pci_msix_*.
 */
int pci_add_msix(struct pci_function *f, unsigned nvectors, unsigned bar, uint32_t table,
		 uint32_t pba, struct err *e);

/* ---- life --------------------------------------------------------------------------------------
 */

void pci_reset(struct pci_function *f);
/* After a load: refuses registers this function cannot have, then maps the BARs. */
int pci_loaded(struct pci_function *f, struct err *e);

uint32_t pci_config_read(struct pci_function *f, unsigned reg, unsigned size);
void pci_config_write(struct pci_function *f, unsigned reg, unsigned size, uint32_t val);

/* Drives INTA#; the command register may hold it back. */
void pci_intx(struct pci_function *f, bool level);

bool pci_msix_enabled(const struct pci_function *f);
void pci_msix_fire(struct pci_function *f, unsigned vector); /* MSI-X enabled; vector < nvectors */
/* Accesses to the table and the pending bits, offsets relative to their start. */
uint32_t pci_msix_table_read(struct pci_function *f, uint64_t off, unsigned size);
void pci_msix_table_write(struct pci_function *f, uint64_t off, unsigned size, uint32_t val);
uint32_t pci_msix_pba_read(struct pci_function *f, uint64_t off, unsigned size);

/* ---- between function.c, msix.c and host.c
 * ------------------------------------------------------- */

void pci_msix_config_written(struct pci_function *f);
int pci_host_plug(struct pci_host *h, struct pci_function *f, struct err *e);
void pci_host_unplug(struct pci_host *h, struct pci_function *f);
int pci_host_reserve(struct pci_host *h, enum pci_bar_kind kind, uint64_t size, uint64_t *addr);
/* Brings the buses in line with all functions' BARs; refusals are counted against `cause`. */
void pci_host_remap(struct pci_host *h, struct pci_function *cause);
void pci_host_intx(struct pci_host *h, unsigned slot, bool level); /* after a change only */
void pci_host_msi(struct pci_host *h, uint64_t addr, uint32_t data);

/* Register of BAR n. */
static inline unsigned pci_bar_reg(unsigned n)
{
	return n == PCI_ROM ? PCI_REG_ROM : PCI_REG_BAR0 + 4 * n;
}

static inline uint16_t pci_get16(const uint8_t *cfg, unsigned reg)
{
	return (uint16_t)(cfg[reg] | cfg[reg + 1] << 8);
}

static inline uint32_t pci_get32(const uint8_t *cfg, unsigned reg)
{
	return pci_get16(cfg, reg) | (uint32_t)pci_get16(cfg, reg + 2) << 16;
}

static inline void pci_put16(uint8_t *cfg, unsigned reg, uint16_t v)
{
	cfg[reg] = (uint8_t)v;
	cfg[reg + 1] = (uint8_t)(v >> 8);
}

static inline void pci_put32(uint8_t *cfg, unsigned reg, uint32_t v)
{
	pci_put16(cfg, reg, (uint16_t)v);
	pci_put16(cfg, reg + 2, (uint16_t)(v >> 16));
}

#endif
