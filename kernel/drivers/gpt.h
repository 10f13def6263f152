/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GUID partition tables (UEFI 2.10, chapter 5). Nothing in them is believed before it is checked; a
 * damaged table is replaced by the copy in the disk's last sector.
 */
#ifndef KERNEL_DRIVERS_GPT_H
#define KERNEL_DRIVERS_GPT_H

#include "kernel/lib/lib.h"

#define GPT_MAX         128         /* partitions; what is beyond is not looked at */
#define GPT_TABLE_BYTES (64u << 10) /* a larger table is refused */

struct gpt_disk {
	uint32_t sector_size;
	uint64_t sectors;
	/* 0 or a negative errno. `to` is on a page's boundary. */
	int (*read)(void *opaque, uint64_t sector, uint32_t n, void *to);
	void *opaque;
};

/* From the heap, as `table` must lie on a page's boundary. */
struct gpt {
	uint8_t table[GPT_TABLE_BYTES];
	const char *complaint; /* why the first table is not used; NULL: it is, or there is none */
	struct {
		unsigned number; /* from 1 */
		uint64_t first, last;
	} part[GPT_MAX];
};

struct gpt_header {
	char signature[8];
	uint32_t revision, size, crc, reserved;
	uint64_t here, other, first_usable, last_usable;
	uint8_t guid[16];
	uint64_t table;
	uint32_t entries, entry_size, table_crc;
} __attribute__((packed));

struct gpt_entry {
	uint8_t type[16], guid[16];
	uint64_t first, last;
} __attribute__((packed));

/* How many partitions there are, in the table's order; 0 without a GPT; -EINVAL: damaged. */
int gpt_read(const struct gpt_disk *d, struct gpt *g);

#endif
