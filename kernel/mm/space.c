/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mm/space.h"

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/smp.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pagetable.h"
#include "kernel/mm/vma.h"

struct space *space_new(void)
{
	struct space *s = kzalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->pml4 = pagetable_new();
	if (!s->pml4) {
		kfree(s);
		return NULL;
	}
	s->refs = 1;
	s->limit = UINT64_MAX;
	list_init(&s->vmas);
	return s;
}

void space_get(struct space *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
}

void space_put(struct space *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	space_unmap(s, 0, USER_END);
	pagetable_free(s->pml4, 3, 256); /* the kernel's half is shared */
	kfree(s);
}

void space_load(struct space *s)
{
	__atomic_store_n(&this_cpu()->space, s, __ATOMIC_SEQ_CST);
	write_cr3(virt_to_phys(s ? s->pml4 : kernel_pml4));
}

/* ---- pages ----------------------------------------------------------------------------------- */

static uint64_t pte_bits(const struct vma *v)
{
	return PTE_PRESENT | PTE_USER | (v->flags & VMA_WRITE ? PTE_WRITE : 0) |
	       (v->flags & VMA_EXEC ? 0 : PTE_NX);
}

/* A whole free large page for private anonymous memory, if the mapping covers one there. */
static bool map_large(struct space *s, const struct vma *v, uint64_t addr)
{
	uint64_t base = addr & ~(LARGE_SIZE - 1), phys;
	uint64_t *e;

	if (v->obj || base < v->start || base + LARGE_SIZE > v->end ||
	    s->resident + 512 > s->limit || !page_may_have(s->resident, 512))
		return false;
	e = pagetable_entry(s->pml4, base, 1, USER_TABLE);
	if (!e || *e)
		return false;
	phys = page_alloc_zero(9);
	if (!phys)
		return false;
	*e = phys | pte_bits(v) | PTE_LARGE;
	s->resident += 512;
	return true;
}

/* 0: without memory for one more page of its own. */
static uint64_t copy_page(const struct space *s, uint64_t phys)
{
	uint64_t copy = page_may_have(s->resident, 1) ? page_alloc(0) : 0;

	if (copy)
		memcpy(phys_to_virt(copy), phys_to_virt(phys), PAGE_SIZE);
	return copy;
}

static int map_new(struct space *s, const struct vma *v, uint64_t addr, uint64_t *e, bool write)
{
	bool shared = v->flags & VMA_SHARED;
	uint64_t bits = pte_bits(v), phys, copy;

	if (s->resident >= s->limit)
		return -ENOMEM;
	if (v->obj) { /* what is there costs nothing, so a program without memory can say so */
		uint64_t offset = v->offset + addr - v->start;

		/* Beyond the end of a file is SIGBUS. */
		if (offset >= page_up(v->obj->size))
			return -ENOMEM;
		phys = memobj_page(v->obj, offset, true);
		if (phys && !shared && write) {
			copy = copy_page(s, phys);
			page_put(phys);
			phys = copy;
		} else if (!shared) {
			bits &= ~PTE_WRITE;
		}
	} else {
		phys = page_may_have(s->resident, 1) ? page_alloc_zero(0) : 0;
	}
	if (!phys)
		return -ENOMEM;
	*e = phys | bits;
	s->resident++;
	return 0;
}

/* A write to a page that is there but read-only: ours alone, or time for a copy. */
static int make_writable(struct space *s, const struct vma *v, uint64_t addr, uint64_t *e)
{
	uint64_t phys = *e & PTE_ADDR, copy;

	if (!(v->flags & VMA_SHARED) && page_of(phys)->refs > 1) {
		copy = copy_page(s, phys);
		if (!copy)
			return -ENOMEM;
		space_notify(s, addr, addr + PAGE_SIZE);
		*e = copy | pte_bits(v);
		flush_space(s);
		page_put(phys);
		return 0;
	}
	*e |= PTE_WRITE;
	return 0;
}

static int fault_locked(struct space *s, uint64_t addr, enum fault_kind kind)
{
	static const unsigned need[] = {VMA_READ, VMA_WRITE, VMA_EXEC};
	const struct vma *v = vma_find(s, addr);
	uint64_t *e;

	addr &= PAGE_MASK;
	if (!v || !(v->flags & need[kind]))
		return -EFAULT;
	e = pagetable_entry(s->pml4, addr, 1, 0);
	if (e && *e & PTE_LARGE) {
		if (kind == FAULT_WRITE)
			*e |= PTE_WRITE; /* never shared: see space_copy() */
		return 0;
	}
	if (map_large(s, v, addr))
		return 0;
	e = pagetable_entry(s->pml4, addr, 0, USER_TABLE);
	if (!e)
		return -ENOMEM;
	if (!(*e & PTE_PRESENT))
		return map_new(s, v, addr, e, kind == FAULT_WRITE);
	if (kind == FAULT_WRITE && !(*e & PTE_WRITE))
		return make_writable(s, v, addr, e);
	return 0; /* another thread was faster */
}

int space_fault(struct space *s, uint64_t addr, enum fault_kind kind)
{
	SPIN_GUARD(&s->lock);
	int rc = fault_locked(s, addr, kind);

	if (!rc)
		invlpg(addr);
	return rc;
}

uint64_t space_page_locked(struct space *s, uint64_t addr, bool write, unsigned *order)
{
	int rc = fault_locked(s, addr, write ? FAULT_WRITE : FAULT_READ);

	return rc ? 0 : pagetable_page(s->pml4, addr, order);
}

/* ---- ranges of pages (vma.c calls these with the lock held) ---------------------------------- */

void space_notify(struct space *s, uint64_t start, uint64_t end)
{
	LIST_ITEMS(struct space_watcher, w, &s->watchers.link, link)
		w->gone(w, start, end);
}

/* A large page becomes 512 small ones, so that some of them can go or change. */
static bool split_large(uint64_t *e)
{
	uint64_t table = page_alloc(0), phys = *e & PTE_ADDR & ~(LARGE_SIZE - 1);
	uint64_t bits = *e & ~PTE_ADDR & ~PTE_LARGE;
	uint64_t *t = phys_to_virt(table);

	if (!table)
		return false;
	for (unsigned i = 0; i < 512; i++) {
		struct page *p = page_of(phys + i * PAGE_SIZE);

		p->refs = 1;
		p->order = 0;
		p->kind = PAGE_USED;
		t[i] = (phys + i * PAGE_SIZE) | bits;
	}
	*e = table | USER_TABLE;
	return true;
}

int space_each_page(struct space *s, uint64_t start, uint64_t end, page_fn *fn, void *opaque)
{
	for (uint64_t va = start; va < end;) {
		uint64_t next = MIN(pagetable_next(s->pml4, va), end);
		uint64_t *e = pagetable_entry(s->pml4, va, 1, 0);

		if (!e || !(*e & PTE_PRESENT)) {
			va = next;
			continue;
		}
		if (*e & PTE_LARGE) {
			if (next - va == LARGE_SIZE) {
				fn(s, e, 512, opaque);
				va = next;
				continue;
			}
			if (!split_large(e))
				return -ENOMEM;
		}
		for (; va < next; va += PAGE_SIZE) {
			e = pagetable_entry(s->pml4, va, 0, 0);
			if (*e & PTE_PRESENT)
				fn(s, e, 1, opaque);
		}
	}
	return 0;
}

/* ---- fork ------------------------------------------------------------------------------------ */

static int share_page(struct space *from, const struct vma *v, struct space *to, uint64_t va)
{
	uint64_t *e = pagetable_entry(from->pml4, va, 0, 0);
	uint64_t *copy;

	if (e && !(*e & PTE_PRESENT))
		return 0;
	copy = e ? pagetable_entry(to->pml4, va, 0, USER_TABLE) : NULL;
	if (!copy) /* or it is a large page, for whose small ones there is no table */
		return -ENOMEM;
	if (!(v->flags & VMA_SHARED))
		*e &= ~PTE_WRITE;
	page_get(*e & PTE_ADDR);
	*copy = *e;
	to->resident++;
	return 0;
}

static void count_split(struct space *s, uint64_t *e, unsigned n, void *opaque)
{
	if (n == 512)
		split_large(e);
}

static int copy_vma(struct space *from, struct vma *v, struct space *to)
{
	int rc = vma_insert_copy(to, v);

	space_each_page(from, v->start, v->end, count_split, NULL);
	for (uint64_t va = v->start, next; !rc && va < v->end; va = next) {
		uint64_t *e = pagetable_entry(from->pml4, va, 1, 0);

		next = e && *e ? va + PAGE_SIZE : pagetable_next(from->pml4, va);
		rc = e && *e ? share_page(from, v, to, va) : 0;
	}
	return rc;
}

struct space *space_copy(struct space *s)
{
	struct space *copy = space_new();
	int rc = 0;

	if (!copy)
		return NULL;
	LOCKED(&s->lock) {
		copy->brk_start = s->brk_start;
		copy->brk = s->brk;
		copy->limit = s->limit;
		LIST_ITEMS(struct vma, v, &s->vmas, link)
			rc = rc ? rc : copy_vma(s, v, copy);
		space_notify(s, 0, USER_END);
		flush_space(s);
	}
	if (rc) {
		space_put(copy);
		return NULL;
	}
	return copy;
}

int space_copy_bytes(struct space *s, uint64_t addr, void *buf, size_t n, bool write)
{
	SPIN_GUARD(&s->lock);

	for (size_t done = 0, part; done < n; done += part) {
		uint64_t in_page = (addr + done) & (PAGE_SIZE - 1);
		unsigned order;
		uint64_t page = space_page_locked(s, (addr + done) & PAGE_MASK, write, &order);
		char *there = (char *)phys_to_virt(page) + in_page, *here = (char *)buf + done;

		part = MIN(PAGE_SIZE - in_page, n - done);
		if (!page)
			return -ENOMEM;
		memcpy(write ? there : here, write ? here : there, part);
	}
	return 0;
}
