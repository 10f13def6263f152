/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mm/page.h"

#include "kernel/lib/lib.h"

static struct page *pages;
static uint64_t npages;
static struct list free_list[PAGE_MAX_ORDER + 1];
static struct page_stats stats;
static struct spinlock lock;

extern char kernel_end[];

struct page *page_of(uint64_t phys)
{
	return &pages[phys >> PAGE_SHIFT];
}

/* A free block begins with its place in the list. */
static struct list *block_link(uint64_t index)
{
	return phys_to_virt(index << PAGE_SHIFT);
}

static void insert(uint64_t index, unsigned order)
{
	pages[index].kind = PAGE_FREE;
	pages[index].order = (uint8_t)order;
	list_add_tail(&free_list[order], block_link(index));
}

/* Frees a block and joins it with its buddies as far as they are free. Lock held. */
static void release(uint64_t index, unsigned order)
{
	stats.free += 1UL << order;
	for (; order < PAGE_MAX_ORDER; order++) {
		uint64_t buddy = index ^ 1UL << order;

		if (buddy >= npages || pages[buddy].kind != PAGE_FREE ||
		    pages[buddy].order != order)
			break;
		list_del(block_link(buddy));
		pages[buddy].kind = PAGE_USED;
		index &= ~(1UL << order);
	}
	insert(index, order);
}

uint64_t page_alloc(unsigned order)
{
	unsigned have = order;
	uint64_t index;
	struct list *item;

	SPIN_GUARD(&lock);
	while (have <= PAGE_MAX_ORDER && list_empty(&free_list[have]))
		have++;
	if (have > PAGE_MAX_ORDER)
		return 0;
	item = free_list[have].next;
	list_del(item);
	index = virt_to_phys(item) >> PAGE_SHIFT;
	while (have > order) {
		have--;
		insert(index + (1UL << have), have);
	}
	pages[index] = (struct page){.refs = 1, .order = (uint8_t)order, .kind = PAGE_USED};
	stats.free -= 1UL << order;
	return index << PAGE_SHIFT;
}

uint64_t page_alloc_zero(unsigned order)
{
	uint64_t phys = page_alloc(order);

	if (phys)
		memset(phys_to_virt(phys), 0, PAGE_SIZE << order);
	return phys;
}

void page_get(uint64_t phys)
{
	__atomic_fetch_add(&page_of(phys)->refs, 1, __ATOMIC_RELAXED);
}

void page_put(uint64_t phys)
{
	struct page *p = page_of(phys);
	uint32_t refs = __atomic_fetch_sub(&p->refs, 1, __ATOMIC_ACQ_REL);

	if (!refs)
		panic("page %lx is freed twice", phys >> PAGE_SHIFT);
	if (refs > 1)
		return;
	SPIN_GUARD(&lock);
	p->kind = PAGE_USED;
	release(phys >> PAGE_SHIFT, p->order);
}

#define RESERVE (16UL << 20 >> PAGE_SHIFT)
#define LITTLE  (RESERVE / 4)

bool page_may_have(uint64_t mine, uint64_t n)
{
	return mine + n <= LITTLE || stats.free >= RESERVE + n;
}

struct page_stats page_stats(void)
{
	return stats;
}

/* ---- at boot --------------------------------------------------------------------------------- */

#define LOW_END (1UL << 32) /* so far the boot's page tables map, and a free page is written to */

/* A place for the array of pages: the first gap of this size in RAM below 4 GiB. */
static uint64_t find_place(const struct bootinfo *b, const struct boot_range *used, unsigned n,
			   uint64_t size)
{
	for (unsigned i = 0; i < b->nram; i++) {
		uint64_t at = MAX(b->ram[i].start, 0x100000UL);

		for (; at + size <= MIN(b->ram[i].end, LOW_END); at += PAGE_SIZE) {
			if (!ranges_overlap(used, n, at, at + size))
				return at;
		}
	}
	panic("no room for the array of pages");
}

/* In blocks as large as they fit: a server has millions of pages. */
static void give(const struct boot_range *used, unsigned n, uint64_t start, uint64_t end)
{
	for (uint64_t at = start, size; at < end; at += size) {
		unsigned order = PAGE_MAX_ORDER;

		size = PAGE_SIZE << order;
		while (order && (at & (size - 1) || size > end - at ||
				 ranges_overlap(used, n, at, at + size)))
			size = PAGE_SIZE << --order;
		if (ranges_overlap(used, n, at, at + size))
			continue;
		stats.total += 1UL << order;
		release(at >> PAGE_SHIFT, order);
	}
}

void page_init(const struct bootinfo *b)
{
	struct boot_range used[] = {
		{0, 0x100000}, /* firmware's data, the trampoline */
		{0x200000, virt_to_phys(kernel_end)},
		b->initramfs,
		{0, 0},
	};
	uint64_t top = 0, size, place;

	for (unsigned i = 0; i < b->nram; i++)
		top = MAX(top, b->ram[i].end);
	npages = top >> PAGE_SHIFT;
	size = page_up(npages * sizeof(struct page));
	place = find_place(b, used, 3, size);
	used[3] = (struct boot_range){place, place + size};
	pages = phys_to_virt(place);
	memset(pages, 0, size);
	for (unsigned i = 0; i < b->nram; i++)
		give(used, ARRAY_SIZE(used), b->ram[i].start, MIN(b->ram[i].end, LOW_END));
}

void page_init_high(const struct bootinfo *b)
{
	for (unsigned i = 0; i < b->nram; i++)
		give(&b->initramfs, 1, MAX(b->ram[i].start, LOW_END), b->ram[i].end);
}

void page_reclaim(uint64_t start, uint64_t end)
{
	SPIN_GUARD(&lock);

	give(NULL, 0, page_up(start), end & PAGE_MASK);
}
