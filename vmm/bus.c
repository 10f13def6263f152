/* SPDX-License-Identifier: Apache-2.0 */
/* Register dispatch: a sorted array of regions, bisected; widths are checked here, once. */
#include "vmm/bus.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"

void bus_init(struct bus *b, uint64_t limit)
{
	memset(b, 0, sizeof(*b));
	b->limit = limit;
}

/* Index of the first region whose end lies above `addr`. */
static unsigned first_above(const struct bus *b, uint64_t addr)
{
	unsigned lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct io_region *r = &b->r[mid];

		if (addr >= r->base && addr - r->base >= r->len)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int bus_add(struct bus *b, uint64_t base, uint64_t len, const struct io_ops *ops, void *dev,
	    const char *name, struct err *e)
{
	unsigned i = first_above(b, base);

	if (!len || !range_ok(base, len, b->limit))
		return err_set(e, -EINVAL, "%s: registers at %#llx lie outside the address space",
			       name, (unsigned long long)base);
	if (i < b->n && (base >= b->r[i].base || len > b->r[i].base - base))
		return err_set(e, -EEXIST, "%s: registers at %#llx overlap those of %s", name,
			       (unsigned long long)base, b->r[i].name);
	if (b->n == BUS_MAX_REGIONS)
		return err_set(e, -ENOSPC, "%s: no room for more than %d register ranges", name,
			       BUS_MAX_REGIONS);
	memmove(&b->r[i + 1], &b->r[i], (b->n - i) * sizeof(b->r[0]));
	b->r[i] = (struct io_region){base, len, ops, dev, name, 0};
	b->n++;
	return 0;
}

void bus_remove(struct bus *b, uint64_t base, void *dev)
{
	unsigned i = first_above(b, base);

	if (i == b->n || b->r[i].base != base || b->r[i].dev != dev)
		return;
	b->n--;
	memmove(&b->r[i], &b->r[i + 1], (b->n - i) * sizeof(b->r[0]));
}

const struct io_region *bus_find(const struct bus *b, uint64_t addr)
{
	unsigned i = first_above(b, addr);

	return i < b->n && addr >= b->r[i].base ? &b->r[i] : NULL;
}

static uint64_t all_ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

/* Widest access the device takes, at most `size`; 0 when it only takes wider ones. */
static unsigned widest(const struct io_region *r, unsigned size)
{
	while (size && !(r->ops->sizes & size))
		size >>= 1;
	return size;
}

/*
 * The part of an access that one region answers in one call. Accesses that run over a region's end,
 * or are wider than the device allows, fall into several parts.
 */
static const struct io_region *next_part(struct bus *b, uint64_t addr, unsigned left,
					 unsigned *part)
{
	const struct io_region *r = bus_find(b, addr);
	unsigned n = 0;

	if (r) {
		n = widest(r, left);
		while (n && r->len - (addr - r->base) < n)
			n = widest(r, n >> 1);
	}
	if (!n) {
		b->unclaimed++;
		*part = r ? left : 1;
		return NULL;
	}
	b->r[r - b->r].accesses++;
	*part = n;
	return r;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size)
{
	uint64_t val = all_ones(size);
	unsigned part;

	for (unsigned done = 0; done < size; done += part) {
		const struct io_region *r = next_part(b, addr + done, size - done, &part);
		uint64_t mask = all_ones(part), v;

		if (!r)
			continue;
		v = r->ops->read(r->dev, addr + done - r->base, part) & mask;
		val = (val & ~(mask << done * 8)) | v << done * 8;
	}
	return val;
}

void bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val)
{
	unsigned part;

	for (unsigned done = 0; done < size; done += part) {
		const struct io_region *r = next_part(b, addr + done, size - done, &part);

		if (r)
			r->ops->write(r->dev, addr + done - r->base, part,
				      val >> done * 8 & all_ones(part));
	}
}
