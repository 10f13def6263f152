/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mm/pagetable.h"

#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/page.h"

uint64_t *kernel_pml4;

static uint64_t mapped_end; /* of PHYS_MAP, in large pages */
static struct spinlock lock;

extern char kernel_text[], kernel_rodata[], kernel_data[], kernel_end[];
extern uint64_t boot_pml4[];

static uint64_t *table_of(uint64_t entry)
{
	return phys_to_virt(entry & PTE_ADDR);
}

static unsigned index_of(uint64_t va, unsigned level)
{
	return va >> (PAGE_SHIFT + 9 * level) & 511;
}

uint64_t *pagetable_entry(uint64_t *pml4, uint64_t va, unsigned level, uint64_t create)
{
	uint64_t *table = pml4, *e;
	uint64_t phys;

	for (unsigned l = 3; l > level; l--) {
		e = &table[index_of(va, l)];
		if (!(*e & PTE_PRESENT)) {
			phys = create ? page_alloc_zero(0) : 0;
			if (!phys)
				return NULL;
			*e = phys | create;
		} else if (*e & PTE_LARGE) {
			return NULL;
		}
		table = table_of(*e);
	}
	return &table[index_of(va, level)];
}

uint64_t pagetable_page(uint64_t *pml4, uint64_t va, unsigned *order)
{
	const uint64_t *e = pagetable_entry(pml4, va, 1, 0);

	*order = e && *e & PTE_LARGE ? 9 : 0;
	if (*order)
		return (*e & PTE_ADDR & ~(LARGE_SIZE - 1)) + (va & (LARGE_SIZE - 1) & PAGE_MASK);
	e = pagetable_entry(pml4, va, 0, 0);
	return e && *e & PTE_PRESENT ? *e & PTE_ADDR : 0;
}

uint64_t pagetable_next(uint64_t *pml4, uint64_t va)
{
	unsigned level = 3;

	while (level > 1 && *pagetable_entry(pml4, va, level, 0) & PTE_PRESENT)
		level--;
	return (va | ((1UL << (PAGE_SHIFT + 9 * level)) - 1)) + 1;
}

static uint64_t *kernel_entry(uint64_t va, unsigned level)
{
	return must(pagetable_entry(kernel_pml4, va, level, KERNEL_TABLE),
		    "the kernel's page tables");
}

static void map_phys(uint64_t from, uint64_t to, uint64_t bits)
{
	for (uint64_t p = from & ~(LARGE_SIZE - 1); p < to; p += LARGE_SIZE)
		*kernel_entry(PHYS_MAP + p, 1) =
			p | PTE_PRESENT | PTE_WRITE | PTE_LARGE | PTE_GLOBAL | PTE_NX | bits;
}

static void map_image(const char *from, const char *to, uint64_t bits)
{
	for (uint64_t v = (uint64_t)from; v < (uint64_t)to; v += PAGE_SIZE)
		*kernel_entry(v, 0) = virt_to_phys((void *)v) | PTE_PRESENT | PTE_GLOBAL | bits;
}

void pagetable_init(void)
{
	uint64_t top = 0;

	for (unsigned i = 0; i < boot.nram; i++)
		top = MAX(top, boot.ram[i].end);
	kernel_pml4 = phys_to_virt(page_alloc_zero(0));
	/* Every space copies these entries, so what is below them can change for all. */
	for (unsigned i = 256; i < 512; i++) {
		if (i == index_of(PHYS_MAP, 3) || i == index_of(KSTACKS, 3) || i == 511)
			kernel_pml4[i] = page_alloc_zero(0) | KERNEL_TABLE;
	}
	mapped_end = (MAX(top, 1UL << 32) + LARGE_SIZE - 1) & ~(LARGE_SIZE - 1);
	map_phys(0, mapped_end, 0);
	map_image(kernel_text, kernel_rodata, 0);
	map_image(kernel_rodata, kernel_data, PTE_NX);
	map_image(kernel_data, kernel_end, PTE_NX | PTE_WRITE);
	/* Linked where it is loaded, so its address is physical. */
	kernel_pml4[0] = *(uint64_t *)phys_to_virt((uint64_t)boot_pml4);
	write_cr3(virt_to_phys(kernel_pml4));
}

void pagetable_drop_identity(void)
{
	kernel_pml4[0] = 0;
	write_cr3(read_cr3());
}

uint64_t *pagetable_new(void)
{
	uint64_t phys = page_alloc_zero(0);
	uint64_t *pml4 = phys_to_virt(phys);

	if (!phys)
		return NULL;
	memcpy(pml4 + 256, kernel_pml4 + 256, PAGE_SIZE / 2);
	return pml4;
}

void pagetable_free(uint64_t *table, unsigned level, unsigned n)
{
	for (unsigned i = 0; level > 0 && i < n; i++) {
		if (table[i] & PTE_PRESENT && !(table[i] & PTE_LARGE))
			pagetable_free(table_of(table[i]), level - 1, 512);
	}
	page_put(virt_to_phys(table));
}

void *map_device(uint64_t phys, size_t size)
{
	SPIN_GUARD(&lock);

	/* RAM and the addresses below 4 GiB are there; caching of the latter is the MTRRs'
	 * business. */
	for (uint64_t p = phys & ~(LARGE_SIZE - 1); p < phys + size; p += LARGE_SIZE) {
		if (p >= mapped_end && !(*kernel_entry(PHYS_MAP + p, 1) & PTE_PRESENT))
			map_phys(p, p + 1, PTE_NOCACHE);
	}
	return phys_to_virt(phys);
}

/* ---- kernel stacks --------------------------------------------------------------------------- */

#define KSTACK_STRIDE (KSTACK_SIZE + PAGE_SIZE)
#define MAX_KSTACKS   4096

static uint64_t kstack_used[MAX_KSTACKS / 64];

static int take_slot(void)
{
	SPIN_GUARD(&lock);
	int slot = -1;

	for (unsigned i = 0; slot < 0 && i < ARRAY_SIZE(kstack_used); i++) {
		if (~kstack_used[i]) {
			slot = (int)(i * 64) + __builtin_ctzl(~kstack_used[i]);
			kstack_used[i] |= 1UL << slot % 64;
		}
	}
	return slot;
}

/* The pages of a slot stay mapped for its next owner, so no CPU has to forget anything. */
static bool map_stack_page(uint64_t v)
{
	SPIN_GUARD(&lock);
	uint64_t *e = pagetable_entry(kernel_pml4, v, 0, KERNEL_TABLE);
	uint64_t phys = e && !(*e & PTE_PRESENT) ? page_alloc(0) : 0;

	if (phys)
		*e = phys | PTE_PRESENT | PTE_WRITE | PTE_GLOBAL | PTE_NX;
	return e && *e & PTE_PRESENT;
}

uint64_t kstack_alloc(void)
{
	int slot = take_slot();
	uint64_t base = KSTACKS + (uint64_t)slot * KSTACK_STRIDE + PAGE_SIZE;

	if (slot < 0)
		return 0;
	for (uint64_t v = base; v < base + KSTACK_SIZE; v += PAGE_SIZE) {
		if (!map_stack_page(v)) {
			kstack_free(base + KSTACK_SIZE);
			return 0;
		}
	}
	return base + KSTACK_SIZE;
}

void kstack_free(uint64_t top)
{
	uint64_t slot = (top - KSTACKS - 1) / KSTACK_STRIDE;
	SPIN_GUARD(&lock);

	kstack_used[slot / 64] &= ~(1UL << slot % 64);
}
