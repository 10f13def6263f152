/* SPDX-License-Identifier: Apache-2.0 */
/* mmap() and its relatives. */
#include "kernel/mm/vma.h"

#include "kernel/cpu/smp.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pagetable.h"

#define MMAP_TOP  0x00007ffff0000000UL
#define BRK_LIMIT (1UL << 30)

static struct vma *to_vma(struct list *l)
{
	return CONTAINER(l, struct vma, link);
}

struct vma *vma_find(struct space *s, uint64_t addr)
{
	struct vma *found = LIST_FIND(struct vma, v, &s->vmas, link, addr < v->end);

	return found && addr >= found->start ? found : NULL;
}

static void insert(struct space *s, struct vma *v)
{
	struct list *at = list_first(&s->vmas);

	while (at != &s->vmas && to_vma(at)->start < v->start)
		at = at->next;
	list_add_tail(at, &v->link); /* in front of `at` */
}

static struct vma *copy_of(const struct vma *v)
{
	struct vma *copy = kzalloc(sizeof(*copy));

	if (copy)
		*copy = *v;
	if (copy && copy->obj)
		memobj_get(copy->obj);
	return copy;
}

int vma_insert_copy(struct space *to, const struct vma *v)
{
	struct vma *copy = copy_of(v);

	if (copy)
		insert(to, copy);
	return copy ? 0 : -ENOMEM;
}

static void free_vma(struct vma *v)
{
	list_del(&v->link);
	memobj_put(v->obj);
	kfree(v);
}

/* Cuts the mapping that covers `addr` in two there. */
static int split_at(struct space *s, uint64_t addr)
{
	struct vma *v = vma_find(s, addr), *right;

	if (!v || v->start == addr)
		return 0;
	right = copy_of(v);
	if (!right)
		return -ENOMEM;
	right->start = addr;
	right->offset += addr - v->start;
	v->end = addr;
	list_add_tail(v->link.next, &right->link);
	return 0;
}

static int isolate(struct space *s, uint64_t start, uint64_t end)
{
	int rc = split_at(s, start);

	return rc ? rc : split_at(s, end);
}

static bool is_free(struct space *s, uint64_t start, uint64_t end)
{
	return !LIST_FIND(struct vma, v, &s->vmas, link, start < v->end && end > v->start);
}

/* The highest gap below MMAP_TOP; large mappings are aligned so that large pages fit. */
static uint64_t find_gap(struct space *s, uint64_t len)
{
	uint64_t align = len >= LARGE_SIZE ? LARGE_SIZE : PAGE_SIZE;
	uint64_t top = MMAP_TOP;

	for (struct list *l = s->vmas.prev;; l = l->prev) {
		uint64_t floor = l == &s->vmas ? USER_START : to_vma(l)->end;
		uint64_t at = top >= len ? (top - len) & ~(align - 1) : 0;

		if (floor < top && at >= floor)
			return at;
		if (l == &s->vmas)
			return 0;
		top = MIN(top, to_vma(l)->start);
	}
}

/* ---- removal --------------------------------------------------------------------------------- */

/* Pages may only be freed when no CPU can reach them, so a batch is taken out, flushed, then freed.
 */
#define BATCH 256

struct batch {
	uint64_t phys[BATCH];
	unsigned n;
};

static void free_batch(struct space *s, struct batch *b)
{
	if (!b->n)
		return;
	flush_space(s);
	for (unsigned i = 0; i < b->n; i++)
		page_put(b->phys[i]);
	b->n = 0;
}

static void take_page(struct space *s, uint64_t *e, unsigned n, void *opaque)
{
	struct batch *b = opaque;

	b->phys[b->n++] = *e & PTE_ADDR;
	*e = 0;
	s->resident -= n;
	if (b->n == BATCH)
		free_batch(s, b);
}

static int drop_pages(struct space *s, uint64_t start, uint64_t end)
{
	struct batch b = {.n = 0};
	int rc;

	space_notify(s, start, end);
	rc = space_each_page(s, start, end, take_page, &b);
	free_batch(s, &b);
	return rc;
}

static int unmap_locked(struct space *s, uint64_t start, uint64_t end)
{
	int rc = isolate(s, start, end);

	LIST_ITEMS_SAFE(struct vma, v, &s->vmas, link) {
		if (rc || v->start < start || v->end > end)
			continue;
		rc = drop_pages(s, v->start, v->end);
		if (!rc) /* else a large page could not be cut, and stays mapped */
			free_vma(v);
	}
	return rc;
}

static bool bad_range(uint64_t addr, uint64_t len)
{
	return addr & ~PAGE_MASK || addr + len < addr || addr + len > USER_END;
}

int space_unmap(struct space *s, uint64_t addr, uint64_t len)
{
	len = page_up(len);
	if (bad_range(addr, len) || !len)
		return -EINVAL;
	SPIN_GUARD(&s->lock);
	return unmap_locked(s, addr, addr + len);
}

int space_forget(struct space *s, uint64_t addr, uint64_t len)
{
	len = page_up(len);
	if (bad_range(addr, len))
		return -EINVAL;
	SPIN_GUARD(&s->lock);
	return drop_pages(s, addr, addr + len);
}

/* ---- mapping --------------------------------------------------------------------------------- */

static int64_t map_locked(struct space *s, struct vma *v, uint64_t len, bool fixed)
{
	int rc = 0;

	if (fixed)
		rc = unmap_locked(s, v->start, v->start + len);
	else if (!v->start || v->start < USER_START || !is_free(s, v->start, v->start + len))
		v->start = find_gap(s, len);
	if (rc)
		return rc;
	if (!v->start)
		return -ENOMEM;
	v->end = v->start + len;
	insert(s, v);
	return (int64_t)v->start;
}

int64_t space_map(struct space *s, uint64_t addr, uint64_t len, unsigned flags, struct memobj *obj,
		  uint64_t offset, bool fixed)
{
	const struct vma wanted = {.start = addr, .flags = flags, .obj = obj, .offset = offset};
	struct vma *v;
	int64_t rc;

	len = page_up(len);
	if (!len || bad_range(addr, len) || (fixed && addr < USER_START))
		return len > USER_END ? -ENOMEM : -EINVAL;
	v = copy_of(&wanted);
	if (!v)
		return -ENOMEM;
	LOCKED(&s->lock)
		rc = map_locked(s, v, len, fixed);
	if (rc < 0) {
		memobj_put(v->obj);
		kfree(v);
	}
	return rc;
}

static void protect_page(struct space *s, uint64_t *e, unsigned n, void *opaque)
{
	const struct vma *v = opaque;
	uint64_t bits = *e & ~(PTE_WRITE | PTE_NX | PTE_USER);

	/* Writing is granted again by a fault, which knows about shared pages. */
	*e = bits | (v->flags & VMA_EXEC ? 0 : PTE_NX) | (v->flags & 7 ? PTE_USER : 0);
}

int space_protect(struct space *s, uint64_t addr, uint64_t len, unsigned prot)
{
	uint64_t covered = 0;
	int rc;

	len = page_up(len);
	if (bad_range(addr, len))
		return -EINVAL;
	SPIN_GUARD(&s->lock);
	rc = isolate(s, addr, addr + len);
	space_notify(s, addr, addr + len);
	LIST_ITEMS(struct vma, v, &s->vmas, link) {
		if (rc || v->start < addr || v->end > addr + len)
			continue;
		rc = prot & VMA_WRITE && v->flags & VMA_SEALED ? -EACCES : 0;
		if (rc)
			break;
		v->flags = (v->flags & ~7u) | prot;
		covered += v->end - v->start;
		rc = space_each_page(s, v->start, v->end, protect_page, v);
	}
	flush_space(s);
	return rc ? rc : covered == len ? 0 : -ENOMEM;
}

int64_t space_brk(struct space *s, uint64_t addr)
{
	uint64_t old = page_up(s->brk);
	uint64_t new = page_up(addr);

	if (addr < s->brk_start || addr > s->brk_start + BRK_LIMIT)
		return (int64_t)s->brk;
	if (new > old) {
		bool free;

		LOCKED(&s->lock)
			free = is_free(s, old, new);
		if (!free || space_map(s, old, new - old, VMA_READ | VMA_WRITE, NULL, 0, true) < 0)
			return (int64_t)s->brk;
	} else if (new < old && space_unmap(s, new, old - new)) {
		return (int64_t)s->brk;
	}
	s->brk = addr;
	return (int64_t)addr;
}
