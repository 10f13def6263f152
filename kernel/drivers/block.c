/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to disks, and how disks and their partitions become known. */
#include "kernel/drivers/block.h"

#include "kernel/drivers/gpt.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/layout.h"

struct list block_parts;

/* ---- requests -------------------------------------------------------------------------------- */

void block_done(struct blockdev *d, unsigned slot, int result)
{
	struct block_request *r = slot < d->nslots ? d->slot[slot] : NULL;

	if (!r) {
		klog("%s: answers a request that was not made (%u)", d->name, slot);
		return;
	}
	d->slot[slot] = NULL;
	r->result = result;
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
}

void block_dead(struct blockdev *d, const char *why)
{
	if (!d->dead)
		klog("%s: %s; it is not used any more", d->name, why);
	d->dead = true;
}

void block_interrupt(void *opaque)
{
	struct blockdev *d = opaque;

	LOCKED(&d->lock) {
		if (!d->dead)
			d->finish(d);
	}
	waitq_wake(&d->changed, ~0u);
}

/* True when the request is under way or never will be. */
static bool try_start(struct blockdev *d, struct block_request *r)
{
	SPIN_GUARD(&d->lock);
	unsigned slot = 0;

	while (slot < d->nslots && d->slot[slot])
		slot++;
	if (slot < d->nslots && !d->dead) {
		d->slot[slot] = r;
		d->start(d, slot, r);
	}
	return slot < d->nslots || d->dead;
}

/* A second is over without an answer: the hardware may have failed, or an interrupt got lost. */
static void look_at(struct blockdev *d, const struct block_request *r, bool late)
{
	block_interrupt(d);
	LOCKED(&d->lock) {
		const char *why = late ? "no answer for two minutes" : d->failed(d);

		if (why && !r->done)
			block_dead(d, why);
	}
	waitq_wake(&d->changed, ~0u);
}

int block_do(struct blockdev *d, enum block_op op, uint64_t sector, uint32_t sectors, uint64_t phys)
{
	struct block_request r = {op, sector, sectors, phys, false, -EIO};
	unsigned second = 0;

	if (op == BLOCK_WRITE && d->read_only)
		return -EROFS;
	if (op == BLOCK_FLUSH && !d->cached)
		return 0;
	WAIT_DEAF(&d->changed, NEVER, try_start(d, &r));
	while (WAIT_DEAF(&d->changed, now_ns() + NSEC_PER_SEC, r.done || d->dead))
		look_at(d, &r, ++second >= BLOCK_TIMEOUT);
	if (r.result)
		klog("%s: error %d at sector %lu", d->name, -r.result, sector);
	return r.result;
}

void block_flush_all(void)
{
	LIST_ITEMS(struct block_part, p, &block_parts, link) {
		if (!p->first)
			block_do(p->dev, BLOCK_FLUSH, 0, 0, 0);
	}
}

/* ---- disks ----------------------------------------------------------------------------------- */

/* Sixteen minor numbers for a disk, as Linux does; others where they are given as they come. */
static int add_part(struct blockdev *d, unsigned number, uint64_t first, uint64_t sectors)
{
	static unsigned next_ext;
	struct block_part *p = kzalloc(sizeof(*p));
	bool ext = d->major == BLOCK_MAJOR_EXT || number > 15;

	if (!p)
		return -ENOMEM;
	*p = (struct block_part){.dev = d, .first = first, .sectors = sectors};
	p->major = ext ? BLOCK_MAJOR_EXT : d->major;
	p->minor = ext ? next_ext++ : d->index * 16 + number;
	strlcpy(p->name, d->name, sizeof(p->name));
	if (number)
		snprintf(p->name, sizeof(p->name), "%s%s%u", d->name,
			 d->part_infix ? d->part_infix : "", number);
	block_file(p);
	list_add_tail(&block_parts, &p->link);
	return 0;
}

static int read_sectors(void *opaque, uint64_t sector, uint32_t n, void *to)
{
	return block_do(opaque, BLOCK_READ, sector, n, virt_to_phys(to));
}

static void add_partitions(struct blockdev *d)
{
	struct gpt_disk disk = {d->sector_size, d->sectors, read_sectors, d};
	struct gpt *g = kzalloc(sizeof(*g));
	int n = g ? gpt_read(&disk, g) : -ENOMEM;

	if (g && g->complaint)
		klog("%s: GPT: %s%s", d->name, g->complaint,
		     n < 0 ? "; its partitions are not used" : "; the copy at the end is used");
	for (int i = 0; i < n; i++)
		add_part(d, g->part[i].number, g->part[i].first,
			 g->part[i].last - g->part[i].first + 1);
	if (!d->dead)
		kfree(g);
}

int block_register(struct blockdev *d, const char *prefix)
{
	static uint8_t disks[256]; /* by the major number's last byte, in which they differ */
	uint32_t ss = d->sector_size;

	if (ss < 512 || ss > PAGE_SIZE || ss & (ss - 1) || !d->sectors ||
	    d->sectors > (1UL << 62) / ss)
		return -EINVAL;
	d->index = disks[d->major % 256]++;
	if (prefix)
		snprintf(d->name, sizeof(d->name), "%s%c", prefix, 'a' + d->index % 26);
	klog("%s: %lu MiB in sectors of %u bytes%s", d->name, d->sectors * ss >> 20, ss,
	     d->read_only ? ", read-only" : "");
	if (add_part(d, 0, 0, d->sectors))
		return -ENOMEM;
	add_partitions(d);
	return 0;
}
