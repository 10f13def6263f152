/* SPDX-License-Identifier: Apache-2.0 */
/* Objects up to half a page come from pages cut into equal pieces, larger ones are blocks of pages.
 */
#include "kernel/mm/heap.h"

#include "kernel/lib/lib.h"
#include "kernel/mm/page.h"

#define MIN_SHIFT 5 /* 32 bytes */
#define CLASSES   7 /* 32 .. 2048 */

static struct {
	struct spinlock lock;
	void *free; /* each free piece points to the next */
} class_heap[CLASSES];

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
	for (size_t at = 0; at < PAGE_SIZE; at += piece) {
		*(void **)(page + at) = class_heap[c].free;
		class_heap[c].free = page + at;
	}
	return true;
}

void *kzalloc(size_t size)
{
	unsigned c = class_of(size);
	void *p = NULL;

	if (c >= CLASSES)
		return alloc_pages(size);
	LOCKED(&class_heap[c].lock) {
		if (class_heap[c].free || refill(c)) {
			p = class_heap[c].free;
			class_heap[c].free = *(void **)p;
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
	*(void **)p = class_heap[c].free;
	class_heap[c].free = p;
}
