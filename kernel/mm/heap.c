/* SPDX-License-Identifier: Apache-2.0 */
/* Objects up to half a page come from pages cut into equal pieces, larger ones are blocks of pages.
 */
#include "kernel/mm/heap.h"

#include "kernel/lib/lib.h"
#include "kernel/mm/page.h"
#include "kernel/sys/random.h"

#define MIN_SHIFT 5 /* 32 bytes */
#define CLASSES   7 /* 32 .. 2048 */

struct piece { /* while it is free */
	struct piece *next;
	uint64_t seal;
};

static struct {
	struct spinlock lock;
	struct piece *free;
} class_heap[CLASSES];

/* Tells a free piece from one in use, and whether somebody wrote to it since; nobody can guess it.
 */
static uint64_t secret;

static uint64_t seal(const struct piece *p)
{
	return secret ^ (uint64_t)p;
}

void heap_init(void)
{
	random_bytes(&secret, sizeof(secret));
}

static unsigned class_of(size_t size)
{
	unsigned c = 0;

	while ((1UL << (MIN_SHIFT + c)) < size)
		c++;
	return c;
}

static void *alloc_pages(size_t size)
{
	unsigned order = 0;
	uint64_t phys;

	while (PAGE_SIZE << order < size)
		order++;
	phys = order <= PAGE_MAX_ORDER ? page_alloc_zero(order) : 0;
	return phys ? phys_to_virt(phys) : NULL;
}

/* Lock held. */
static void put(unsigned c, struct piece *p)
{
	*p = (struct piece){class_heap[c].free, seal(p)};
	class_heap[c].free = p;
}

/* Cuts a new page into pieces. Lock held. */
static bool refill(unsigned c)
{
	uint64_t phys = page_alloc(0);
	char *page = phys_to_virt(phys);
	size_t piece = 1UL << (MIN_SHIFT + c);

	if (!phys)
		return false;
	page_of(phys)->kind = PAGE_HEAP;
	page_of(phys)->class = (uint16_t)c;
	for (size_t at = 0; at < PAGE_SIZE; at += piece)
		put(c, (struct piece *)(page + at));
	return true;
}

void *kzalloc(size_t size)
{
	unsigned c = class_of(size);
	struct piece *p = NULL;

	if (c >= CLASSES)
		return alloc_pages(size);
	LOCKED(&class_heap[c].lock) {
		if (class_heap[c].free || refill(c)) {
			p = class_heap[c].free;
			if (p->seal != seal(p))
				panic("an object of the heap was written after its end");
			class_heap[c].free = p->next;
		}
	}
	if (p)
		memset(p, 0, 1UL << (MIN_SHIFT + c));
	return p;
}

void kfree(void *p)
{
	struct page *page = p ? page_of(virt_to_phys(p)) : NULL;
	unsigned c;

	if (!p)
		return;
	if (page->kind != PAGE_HEAP) {
		page_put(virt_to_phys(p));
		return;
	}
	c = page->class;
	SPIN_GUARD(&class_heap[c].lock);
	if (((struct piece *)p)->seal == seal(p))
		panic("an object of the heap is freed twice");
	put(c, p);
}
