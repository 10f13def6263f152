/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/drivers/gpt.h"

static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0u;

	while (n--) {
		crc ^= *p++;
		for (unsigned i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static const char *check_header(const struct gpt_disk *d, struct gpt_header *h, uint64_t at)
{
	uint32_t crc = h->crc;

	if (memcmp(h->signature, "EFI PART", 8))
		return "no header";
	if (h->size < sizeof(*h) || h->size > d->sector_size)
		return "impossible size of the header";
	h->crc = 0;
	if (crc32((const uint8_t *)h, h->size) != crc)
		return "wrong checksum of the header";
	if (h->here != at)
		return "header of another sector";
	if (h->first_usable < 2 || h->first_usable > h->last_usable || h->last_usable >= d->sectors)
		return "impossible range of usable sectors";
	if (h->entry_size < sizeof(struct gpt_entry) || h->entry_size > GPT_TABLE_BYTES ||
	    !h->entries || h->entries > GPT_TABLE_BYTES / h->entry_size)
		return "impossible size of the table";
	return NULL;
}

/* The header was read to g->table, where the table follows. */
static const char *read_table(const struct gpt_disk *d, struct gpt *g, const struct gpt_header *h)
{
	uint32_t bytes = h->entries * h->entry_size;
	uint32_t n = (bytes + d->sector_size - 1) / d->sector_size;

	if (h->table >= d->sectors || n > d->sectors - h->table)
		return "table beyond the end of the disk";
	if (d->read(d->opaque, h->table, n, g->table))
		return "the table cannot be read";
	return crc32(g->table, bytes) == h->table_crc ? NULL : "wrong checksum of the table";
}

static const char *add(struct gpt *g, int *n, const struct gpt_header *h, unsigned i)
{
	static const uint8_t unused[16];
	struct gpt_entry e;

	memcpy(&e, g->table + (size_t)i * h->entry_size, sizeof(e));
	if (!memcmp(e.type, unused, 16))
		return NULL;
	if (e.first < h->first_usable || e.last > h->last_usable || e.first > e.last)
		return "a partition outside the usable sectors";
	for (int j = 0; j < *n; j++) {
		if (e.first <= g->part[j].last && g->part[j].first <= e.last)
			return "partitions overlap";
	}
	g->part[*n].number = i + 1;
	g->part[*n].first = e.first;
	g->part[(*n)++].last = e.last;
	return NULL;
}

static const char *read_copy(const struct gpt_disk *d, struct gpt *g, uint64_t at, int *n)
{
	const char *why;
	struct gpt_header h;

	*n = 0;
	if (d->read(d->opaque, at, 1, g->table))
		return "the header cannot be read";
	why = check_header(d, (struct gpt_header *)g->table, at);
	if (why)
		return why;
	memcpy(&h, g->table, sizeof(h));
	why = read_table(d, g, &h);
	for (unsigned i = 0; !why && i < h.entries && i < GPT_MAX; i++)
		why = add(g, n, &h, i);
	return why;
}

/* A disk that once had a GPT keeps the copy at its end: without the entry in the MBR it is nothing.
 */
static bool protected(const struct gpt_disk *d, struct gpt *g)
{
	if (d->read(d->opaque, 0, 1, g->table) || g->table[510] != 0x55 || g->table[511] != 0xaa)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (g->table[446 + i * 16 + 4] == 0xee)
			return true;
	}
	return false;
}

int gpt_read(const struct gpt_disk *d, struct gpt *g)
{
	int n;

	g->complaint = NULL;
	if (d->sectors < 3 || !protected(d, g))
		return 0;
	g->complaint = read_copy(d, g, 1, &n);
	if (g->complaint && read_copy(d, g, d->sectors - 1, &n))
		return -EINVAL;
	return n;
}
