/* SPDX-License-Identifier: Apache-2.0 */
/* Page tables of four levels (Intel SDM vol. 3, 4.5). */
#ifndef KERNEL_MM_PAGETABLE_H
#define KERNEL_MM_PAGETABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PTE_PRESENT  1UL
#define PTE_WRITE    2UL
#define PTE_USER     4UL
#define PTE_NOCACHE  0x18UL
#define PTE_ACCESSED 0x20UL
#define PTE_DIRTY    0x40UL
#define PTE_LARGE    0x80UL
#define PTE_GLOBAL   0x100UL
#define PTE_NX       (1UL << 63)
#define PTE_ADDR     0x000ffffffffff000UL

extern uint64_t *kernel_pml4;

/* Maps all RAM at PHYS_MAP and makes the kernel's text read-only. After page_init(). */
void pagetable_init(void);
/* Forgets the map at 0 that the trampoline needs. */
void pagetable_drop_identity(void);

/* Bits of an entry that stands for a table, of programs (and guests) or of the kernel. */
#define USER_TABLE   (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define KERNEL_TABLE (PTE_PRESENT | PTE_WRITE)

/*
 * The entry for `va` at level 0 (4 KiB) or 1 (2 MiB). Missing tables are made with the bits
 * `create`, if they are not 0. NULL if there is none, memory is exhausted, or a large page is in
 * the way of level 0.
 */
uint64_t *pagetable_entry(uint64_t *pml4, uint64_t va, unsigned level, uint64_t create);

/* The page at an address; 0: none is mapped. *order: of the block, 9 or 0. */
uint64_t pagetable_page(uint64_t *pml4, uint64_t va, unsigned *order);

/* Where after `va` an entry of level 1 may come next: behind all that one missing table would map.
 */
uint64_t pagetable_next(uint64_t *pml4, uint64_t va);

/* A process' table: the kernel's half is shared. NULL without memory. */
uint64_t *pagetable_new(void);
/* Frees a table of this level (3: the top) and those below its first n entries; what they map must
 * be gone. */
void pagetable_free(uint64_t *table, unsigned level, unsigned n);

/* Registers or tables of firmware: an address in PHYS_MAP, uncached where it is not RAM. */
void *map_device(uint64_t phys, size_t size);

/* A kernel stack of KSTACK_SIZE with an unmapped page below; the address of its top, 0 without
 * memory. */
#define KSTACK_SIZE (4 * 4096UL)
uint64_t kstack_alloc(void);
void kstack_free(uint64_t top);

#endif
