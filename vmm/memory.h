/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest physical memory: a few slots of host memory, and the only ways to touch it.
 *
 * The layout of a PC: RAM from 0 to at most MEM_LOW_END, the rest from 4 GiB up; ROM slots are
 * read-only for the guest. Slots are fixed before the first vCPU runs; only a device's memory
 * (a frame buffer) changes its address, with all vCPUs out of guest code. All functions are
 * thread-safe; a guest may write the same bytes at the same time, so what is read twice may differ:
 * copy, then check.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <stdbool.h>

#include "base/err.h"
#include "vmm/types.h"

#define MEM_MAX_SLOTS  8
#define MEM_LOW_END    0xb0000000ull /* RAM below 4 GiB ends here at most: the PCI ECAM follows */
#define MEM_HIGH_START 0x100000000ull
#define MEM_PAGE_SIZE  4096ull
#define MEM_UNMAPPED   (1ull << 62) /* where a device's memory is while the guest cannot see it */

struct mem_slot {
	gpa_t gpa;     /* page aligned */
	uint64_t size; /* bytes, page aligned */
	uint8_t *host; /* owned by the guest_memory */
	bool readonly; /* ROM: guest writes are dropped */
	bool device;   /* memory of a device: MEM_UNMAPPED until mem_move() */
};

struct guest_memory {
	struct mem_slot slot[MEM_MAX_SLOTS];
	unsigned nslots;
	uint64_t ram_size; /* bytes, all RAM slots together, with the hole */
	uint8_t *hole;     /* host memory under device registers, NULL: none */
	uint64_t hole_size;
	/*
	 * Told about every write by a device or the loader, so that an engine can drop code it has
	 * translated from those bytes and log dirty pages. NULL when no engine needs it.
	 */
	void (*written)(void *opaque, gpa_t gpa, uint64_t len);
	void *written_opaque;
};

/* Reserves (does not touch) `ram_size` bytes, a multiple of 1 MiB, at least 1 MiB. */
int mem_init(struct guest_memory *m, uint64_t ram_size, struct err *e);
void mem_fini(struct guest_memory *m);

/* Adds a zeroed read-only slot (firmware). Its host pointer may be written before the guest runs.
 */
int mem_add_rom(struct guest_memory *m, gpa_t gpa, uint64_t size, uint8_t **host, struct err *e);

/*
 * Takes [gpa, gpa+size), whole pages inside the first RAM slot, away from the guest's RAM: device
 * registers lie there. The bytes stay where they were in host memory.
 */
int mem_open_hole(struct guest_memory *m, gpa_t gpa, uint64_t size, struct err *e);

/* Adds zeroed memory of a device, not mapped yet; *slot is its number. */
int mem_add_device(struct guest_memory *m, uint64_t size, unsigned *slot, struct err *e);
/* Gives a device's memory another address or MEM_UNMAPPED; the engine must be told (mem_moved). */
void mem_move(struct guest_memory *m, unsigned slot, gpa_t gpa);

/* Host address of [gpa, gpa+len) if it lies in one slot and, for `write`, in RAM; else NULL. */
void *mem_ptr(const struct guest_memory *m, gpa_t gpa, uint64_t len, bool write);

/* Copies; false and nothing copied (read: `buf` zeroed) if any byte is outside RAM/ROM (write:
 * RAM). */
bool mem_read(const struct guest_memory *m, gpa_t gpa, void *buf, uint64_t len);
bool mem_write(struct guest_memory *m, gpa_t gpa, const void *buf, uint64_t len);

/* Call after writing through a pointer of mem_ptr(). */
void mem_written(struct guest_memory *m, gpa_t gpa, uint64_t len);

#endif
