/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mm/object.h"

#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/sys/landlock.h"

/* The array of pages is one block of the heap, 4 MiB at most: 2 GiB of pages. */
#define MAX_PAGES (1UL << 19)

struct memobj *memobj_new(void)
{
	struct memobj *o = kzalloc(sizeof(*o));

	if (!o)
		return NULL;
	o->refs = 1;
	o->maker = landlock_maker();
	return o;
}

struct memobj *memobj_get(struct memobj *o)
{
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	return o;
}

void memobj_put(struct memobj *o)
{
	if (!o || __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL))
		return;
	memobj_punch(o, 0, o->npages << PAGE_SHIFT);
	domain_put(o->maker);
	kfree(o->pages);
	kfree(o);
}

/* Many small objects of who is locked in are as much as a large one. Lock held. */
static bool may_have_one_more(const struct memobj *o)
{
	return page_may_have(o->maker ? *landlock_pages(o->maker) : o->resident, 1);
}

/* Lock held. */
static void count(struct memobj *o, uint64_t pages)
{
	o->resident += pages;
	if (o->maker)
		__atomic_fetch_add(landlock_pages(o->maker), pages, __ATOMIC_RELAXED);
}

/* Lock held. */
static bool grow(struct memobj *o, uint64_t need)
{
	uint64_t n = MAX(o->npages, 8UL);
	uint64_t *pages;

	while (n < need)
		n *= 2;
	if (n > MAX_PAGES || (o->maker && n > 512 && !page_may_have(UINT32_MAX, n / 512)))
		return false; /* the arrays of files with holes leave something, too */
	pages = kzalloc(n * sizeof(*pages));
	if (!pages)
		return false;
	memcpy(pages, o->pages, o->npages * sizeof(*pages));
	kfree(o->pages);
	o->pages = pages;
	o->npages = n;
	return true;
}

uint64_t memobj_page(struct memobj *o, uint64_t offset, bool create)
{
	SPIN_GUARD(&o->lock);
	uint64_t index = offset >> PAGE_SHIFT, phys = 0;

	if (index < o->npages || (create && index < MAX_PAGES && grow(o, index + 1))) {
		if (!o->pages[index] && create && may_have_one_more(o)) {
			o->pages[index] = page_alloc_zero(0);
			count(o, o->pages[index] != 0);
		}
		phys = o->pages[index];
		if (phys)
			page_get(phys);
	}
	return phys;
}

/* Bytes of one page, if it is there. */
static void zero_part(struct memobj *o, uint64_t from, uint64_t to)
{
	uint64_t page = from < to ? memobj_page(o, from, false) : 0;

	if (page) {
		memset((char *)phys_to_virt(page) + (from & ~PAGE_MASK), 0, to - from);
		page_put(page);
	}
}

/* Pages [first, end). */
static void drop_pages(struct memobj *o, uint64_t first, uint64_t end)
{
	SPIN_GUARD(&o->lock);

	for (uint64_t i = first; i < MIN(end, o->npages); i++) {
		if (!o->pages[i])
			continue;
		page_put(o->pages[i]);
		o->pages[i] = 0;
		count(o, -1UL);
	}
}

void memobj_punch(struct memobj *o, uint64_t offset, uint64_t len)
{
	uint64_t end = offset + len, first = page_up(offset), last = end & PAGE_MASK;

	zero_part(o, offset, MIN(first, end));
	zero_part(o, MAX(last, first), end);
	drop_pages(o, first >> PAGE_SHIFT, last >> PAGE_SHIFT);
}

int memobj_resize(struct memobj *o, uint64_t size)
{
	uint64_t old = o->size;

	if (size > MAX_PAGES << PAGE_SHIFT)
		return -EFBIG;
	o->size = size;
	if (size < old)
		memobj_punch(o, size, (MAX_PAGES << PAGE_SHIFT) - size);
	return 0;
}

/* Bytes of the kernel's memory, in or out, page by page. */
static int move(struct memobj *o, char *mem, uint64_t at, uint64_t n, bool in)
{
	for (uint64_t part; n; mem += part, at += part, n -= part) {
		uint64_t in_page = at & (PAGE_SIZE - 1), page = memobj_page(o, at, true);
		char *there = (char *)phys_to_virt(page) + in_page;

		if (!page)
			return -ENOMEM;
		part = MIN(PAGE_SIZE - in_page, n);
		memcpy(in ? there : mem, in ? mem : there, part);
		page_put(page);
	}
	return 0;
}

int memobj_fill(struct memobj *o, const void *data, uint64_t len)
{
	int rc = move(o, (char *)data, 0, len, true);

	o->size = rc ? 0 : len;
	return rc;
}

int memobj_read(struct memobj *o, void *to, uint64_t at, uint64_t n)
{
	return at + n < at || at + n > o->size ? -EINVAL : move(o, to, at, n, false);
}
