/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical pages: a buddy allocator, and a count of references for pages that several address
 * spaces or guests share. The free lists are threaded through the free pages themselves, so a page
 * costs 8 bytes of book-keeping.
 */
#ifndef KERNEL_MM_PAGE_H
#define KERNEL_MM_PAGE_H

#include "kernel/boot/bootinfo.h"
#include "kernel/mm/layout.h"

#define PAGE_MAX_ORDER 10 /* 4 MiB */

enum page_kind {
	PAGE_RESERVED, /* firmware, the kernel, holes */
	PAGE_FREE,
	PAGE_USED,
	PAGE_HEAP, /* holds small heap objects; `class` tells their size */
};

struct page {
	uint32_t refs;
	uint8_t order; /* of the block that begins here */
	uint8_t kind;
	uint16_t class;
};

void page_init(const struct bootinfo *b);      /* memory below 4 GiB */
void page_init_high(const struct bootinfo *b); /* the rest; after pagetable_init() */

/*
 * Whether who has `mine` pages for a program or a file may have n more. The last 16 MiB are for
 * those that have little and for the kernel: a VM or a file that takes all leaves the first
 * program, the screen and what they start what they need.
 */
bool page_may_have(uint64_t mine, uint64_t n);

/* 2^order pages; physical address, 0 when memory is exhausted. One reference. */
uint64_t page_alloc(unsigned order);
uint64_t page_alloc_zero(unsigned order);
void page_get(uint64_t phys);
/* Drops a reference; the last one frees the block. */
void page_put(uint64_t phys);
struct page *page_of(uint64_t phys);

/* Gives what the boot loader used, such as the initramfs, to the allocator. */
void page_reclaim(uint64_t start, uint64_t end);

struct page_stats {
	uint64_t total, free; /* pages */
};
struct page_stats page_stats(void);

#endif
