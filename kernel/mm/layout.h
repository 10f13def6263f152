/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in the address space.
 *
 *   0 .. USER_END               the process
 *   PHYS_MAP ..                 all RAM and the devices below 4 GiB, one to one
 *   KSTACKS ..                  kernel stacks, each below an unmapped guard page
 *   KERNEL_OFFSET ..            the kernel's image
 */
#ifndef KERNEL_MM_LAYOUT_H
#define KERNEL_MM_LAYOUT_H

#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1UL << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#define LARGE_SIZE (2UL << 20)

#define USER_START    0x10000UL
#define USER_END      0x00007ffffffff000UL
#define PHYS_MAP      0xffff800000000000UL
#define KSTACKS       0xffffc00000000000UL
#define KERNEL_OFFSET 0xffffffff80000000UL

/* Up to whole pages; what no number can hold becomes the largest one that can. */
static inline uint64_t page_up(uint64_t n)
{
	return n > PAGE_MASK ? PAGE_MASK : (n + PAGE_SIZE - 1) & PAGE_MASK;
}

static inline void *phys_to_virt(uint64_t phys)
{
	return (void *)(phys + PHYS_MAP);
}

/* For addresses in the map of physical memory and in the kernel's image. */
static inline uint64_t virt_to_phys(const void *virt)
{
	uint64_t v = (uint64_t)virt;

	return v >= KERNEL_OFFSET ? v - KERNEL_OFFSET : v - PHYS_MAP;
}

#endif
