/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest-physical address space: a table in the format of ordinary page tables (AMD APM vol. 2,
 * 15.25), where EPT has its rights to read, write and execute as present, write and user (Intel SDM
 * vol. 3, 29.3.2), so that only its type of memory is special (hv_ops.page_bits). Filled by faults
 * from the owner's pages. It holds no references: when the owner's mapping goes, space_watcher
 * tells, and the page leaves this table and every TLB first.
 */
#include "kernel/cpu/apic.h"
#include "kernel/cpu/smp.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pagetable.h"
#include "kernel/mm/user.h"

#define NPT_PAGE (PTE_PRESENT | PTE_USER)
#define GPA_BITS 48

const struct hv_slot *vm_find_slot(struct hv_vm *vm, uint64_t gpa)
{
	return ARRAY_FIND(const struct hv_slot, s, vm->slot, vm->nslots,
			  gpa >= s->gpa && gpa - s->gpa < s->size);
}

/* ---- forgetting ------------------------------------------------------------------------------ */

/* Every vCPU leaves its guest, or has not entered it since, and flushes before it enters. */
static void flush_vcpus(struct hv_vm *vm)
{
	struct hv_vcpu *me = current_thread()->vcpu;

	VCPUS(v, vm)
		__atomic_store_n(&v->flush, true, __ATOMIC_SEQ_CST);
	VCPUS(v, vm) {
		if (v == me)
			continue;
		if (v->in_guest)
			vcpu_kick(v);
		while (__atomic_load_n(&v->in_guest, __ATOMIC_ACQUIRE))
			flush_poll();
	}
}

static bool zap(struct hv_vm *vm, uint64_t gpa, uint64_t end)
{
	bool any = false;

	for (uint64_t next; gpa < end; gpa = next) {
		uint64_t *e = pagetable_entry(vm->npt, gpa, 1, 0);

		/* A large page comes back in small ones where it is still there. */
		next = (gpa | (LARGE_SIZE - 1)) + 1;
		if (e && *e & PTE_PRESENT && !(*e & PTE_LARGE)) {
			e = pagetable_entry(vm->npt, gpa, 0, 0);
			next = gpa + PAGE_SIZE;
		}
		if (e && *e) {
			*e = 0;
			any = true;
		}
	}
	return any;
}

void npt_unmap(struct hv_vm *vm, uint64_t gpa, uint64_t len)
{
	if (zap(vm, gpa, gpa + len))
		flush_vcpus(vm);
}

static void memory_gone(struct space_watcher *w, uint64_t start, uint64_t end)
{
	struct hv_vm *vm = CONTAINER(w, struct hv_vm, watcher);

	for (unsigned i = 0; i < vm->nslots; i++) {
		const struct hv_slot *s = &vm->slot[i];
		uint64_t from = MAX(start, s->hva), to = MIN(end, s->hva + s->size);

		if (s->size && from < to)
			npt_unmap(vm, s->gpa + from - s->hva, to - from);
	}
}

int npt_init(struct hv_vm *vm)
{
	uint64_t phys = page_alloc_zero(0);

	if (!phys)
		return -ENOMEM;
	vm->npt = phys_to_virt(phys);
	vm->watcher.gone = memory_gone;
	SPIN_GUARD(&vm->space->lock);
	list_add_tail(&vm->space->watchers.link, &vm->watcher.link);
	return 0;
}

void npt_fini(struct hv_vm *vm)
{
	LOCKED(&vm->space->lock)
		list_del(&vm->watcher.link);
	if (vm->npt)
		pagetable_free(vm->npt, 3, 512);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* A large page needs the same alignment on both sides, and the whole of it in the slot. */
static bool can_be_large(const struct hv_slot *s, uint64_t gpa, uint64_t hva)
{
	uint64_t base = gpa & ~(LARGE_SIZE - 1);

	return !s->dirty && !((gpa ^ hva) & (LARGE_SIZE - 1)) && base >= s->gpa &&
	       base + LARGE_SIZE <= s->gpa + s->size;
}

static void mark_dirty(const struct hv_slot *s, uint64_t gpa)
{
	uint64_t page = (gpa - s->gpa) >> PAGE_SHIFT;

	if (s->dirty)
		s->dirty[page / 64] |= 1UL << page % 64;
}

static int enter(struct hv_vm *vm, const struct hv_slot *s, uint64_t gpa, uint64_t page, bool write,
		 bool large)
{
	bool writable = !(s->flags & KVM_MEM_READONLY) && (write || !s->dirty);
	uint64_t *e = pagetable_entry(vm->npt, gpa, large, USER_TABLE);

	if (large && (!e || (*e & PTE_PRESENT && !(*e & PTE_LARGE)))) /* small ones are there */
		return enter(vm, s, gpa, page, write, false);
	if (!e)
		return -ENOMEM;
	if (large)
		page &= ~(LARGE_SIZE - 1);
	*e = page | NPT_PAGE | vm->ops->page_bits | (writable ? PTE_WRITE : 0) |
	     (large ? PTE_LARGE : 0);
	if (write)
		mark_dirty(s, gpa);
	return 0;
}

int npt_fault(struct hv_vm *vm, uint64_t gpa, bool write)
{
	const struct hv_slot *s;
	uint64_t hva, page;
	unsigned order;
	bool readonly;
	SPIN_GUARD(&vm->space->lock);

	s = gpa >> GPA_BITS ? NULL : vm_find_slot(vm, gpa);
	if (!s || (write && s->flags & KVM_MEM_READONLY))
		return -ENOENT;
	readonly = s->flags & KVM_MEM_READONLY;
	gpa &= PAGE_MASK;
	hva = s->hva + gpa - s->gpa;
	/* A page that the guest may write must be the owner's own, not one it shares. */
	page = space_page_locked(vm->space, hva, !readonly, &order);
	if (!page)
		return -EFAULT;
	return enter(vm, s, gpa, page, write, order == 9 && can_be_large(s, gpa, hva));
}

/* ---- dirty pages ----------------------------------------------------------------------------- */

#define DIRTY_WORDS 64 /* of a log at a time */

/* Pages are told again when they are written again. */
static void protect(struct hv_vm *vm, uint64_t gpa, uint64_t bits)
{
	for (; bits; bits &= bits - 1) {
		uint64_t page = (uint64_t)__builtin_ctzl(bits);
		uint64_t *e = pagetable_entry(vm->npt, gpa + (page << PAGE_SHIFT), 0, 0);

		if (e)
			*e &= ~PTE_WRITE;
	}
}

/* Words of a slot's log, from the `first` on, to `bits`, or those bits out of it; how many words, 0
 * at its end. */
static uint64_t read_dirty(struct hv_vm *vm, const struct hv_slot *s, uint64_t first,
			   uint64_t *bits, bool remove)
{
	SPIN_GUARD(&vm->space->lock);
	uint64_t words = s->dirty ? ((s->size >> PAGE_SHIFT) + 63) / 64 : 0;
	uint64_t n = MIN(MAX(words, first) - first, DIRTY_WORDS);

	for (uint64_t w = 0; w < n; w++) {
		if (remove) {
			s->dirty[first + w] &= ~bits[w];
			protect(vm, s->gpa + ((first + w) << (PAGE_SHIFT + 6)), bits[w]);
		} else {
			bits[w] = s->dirty[first + w];
		}
	}
	return n;
}

/* Bits go when the owner has them. It reads pages later, so those that change meanwhile are told.
 */
int npt_get_dirty(struct hv_vm *vm, unsigned slot, uint64_t bitmap)
{
	uint64_t bits[DIRTY_WORDS] = {0}, first = 0, n;
	int rc = 0;

	while (!rc && (n = read_dirty(vm, &vm->slot[slot], first, bits, false))) {
		rc = copy_to_user(bitmap + first * 8, bits, n * 8);
		if (!rc)
			read_dirty(vm, &vm->slot[slot], first, bits, true);
		first += n;
	}
	flush_vcpus(vm);
	return rc;
}

/* ---- the kernel's own access ----------------------------------------------------------------- */

/* The page that the guest's table has there, or 0: the common case, without the owner's table. */
static uint64_t mapped_page(struct hv_vm *vm, uint64_t gpa)
{
	unsigned order;

	return gpa >> GPA_BITS ? 0 : pagetable_page(vm->npt, gpa, &order);
}

static uint64_t slot_page(struct hv_vm *vm, uint64_t gpa, bool write)
{
	const struct hv_slot *s = vm_find_slot(vm, gpa);
	unsigned order;

	if (!s || (write && s->flags & KVM_MEM_READONLY))
		return 0;
	if (write)
		mark_dirty(s, gpa);
	return space_page_locked(vm->space, (s->hva + gpa - s->gpa) & PAGE_MASK, write, &order);
}

static int guest_copy(struct hv_vm *vm, uint64_t gpa, char *buf, size_t n, bool write)
{
	size_t part;
	SPIN_GUARD(&vm->space->lock);

	for (; n; n -= part, gpa += part, buf += part) {
		uint64_t in_page = gpa & (PAGE_SIZE - 1), page = write ? 0 : mapped_page(vm, gpa);
		char *there;

		part = MIN(n, PAGE_SIZE - in_page);
		page = page ? page : slot_page(vm, gpa, write);
		if (!page)
			return -EFAULT;
		there = (char *)phys_to_virt(page) + in_page;
		memcpy(write ? there : buf, write ? buf : there, part);
	}
	return 0;
}

int guest_read(struct hv_vm *vm, uint64_t gpa, void *to, size_t n)
{
	return guest_copy(vm, gpa, to, n, false);
}

int guest_write(struct hv_vm *vm, uint64_t gpa, const void *from, size_t n)
{
	return guest_copy(vm, gpa, (void *)from, n, true);
}
