/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bytes of guest memory have been decoded or translated, and what happens when they change.
 *
 * A page with decoded bytes is a code page: no TLB of any vCPU has a write tag for it, so every
 * store to it comes here after the bytes have changed. One bit per byte tells code from data in the
 * same page. When all marked bytes of a page have been overwritten it is an ordinary page again.
 *
 * Order: a vCPU makes the page a code page on all vCPUs, and waits until they have dropped
 * their write tags; then, under code_lock, reads bytes and marks them. A store changes bytes,
 * then takes code_lock and looks at the marks. So either the decoder saw the new bytes or the store
 * sees the mark.
 */
#include "vmm/engine/bt/mmu.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/translate/translate.h"

#define BITS_PER_PAGE (BT_PAGE / 8) /* bytes of the bitmap */
#define MAX_HITS      8             /* stores to code of a page, then all of it is forgotten */

static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int bt_code_init(struct bt_vm *vm, struct err *e)
{
	const struct guest_memory *m = vm->cfg.mem;

	for (unsigned i = 0; i < m->nslots; i++) {
		const struct mem_slot *from = &m->slot[i];
		struct bt_slot *s = &vm->slot[vm->nslots];
		uint64_t pages = from->size / BT_PAGE;

		*s = (struct bt_slot){.gpa = from->gpa,
				      .size = from->size,
				      .host = from->host,
				      .readonly = from->readonly};
		s->page = reserve(pages * sizeof(struct bt_page));
		s->bits = reserve(pages * BITS_PER_PAGE);
		vm->nslots++;
		if (!s->page || !s->bits)
			return err_set(e, -ENOMEM, "no memory for the code map of %llu guest pages",
				       (unsigned long long)pages);
	}
	return 0;
}

void bt_code_fini(struct bt_vm *vm)
{
	for (unsigned i = 0; i < vm->nslots; i++) {
		struct bt_slot *s = &vm->slot[i];

		if (s->page)
			munmap(s->page, s->size / BT_PAGE * sizeof(struct bt_page));
		if (s->bits)
			munmap(s->bits, s->size / BT_PAGE * BITS_PER_PAGE);
	}
}

/* ---- telling the other vCPUs ----------------------------------------------------------------- */

/* With code_lock held. */
static void sync_locked(struct bt_vcpu *v)
{
	unsigned n = v->queued;

	if (n > BT_CODE_QUEUE) {
		bt_flush_all(v);
		bt_translate_flush(v);
	}
	for (unsigned i = 0; i < n && n <= BT_CODE_QUEUE; i++) {
		if (v->queue[i].len) {
			v->stat.killed_by_others++;
			bt_translate_invalidate(v, v->queue[i].gpa, v->queue[i].len);
		} else {
			bt_protect_page(v, v->queue[i].gpa);
		}
	}
	v->queued = 0;
	atomic_store(&v->queue_done, atomic_load(&v->queue_posted));
}

void bt_code_sync(struct bt_vcpu *v)
{
	bt_lock(&v->vm->code_lock);
	sync_locked(v);
	bt_unlock(&v->vm->code_lock);
}

/* With code_lock held. `len` 0: protect the page; else its bytes have changed. */
static uint32_t post(struct bt_vcpu *other, gpa_t gpa, unsigned len)
{
	if (other->queued < BT_CODE_QUEUE) {
		other->queue[other->queued].gpa = gpa;
		other->queue[other->queued].len = len;
	}
	if (other->queued <= BT_CODE_QUEUE)
		other->queued++;
	bt_post(other, BT_REQ_TLB);
	return atomic_fetch_add(&other->queue_posted, 1) + 1;
}

/* Until `other` has dropped the tag or is not running guest code (then it does so before it runs).
 * It may be waiting for this vCPU in the same way. */
static void wait_protected(struct bt_vcpu *v, struct bt_vcpu *other, uint32_t ticket)
{
	for (unsigned spins = 0;; spins++) {
		if ((int32_t)(atomic_load(&other->queue_done) - ticket) >= 0 ||
		    !atomic_load(&other->running))
			return;
		if (atomic_load(&v->requests) & BT_REQ_TLB)
			bt_code_sync(v);
		if (spins & 63)
			__builtin_ia32_pause();
		else
			bt_syscall(SYS_sched_yield, 0, 0, 0, 0);
	}
}

static void protect_everywhere(struct bt_vcpu *v, gpa_t page)
{
	struct bt_vm *vm = v->vm;
	uint32_t ticket[BT_MAX_VCPUS];

	bt_lock(&vm->code_lock);
	bt_protect_page(v, page);
	for (unsigned i = 0; i < vm->cfg.nvcpus; i++)
		if (vm->vcpu[i] && vm->vcpu[i] != v)
			ticket[i] = post(vm->vcpu[i], page, 0);
	bt_unlock(&vm->code_lock);
	for (unsigned i = 0; i < vm->cfg.nvcpus; i++)
		if (vm->vcpu[i] && vm->vcpu[i] != v)
			wait_protected(v, vm->vcpu[i], ticket[i]);
}

struct bt_page *bt_code_begin(struct bt_vcpu *v, gpa_t gpa)
{
	struct bt_slot *s = bt_slot_find(v->vm, gpa);
	struct bt_page *page;

	if (!s)
		return NULL;
	page = bt_slot_page(s, gpa);
	for (;;) {
		if (!s->readonly && !atomic_exchange(&page->is_code, 1))
			protect_everywhere(v, gpa & BT_PAGE_MASK);
		bt_lock(&v->vm->code_lock);
		if (s->readonly || atomic_load(&page->is_code))
			return page;
		bt_unlock(&v->vm->code_lock);
	}
}

void bt_code_end(struct bt_vcpu *v)
{
	bt_unlock(&v->vm->code_lock);
}

/*
 * A slot's address changed while no vCPU runs guest code. Each forgets every address it knows
 * before its next instruction, as if its queue had run over.
 */
void bt_code_moved(struct bt_vm *vm, unsigned slot)
{
	bt_lock(&vm->code_lock);
	vm->slot[slot].gpa = vm->cfg.mem->slot[slot].gpa;
	for (unsigned i = 0; i < vm->cfg.nvcpus; i++) {
		struct bt_vcpu *v = vm->vcpu[i];

		if (!v)
			continue;
		v->queued = BT_CODE_QUEUE + 1;
		post(v, 0, 0);
	}
	bt_unlock(&vm->code_lock);
}

/* ---- the marks ------------------------------------------------------------------------------- */

/* The byte of the map with the bit of `gpa`. */
static uint8_t *bits_at(struct bt_slot *s, gpa_t gpa)
{
	return s->bits + (gpa - s->gpa) / 8;
}

/* The bits of a range in the byte of the map where it begins; moves its start behind them. */
static uint8_t next_bits(gpa_t *gpa, unsigned *len)
{
	unsigned first = *gpa & 7, n = 8 - first < *len ? 8 - first : *len;

	*gpa += n;
	*len -= n;
	return (uint8_t)(((1u << n) - 1) << first);
}

void bt_code_mark(struct bt_vm *vm, gpa_t gpa, unsigned len)
{
	struct bt_slot *s = bt_slot_find(vm, gpa);

	while (len) {
		uint8_t *b = bits_at(s, gpa);

		*b |= next_bits(&gpa, &len);
	}
}

/* Clears the marks of a range inside one page; true if there were any. */
static bool unmark(struct bt_slot *s, gpa_t gpa, unsigned len)
{
	bool any = false;

	while (len) {
		uint8_t *b = bits_at(s, gpa), mask = next_bits(&gpa, &len);

		any |= (*b & mask) != 0;
		*b &= (uint8_t)~mask;
	}
	return any;
}

bool bt_code_is_data(struct bt_vm *vm, gpa_t gpa, unsigned len)
{
	struct bt_slot *s = bt_slot_find(vm, gpa);

	if (!s || s->readonly || vm->cfg.nvcpus > 1)
		return false;
	while (len) {
		const uint8_t *b = bits_at(s, gpa);

		if (*b & next_bits(&gpa, &len))
			return false;
	}
	return true;
}

static bool is_unmarked(struct bt_slot *s, gpa_t gpa)
{
	const uint64_t *word = (const uint64_t *)bits_at(s, gpa & BT_PAGE_MASK);

	for (unsigned i = 0; i < BITS_PER_PAGE / 8; i++)
		if (word[i])
			return false;
	return true;
}

/* A range inside one page has changed; `v` is the vCPU that did it, NULL for a device. */
static void page_written(struct bt_vm *vm, struct bt_vcpu *v, struct bt_slot *s, gpa_t gpa,
			 unsigned len)
{
	struct bt_page *page = bt_slot_page(s, gpa);
	uint16_t at = gpa & (BT_PAGE - 1);
	bool hit, again;

	if (!atomic_load(&page->is_code))
		return;
	bt_lock(&vm->code_lock);
	hit = unmark(s, gpa, len);
	again = hit && page->last_hit == at;
	if (hit && !again && ++page->hits >= MAX_HITS) {
		/* Somebody writes a new program over the old one: no need to hear of each byte. */
		gpa &= BT_PAGE_MASK;
		len = BT_PAGE;
		unmark(s, gpa, len);
		page->hits = 0;
	}
	if (hit) {
		page->last_hit = at;
		atomic_fetch_add(&page->version, 1);
		if (is_unmarked(s, gpa))
			atomic_store(&page->is_code, 0);
		for (unsigned i = 0; i < vm->cfg.nvcpus && vm->tier != BT_TIER_INTERP; i++)
			if (vm->vcpu[i] && vm->vcpu[i] != v)
				post(vm->vcpu[i], gpa, len);
	}
	bt_unlock(&vm->code_lock);
	if (!hit || !v)
		return;
	v->stat.killed_by_store++;
	if (vm->tier == BT_TIER_INTERP)
		return;
	if (again)
		bt_translate_cool(v, gpa, len);
	bt_translate_invalidate(v, gpa, len);
}

static void range_written(struct bt_vm *vm, struct bt_vcpu *v, gpa_t gpa, uint64_t len)
{
	while (len) {
		struct bt_slot *s = bt_slot_find(vm, gpa);
		uint64_t n = BT_PAGE - (gpa & (BT_PAGE - 1));

		if (n > len)
			n = len;
		if (s)
			page_written(vm, v, s, gpa, (unsigned)n);
		gpa += n;
		len -= n;
	}
}

void bt_code_written(struct bt_vcpu *v, gpa_t gpa, unsigned len)
{
	range_written(v->vm, v, gpa, len);
}

void bt_code_dma(void *opaque, gpa_t gpa, uint64_t len)
{
	struct bt_vm *vm = opaque;

	if (vm->lockstep)
		bt_lockstep_dma(vm, gpa, len);
	range_written(vm, NULL, gpa, len);
}
