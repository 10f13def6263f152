/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space of device registers: I/O ports or memory-mapped I/O.
 *
 * One sorted array per space, looked up by bisection. The bus checks width and bounds, so a device
 * gets an offset it may trust. Accesses that nothing answers read as all ones and are dropped.
 * The caller holds the machine lock (vmm/machine.h) during dispatch and changes.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct io_ops {
	/* `off` is relative to the region, size one of the allowed widths; never crosses the end.
	 */
	uint64_t (*read)(void *dev, uint64_t off, unsigned size);
	void (*write)(void *dev, uint64_t off, unsigned size, uint64_t val);
	/*
	 * Widths the device handles itself, or-ed of 1|2|4|8. Others are composed: a wider access
	 * is split into several of the largest allowed width, a narrower one reads all ones.
	 */
	unsigned sizes;
};

struct io_region {
	uint64_t base, len;
	const struct io_ops *ops;
	void *dev;
	const char *name; /* for statistics and messages */
	uint64_t accesses;
};

#define BUS_MAX_REGIONS 128

struct bus {
	struct io_region r[BUS_MAX_REGIONS];
	unsigned n;
	uint64_t limit;          /* size of the space: 0x10000 for ports, 2^52 for memory */
	unsigned long unclaimed; /* accesses that no region answered */
};

void bus_init(struct bus *b, uint64_t limit);

/* -EEXIST when it overlaps another region, -ENOSPC when the table is full, -EINVAL out of range. */
int bus_add(struct bus *b, uint64_t base, uint64_t len, const struct io_ops *ops, void *dev,
	    const char *name, struct err *e);

/* Removes the region of `dev` that starts at `base`; nothing happens if there is none. */
void bus_remove(struct bus *b, uint64_t base, void *dev);

const struct io_region *bus_find(const struct bus *b, uint64_t addr);

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size);
void bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val);

#endif
