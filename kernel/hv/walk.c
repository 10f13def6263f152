/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's own page tables, read as the processor would (Intel SDM vol. 3, chapter 4). */
#include "kernel/hv/hv.h"
#include "kernel/mm/pagetable.h"

struct shape {
	unsigned levels, bits, entry_size;
	uint64_t large_levels; /* bit n: an entry of level n may map a page */
};

static struct shape shape_of(const struct x86_cpu_state *s)
{
	if (s->efer & EFER_LMA)
		return (struct shape){4, 9, 8, 6};
	if (s->cr4 & CR4_PAE)
		return (struct shape){3, 9, 8, 2};
	return (struct shape){2, 10, 4, s->cr4 & CR4_PSE ? 2 : 0};
}

static unsigned cpl(const struct x86_cpu_state *s)
{
	return s->cr0 & 1 ? X86_ATTR_DPL(s->seg[X86_SS].attr) : 0;
}

static bool denied(const struct x86_cpu_state *s, uint64_t rights, bool write)
{
	bool user = cpl(s) == 3;

	if (user && !(rights & PTE_USER))
		return true;
	return write && !(rights & PTE_WRITE) && (user || s->cr0 & CR0_WPB);
}

int walk_guest(struct hv_vcpu *v, uint64_t linear, bool write, uint64_t *gpa, uint32_t *error)
{
	const struct x86_cpu_state *s = &v->s;
	uint64_t rights = PTE_WRITE | PTE_USER, e = 0, size;
	struct shape p = shape_of(s);
	uint64_t at = s->cr3 & (p.levels == 3 ? 0xffffffe0 : PTE_ADDR);

	if (!(s->cr0 & CR0_PG)) {
		*gpa = linear & 0xffffffff;
		return 0;
	}
	*error = (write ? 2u : 0) | (cpl(s) == 3 ? 4u : 0);
	for (int level = (int)p.levels - 1; level >= 0; level--) {
		unsigned shift = PAGE_SHIFT + p.bits * (unsigned)level;
		uint64_t index =
			linear >> shift & ((1UL << (level == 2 && p.levels == 3 ? 2 : p.bits)) - 1);

		e = 0;
		if (guest_read(v->vm, at + index * p.entry_size, &e, p.entry_size) ||
		    !(e & PTE_PRESENT))
			return -EFAULT;
		if (!(p.levels == 3 && level == 2)) /* entries of the PDPT have no rights in PAE */
			rights &= e;
		size = 1UL << shift;
		if (level && (!(e & PTE_LARGE) || !(p.large_levels >> level & 1))) {
			at = e & (p.entry_size == 4 ? 0xfffff000 : PTE_ADDR);
			continue;
		}
		if (denied(s, rights, write)) {
			*error |= 1;
			return -EFAULT;
		}
		if (p.entry_size == 4 && level) /* PSE-36: bits 20:13 are address bits 39:32 */
			*gpa = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
		else
			*gpa = e & PTE_ADDR & ~(size - 1);
		*gpa |= linear & (size - 1);
		return 0;
	}
	return -EFAULT;
}
