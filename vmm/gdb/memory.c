/* SPDX-License-Identifier: Apache-2.0 */
/* Walks of the guest's page tables for the debugger (Intel SDM volume 3A chapter 4). */
#include "vmm/gdb/memory.h"

#define CR0_PG   (1ull << 31)
#define CR4_PSE  (1ull << 4)
#define CR4_PAE  (1ull << 5)
#define EFER_LMA (1ull << 10)

#define PTE_P       1ull
#define PTE_PS      (1ull << 7)
#define PTE_ADDRESS 0x000ffffffffff000ull

/* Returns the entry, 0 if it is not in memory. */
static uint64_t entry(const struct guest_memory *m, gpa_t table, uint64_t index, unsigned size)
{
	uint64_t e = 0;

	return mem_read(m, table + index * size, &e, size) ? e : 0;
}

static bool walk_32(const struct guest_memory *m, const struct x86_cpu_state *s, uint32_t gva,
		    gpa_t *gpa)
{
	uint64_t e = entry(m, s->cr3 & 0xfffff000, gva >> 22, 4);

	if (!(e & PTE_P))
		return false;
	if ((e & PTE_PS) && (s->cr4 & CR4_PSE)) { /* bits 20:13 are address bits 39:32 */
		*gpa = (e & 0xffc00000) | (e >> 13 & 0xff) << 32 | (gva & 0x3fffff);
		return true;
	}
	e = entry(m, e & 0xfffff000, gva >> 12 & 0x3ff, 4);
	*gpa = (e & 0xfffff000) | (gva & 0xfff);
	return e & PTE_P;
}

/* From a table of `level` (0: its entries are pages of 4 KiB) on. */
static bool walk_64(const struct guest_memory *m, gpa_t table, unsigned level, uint64_t gva,
		    gpa_t *gpa)
{
	for (;; level--) {
		unsigned shift = 12 + 9 * level;
		uint64_t e = entry(m, table, gva >> shift & 511, 8);
		uint64_t offset = gva & ((1ull << shift) - 1);

		if (!(e & PTE_P))
			return false;
		if (!level || ((e & PTE_PS) && level < 3)) {
			*gpa = (e & PTE_ADDRESS & ~((1ull << shift) - 1)) | offset;
			return true;
		}
		table = e & PTE_ADDRESS;
	}
}

static bool walk_pae(const struct guest_memory *m, const struct x86_cpu_state *s, uint32_t gva,
		     gpa_t *gpa)
{
	uint64_t e = entry(m, s->cr3 & 0xffffffe0, gva >> 30, 8);

	return (e & PTE_P) && walk_64(m, e & PTE_ADDRESS, 1, gva, gpa);
}

static bool is_canonical(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

bool gdb_translate(const struct guest_memory *m, const struct x86_cpu_state *s, uint64_t gva,
		   gpa_t *gpa)
{
	*gpa = gva;
	if (!(s->cr0 & CR0_PG))
		return true;
	if (s->efer & EFER_LMA)
		return is_canonical(gva) && walk_64(m, s->cr3 & PTE_ADDRESS, 3, gva, gpa);
	if (gva >> 32)
		return false;
	return s->cr4 & CR4_PAE ? walk_pae(m, s, (uint32_t)gva, gpa)
				: walk_32(m, s, (uint32_t)gva, gpa);
}

/* Bytes of [gva, gva + len) that lie in the first page. */
static uint64_t in_page(uint64_t gva, uint64_t len)
{
	uint64_t room = MEM_PAGE_SIZE - gva % MEM_PAGE_SIZE;

	return len < room ? len : room;
}

uint64_t gdb_memory_read(const struct guest_memory *m, const struct x86_cpu_state *s, uint64_t gva,
			 void *buf, uint64_t len)
{
	uint64_t done = 0, n;
	gpa_t gpa;

	for (; done < len; done += n) {
		n = in_page(gva + done, len - done);
		if (!gdb_translate(m, s, gva + done, &gpa) ||
		    !mem_read(m, gpa, (uint8_t *)buf + done, n))
			break;
	}
	return done;
}

uint64_t gdb_memory_write(struct guest_memory *m, const struct x86_cpu_state *s, uint64_t gva,
			  const void *buf, uint64_t len)
{
	uint64_t done = 0, n;
	gpa_t gpa;

	for (; done < len; done += n) {
		n = in_page(gva + done, len - done);
		if (!gdb_translate(m, s, gva + done, &gpa) ||
		    !mem_write(m, gpa, (const uint8_t *)buf + done, n))
			break;
	}
	return done;
}
