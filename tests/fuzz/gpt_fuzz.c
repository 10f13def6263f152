/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any disk for the kernel's reader of GUID partition tables: what it finds lies on the disk and
 * does not overlap. The first byte chooses the size of sectors, and whether checksums are made
 * right, so that what is behind them is reached.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "kernel/drivers/gpt.h"

#define DISK_BYTES (256u << 10)

static uint8_t disk[DISK_BYTES];

static int read_disk(void *opaque, uint64_t sector, uint32_t n, void *to)
{
	const struct gpt_disk *d = opaque;

	if (!n || sector >= d->sectors || n > d->sectors - sector ||
	    n * d->sector_size > GPT_TABLE_BYTES)
		abort();
	memcpy(to, disk + sector * d->sector_size, (size_t)n * d->sector_size);
	return 0;
}

static void mend(const struct gpt_disk *d, uint64_t at)
{
	struct gpt_header *h = (struct gpt_header *)(disk + at * d->sector_size);
	uint64_t table = h->table % d->sectors * d->sector_size;
	uint64_t bytes = (uint64_t)h->entries * h->entry_size;

	memcpy(h->signature, "EFI PART", 8);
	h->here = at;
	h->size = sizeof(*h);
	if (bytes <= DISK_BYTES - table)
		h->table_crc = (uint32_t)crc32(0, disk + table, (uInt)bytes);
	h->crc = 0;
	h->crc = (uint32_t)crc32(0, (uint8_t *)h, h->size);
}

static void check(const struct gpt_disk *d, const struct gpt *g, int n)
{
	if (n > GPT_MAX || (n < 0 && !g->complaint))
		abort();
	for (int i = 0; i < n; i++) {
		if (g->part[i].first < 2 || g->part[i].first > g->part[i].last ||
		    g->part[i].last >= d->sectors || g->part[i].number < 1)
			abort();
		for (int j = 0; j < i; j++) {
			if (g->part[i].first <= g->part[j].last &&
			    g->part[j].first <= g->part[i].last)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct gpt g;
	struct gpt_disk d = {.read = read_disk};

	if (!len || len - 1 > DISK_BYTES)
		return 0;
	memset(disk, 0, sizeof(disk));
	memcpy(disk, data + 1, len - 1);
	d.sector_size = data[0] & 1 ? 4096 : 512;
	d.sectors = DISK_BYTES / d.sector_size;
	d.opaque = &d;
	if (data[0] & 2) {
		memcpy(disk + 510, "\x55\xaa", 2);
		disk[446 + 4] = 0xee;
		mend(&d, 1);
		mend(&d, d.sectors - 1);
	}
	check(&d, &g, gpt_read(&d, &g));
	return 0;
}
