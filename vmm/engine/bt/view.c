/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: one TLB and jump cache for each address space and privilege that was used lately, so that
 * a system call or a context switch with PCIDs flushes nothing; and the mode word that the current
 * view and the translator's blocks depend on.
 */
#include "vmm/engine/bt/debug.h"
#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/mmu.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "vmm/engine/bt/translate/translate.h"

#define REGION_SHIFT 30
#define JC_BYTES     (BT_JC_LEVELS * sizeof(struct bt_jc))
#define VIEW_SIZE    (sizeof(struct bt_tlb) + JC_BYTES + sizeof(struct bt_code_pages))

void bt_jc_drop(struct bt_view *view, unsigned level, unsigned i)
{
	view->jc[level].va[i] = BT_JC_NONE(level, i);
	view->jc[level].code[i] = view->jc_none;
}

static void clear_level(struct bt_view *view, unsigned level)
{
	uint64_t *used = &view->jc_used[level];

	for (; *used; *used &= *used - 1) {
		unsigned first = (unsigned)__builtin_ctzll(*used) * (BT_JC_SIZE / 64);

		for (unsigned i = first; i < first + BT_JC_SIZE / 64; i++)
			bt_jc_drop(view, level, i);
	}
}

void bt_jc_clear(struct bt_vcpu *v, struct bt_view *view)
{
	bt_translate_unlink(v, view);
	for (unsigned level = 0; level < BT_JC_LEVELS; level++)
		clear_level(view, level);
	memset(view->jc_pages, 0, sizeof(view->jc_pages));
	bt_code_pages_clear(view);
}

/* The entry after `i` of a level of the jump cache, past parts that are empty. */
static unsigned jc_next(uint64_t used, unsigned i)
{
	const unsigned part = BT_JC_SIZE / 64;

	for (i++; i % part == 0 && i < BT_JC_SIZE && !(used >> (i / part) & 1); i += part)
		;
	return i;
}

void bt_jc_clear_direct(struct bt_view *view)
{
	const uint64_t *va = view->jc[0].va;

	for (unsigned i = 0; i < BT_JC_SIZE; i = jc_next(view->jc_used[0], i))
		if (BT_JC_DIRECT(va[i]) == i)
			bt_jc_drop(view, 0, i);
}

static void drop_entry(struct bt_tlb *tlb, unsigned i)
{
	tlb->read[i].tag = tlb->write[i].tag = BT_TLB_NONE(i);
	tlb->more[i].exec = tlb->more[i].code = BT_TLB_NONE(i);
}

/* The next index whose empty entry is not zero. */
static unsigned next_odd(unsigned i)
{
	if (i + 1 < BT_TLB_SMALL - 16)
		return BT_TLB_SMALL - 16;
	return i + 1 == BT_TLB_SMALL ? BT_TLB_SIZE - 16 : i + 1;
}

static void tlb_clear(struct bt_view *view)
{
	for (unsigned i = bt_set_from(&view->used, 0); i < BT_TLB_SIZE;
	     i = bt_set_from(&view->used, i + 1))
		drop_entry(view->tlb, i);
	bt_set_clear(&view->used);
	bt_set_clear(&view->local);
}

/* Of a view that was emptied: few entries again, and the memory of the many goes back. */
static void tlb_shrink(struct bt_view *view)
{
	struct bt_tlb *tlb = view->tlb;

	if (view->mask == BT_TLB_SMALL - 1)
		return;
	view->mask = BT_TLB_SMALL - 1;
	view->stays_small = bt_syscall(SYS_madvise, (long)tlb, offsetof(struct bt_tlb, chase),
				       MADV_REMOVE, 0) < 0;
	for (unsigned i = 0; i < BT_TLB_SIZE; i = next_odd(i))
		drop_entry(tlb, i);
}

void bt_tlb_grow(struct bt_vcpu *v)
{
	struct bt_view *view = v->view;

	if (view->displaced < BT_TLB_PATIENCE || view->mask == BT_TLB_SIZE - 1 || view->stays_small)
		return;
	view->mask = BT_TLB_SIZE - 1;
	v->tlb_mask = (uint64_t)view->mask << BT_TLB_ENTRY_SHIFT;
}

/* Entries of the current view go, or others come: the copy of one may no longer be. */
static void stack_forget(struct bt_vcpu *v)
{
	v->stack = BT_STACK_NONE;
}

static void stack_forget_at(struct bt_vcpu *v, unsigned i)
{
	if (bt_tlb_index(v->view, 0 - v->stack.tag) == i)
		stack_forget(v);
}

static void thread_forget(struct bt_vcpu *v, struct bt_view *view)
{
	view->thread.host = v->thread_host = 0;
}

static void thread_forget_page(struct bt_vcpu *v, struct bt_view *view, gva_t gva)
{
	if (!((view->thread.base ^ gva) & BT_PAGE_MASK))
		thread_forget(v, view);
}

static void clear_translations(struct bt_vcpu *v, struct bt_view *view)
{
	stack_forget(v);
	thread_forget(v, view);
	tlb_clear(view);
	view->local_code = false;
	view->stale = false;
	view->nlarge = 0;
	view->large_regions = false;
	view->displaced = 0;
}

static void view_clear(struct bt_vcpu *v, struct bt_view *view)
{
	clear_translations(v, view);
	bt_jc_clear(v, view);
}

/* The current one, before it is used again. */
static void view_refresh(struct bt_vcpu *v)
{
	clear_translations(v, v->view);
	if (bt_code_pages_hold(v))
		v->view->local_code = true; /* none is global */
	else
		bt_jc_clear(v, v->view);
}

int bt_views_init(struct bt_vcpu *v, struct err *e)
{
	for (unsigned i = 0; i < BT_NVIEWS; i++) {
		struct bt_view *view = &v->views[i];
		uint8_t *p = bt_reserve("baton-tlb", VIEW_SIZE);

		if (!p)
			return err_set(e, -errno, "mapping a vCPU's translation cache: %s",
				       strerror(errno));
		view->tlb = (struct bt_tlb *)p;
		view->gs = view->tlb->read;
		view->mask = BT_TLB_SMALL - 1;
		view->jc = (struct bt_jc *)(p + sizeof(struct bt_tlb));
		view->pages = (struct bt_code_pages *)(p + sizeof(struct bt_tlb) + JC_BYTES);
		/* Zeros are not empty there. */
		view->jc_used[0] = view->jc_used[1] = UINT64_MAX;
		for (unsigned n = 0; n < BT_TLB_SIZE; n = next_odd(n))
			bt_set_add(&view->used, n);
	}
	return 0;
}

void bt_views_fini(struct bt_vcpu *v)
{
	for (unsigned i = 0; i < BT_NVIEWS; i++)
		bt_release(v->views[i].tlb, VIEW_SIZE);
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* Makes the view of `key`, which fits the state of paging, current. */
static void view_enter(struct bt_vcpu *v, const struct bt_view_key *key)
{
	struct bt_view *view, *oldest = &v->views[0];

	for (view = v->views; view < v->views + BT_NVIEWS; view++) {
		if (view->in_use && view->key.cr3 == key->cr3 && view->key.mode == key->mode)
			goto found;
		if (!view->in_use || (oldest->in_use && view->last_used < oldest->last_used))
			oldest = view;
	}
	view = oldest;
	view->key = *key;
	view->in_use = true;
	view_clear(v, view);
	tlb_shrink(view);
	v->stat.view_misses++;
found:
	view->last_used = ++v->view_clock;
	v->view = view;
	if (view->stale)
		view_refresh(v);
}

static struct bt_view_key current_key(const struct bt_vcpu *v)
{
	struct bt_view_key key = {0};
	bool align = v->cpl == 3 && (v->cr0 & CR0_AM) && (v->rflags & FL_AC);

	if (!(v->cr0 & CR0_PG)) {
		key.mode = BT_PAGING_NONE | (align ? BT_VIEW_ALIGN : 0);
		return key;
	}
	if (v->efer & EFER_LMA)
		key.mode = BT_PAGING_LONG;
	else
		key.mode = v->cr4 & CR4_PAE ? BT_PAGING_PAE : BT_PAGING_32;
	key.cr3 = v->cr4 & CR4_PCIDE ? v->cr3 : v->cr3 & ~0x1full;
	if (v->cr0 & CR0_WP)
		key.mode |= BT_VIEW_WP;
	if ((v->efer & EFER_NXE) && (v->cr4 & CR4_PAE))
		key.mode |= BT_VIEW_NXE;
	if (v->cr4 & CR4_SMEP)
		key.mode |= BT_VIEW_SMEP;
	if (v->cr4 & CR4_SMAP)
		key.mode |= BT_VIEW_SMAP;
	if (v->cpl == 3)
		key.mode |= BT_VIEW_USER | (align ? BT_VIEW_ALIGN : 0);
	else if ((v->cr4 & CR4_SMAP) && (v->rflags & FL_AC))
		key.mode |= BT_VIEW_AC;
	return key;
}

void bt_view_select(struct bt_vcpu *v)
{
	struct bt_view_key key = current_key(v);

	if (v->view && !v->view->stale && v->view->key.cr3 == key.cr3 &&
	    v->view->key.mode == key.mode)
		return;
	view_enter(v, &key);
	v->stat.view_switches++;
}

struct bt_view *bt_view_supervisor(struct bt_vcpu *v)
{
	struct bt_view *own = v->view;
	struct bt_view_key key = own->key;

	key.mode &= ~(BT_VIEW_USER | BT_VIEW_AC | BT_VIEW_ALIGN);
	if (key.mode != own->key.mode)
		view_enter(v, &key);
	return own;
}

/* ---- the mode word --------------------------------------------------------------------------- */

static bool is_flat_segment(const struct x86_segment *s, bool code)
{
	uint32_t want =
		code ? 0x9a : 0x92; /* present, not system, readable code or writable data */

	return s->base == 0 && s->limit == 0xffffffff && (s->attr & 0x9a) == want &&
	       !(s->attr & X86_ATTR_UNUSABLE) && (code || !(s->attr & 4));
}

static bool is_flat(const struct bt_vcpu *v)
{
	return is_flat_segment(&v->seg[X86_CS], true) && is_flat_segment(&v->seg[X86_SS], false) &&
	       is_flat_segment(&v->seg[X86_DS], false) && is_flat_segment(&v->seg[X86_ES], false);
}

/* Only data that grows upwards, and may be written, is for translated code. */
static void note_limit(struct bt_vcpu *v, unsigned seg)
{
	const struct x86_segment *s = &v->seg[seg];
	bool plain = (s->attr & 0x9e) == 0x92 && !(s->attr & X86_ATTR_UNUSABLE);

	v->beyond[seg] = plain ? 0 - ((uint64_t)s->limit + 1) : 0;
}

static uint32_t segment_mode(const struct bt_vcpu *v)
{
	uint32_t mode = 0;

	if ((v->efer & EFER_LMA) && (v->seg[X86_CS].attr & X86_ATTR_L))
		return BT_MODE_CODE64 | BT_MODE_STACK64 | BT_MODE_FLAT;
	if (v->seg[X86_CS].attr & X86_ATTR_DB)
		mode |= BT_MODE_CODE32;
	if (v->seg[X86_SS].attr & X86_ATTR_DB)
		mode |= BT_MODE_STACK32;
	return is_flat(v) ? mode | BT_MODE_FLAT : mode;
}

static uint8_t current_cpl(const struct bt_vcpu *v)
{
	if (!(v->cr0 & CR0_PE))
		return 0;
	return v->rflags & FL_VM ? 3 : X86_ATTR_DPL(v->seg[X86_SS].attr);
}

void bt_mode_changed(struct bt_vcpu *v)
{
	uint32_t mode = segment_mode(v);

	if (!(mode & BT_MODE_CODE64)) {
		note_limit(v, X86_FS);
		note_limit(v, X86_GS);
	}
	v->cpl = current_cpl(v);
	if (v->cpl == 3)
		mode |= BT_MODE_USER;
	if (v->cr0 & CR0_PE)
		mode |= BT_MODE_PE;
	if ((v->cr0 & CR0_PE) && (v->rflags & FL_VM))
		mode |= BT_MODE_V86;
	if (v->cr0 & (CR0_TS | CR0_EM))
		mode |= BT_MODE_NOFPU;
	if (!(v->cr4 & CR4_OSFXSR))
		mode |= BT_MODE_NOSSE;
	if (!(v->cr4 & CR4_OSXSAVE) || (v->xcr0 & 6) != 6)
		mode |= BT_MODE_NOAVX;
	if (!(v->cr4 & CR4_OSXSAVE) || (v->xcr0 & 0xe6) != 0xe6)
		mode |= BT_MODE_NO512;
	if ((v->rflags & FL_TF) || bt_is_stepping(v))
		mode |= BT_MODE_STEP;
	if (v->dr[7] & 0xff)
		mode |= BT_MODE_POINTS;
	if (v->debug && v->debug->ncode)
		mode |= BT_MODE_DEBUG;
	v->mode = mode;
	bt_view_select(v);
}

/* ---- the TLB --------------------------------------------------------------------------------- */

static void note_large(struct bt_view *view, gva_t gva, unsigned shift)
{
	unsigned i;

	for (i = 0; i < view->nlarge && i < BT_NLARGE; i++)
		if (view->large[i].number == gva >> REGION_SHIFT)
			break;
	if (i == BT_NLARGE)
		view->nlarge = BT_NLARGE + 1;
	if (i >= view->nlarge && i < BT_NLARGE) {
		view->large[i].number = gva >> REGION_SHIFT;
		view->large[i].is_page = false;
		view->nlarge++;
	}
	if (i < BT_NLARGE)
		view->large[i].is_page |= shift == REGION_SHIFT;
	view->large_regions |= shift == REGION_SHIFT;
}

/* The bits of an address that tell which large page it may be part of, 0: of none. */
static uint64_t large_mask(const struct bt_view *view, gva_t gva)
{
	const uint64_t region = ~((1ull << REGION_SHIFT) - 1),
		       directory = ~0x3fffffull; /* or 2 MiB */

	if (view->nlarge > BT_NLARGE)
		return view->large_regions ? region : directory;
	for (unsigned i = 0; i < view->nlarge; i++)
		if (view->large[i].number == gva >> REGION_SHIFT)
			return view->large[i].is_page ? region : directory;
	return 0;
}

/* Local pages become executable only by being executed: `local_code` is seldom set in a kernel. */
static void note_local(struct bt_view *view, unsigned i, const struct bt_walk *w)
{
	if (w->global) {
		if (view->tlb->write[i].tag == view->tlb->read[i].tag)
			bt_set_remove(&view->local, i);
		return;
	}
	bt_set_add(&view->local, i);
	view->local_code |= view->tlb->more[i].exec != BT_TLB_NONE(i);
}

void bt_tlb_note_code(struct bt_vcpu *v, gva_t gva, const struct bt_walk *w)
{
	v->view->local_code |= !w->global;
	if (w->shift > 12)
		note_large(v->view, gva, w->shift);
}

/* Another page's entry stays when this one is only read. */
static void fill_write(struct bt_vcpu *v, gva_t gva, enum bt_access a, const struct bt_walk *w,
		       struct bt_slot *slot, unsigned i)
{
	struct bt_tlb *tlb = v->view->tlb;
	uint64_t tag = BT_TLB_TAG(gva);
	struct bt_tlb_page *page = &tlb->write[i];
	bool writes = a == BT_WRITE || a == BT_RMW;

	if (!writes && page->tag != tag && page->tag != BT_TLB_NONE(i))
		return;
	page->tag = tlb->more[i].code = BT_TLB_NONE(i);
	page->addend = tlb->read[i].addend;
	tlb->more[i].write_host = tlb->more[i].read_host;
	if (!w->dirty || slot->readonly || !bt_walk_permits(v, w, BT_WRITE))
		return;
	if (atomic_load(&bt_slot_page(slot, w->gpa)->is_code)) {
		tlb->more[i].code = tag;
		return;
	}
	page->tag = tag;
	bt_places_note(v, slot, w->gpa, i);
}

bool bt_tlb_fill_at(struct bt_vcpu *v, gva_t gva, enum bt_access a, unsigned i)
{
	struct bt_view *view = v->view;
	gva_t page = gva & BT_PAGE_MASK;
	struct bt_tlb *tlb = view->tlb;
	uint64_t none = BT_TLB_NONE(i), tag = BT_TLB_TAG(gva);
	bool is_code = tlb->more[i].exec == tag;
	struct bt_walk w;
	struct bt_slot *slot;

	v->stat.tlb_misses++;
	stack_forget_at(v, i);
	thread_forget_page(v, view, gva);
	if (!bt_walk(v, page | (gva & 0xfff), a, &w))
		return false;
	v->fault.vector = BT_NO_FAULT;
	slot = bt_slot_find(v->vm, w.gpa);
	if (!slot || (view->key.mode & BT_VIEW_ALIGN) || bt_is_watched(v, page)) {
		if (tlb->read[i].tag == tag || tlb->write[i].tag == tag || is_code)
			drop_entry(tlb, i);
		return true;
	}
	bt_set_add(&view->used, i);
	view->displaced += tlb->read[i].tag != tag && tlb->read[i].tag != none;
	tlb->more[i].read_host = (uint64_t)(slot->host + (w.gpa - slot->gpa));
	tlb->read[i].addend = tlb->more[i].read_host - page;
	tlb->read[i].tag = bt_walk_permits(v, &w, BT_READ) ? tag : none;
	tlb->more[i].exec = none;
	if ((is_code || a == BT_EXEC || w.global) && bt_walk_permits(v, &w, BT_EXEC))
		tlb->more[i].exec = tag;
	if (bt_is_twin(v)) /* which notes what it writes, in the slow path */
		tlb->write[i].tag = none;
	else
		fill_write(v, gva, a, &w, slot, i);
	note_local(view, i, &w);
	if (w.shift > 12)
		note_large(view, page, w.shift);
	return true;
}

bool bt_tlb_fill(struct bt_vcpu *v, gva_t gva, enum bt_access a)
{
	return bt_tlb_fill_at(v, gva, a, bt_tlb_index(v->view, gva));
}

/* Is a tag's page in the region of `gva`, whose number is in the bits of `region`? */
static bool is_tag_in(uint64_t tag, gva_t gva, uint64_t region)
{
	return !(((0 - tag) ^ gva) & region);
}

static void drop_range(struct bt_view *view, gva_t gva, uint64_t region, unsigned mask)
{
	const struct bt_tlb *tlb = view->tlb;
	unsigned first = (unsigned)((gva & region) >> 12) & mask;
	uint64_t end = first + (~region >> 12) + 1;

	for (unsigned i = bt_set_from(&view->used, first); i < end && i <= mask;
	     i = bt_set_from(&view->used, i + 1))
		if (is_tag_in(tlb->read[i].tag, gva, region) ||
		    is_tag_in(tlb->write[i].tag, gva, region) ||
		    is_tag_in(tlb->more[i].exec, gva, region) ||
		    is_tag_in(tlb->more[i].code, gva, region))
			drop_entry(view->tlb, i);
}

/* A large page may have left many entries; INVLPG of any of its addresses drops them all. */
static void drop_large(struct bt_view *view, gva_t gva, uint64_t region)
{
	drop_range(view, gva, region, BT_TLB_SMALL - 1);
	if (view->mask != BT_TLB_SMALL - 1)
		drop_range(view, gva, region, view->mask);
}

/* true: there is code of other pages with this page's bit in `jc_pages`. */
static bool drop_code_of(struct bt_view *view, unsigned level, gva_t gva)
{
	const uint64_t used = view->jc_used[level];
	unsigned page = BT_JC_PAGE(gva);
	bool shared = false;

	for (unsigned i = 0; i < BT_JC_SIZE; i = jc_next(used, i)) {
		uint64_t va = view->jc[level].va[i], end = va + X86_MAX_INSN_LEN - 1;

		if (va == BT_JC_NONE(level, i))
			continue;
		if (!((va ^ gva) & BT_PAGE_MASK) || !((end ^ gva) & BT_PAGE_MASK))
			bt_jc_drop(view, level, i);
		else
			shared |= BT_JC_PAGE(va) == page || BT_JC_PAGE(end) == page;
	}
	return shared;
}

/* Code of one page, or that ends in it. */
static void drop_code(struct bt_vcpu *v, struct bt_view *view, gva_t gva)
{
	unsigned page = BT_JC_PAGE(gva);
	uint64_t *word = &view->jc_pages[page / 64], bit = 1ull << (page % 64);
	bool shared = false;

	/* Without a note the bit is another page's, whose code may be linked: it stays. */
	if (!(*word & bit) || !bt_code_page_noted(view, gva))
		return;
	bt_translate_unlink(v, view);
	for (unsigned level = 0; level < BT_JC_LEVELS; level++)
		shared |= drop_code_of(view, level, gva);
	if (!shared) /* the next INVLPG of the page need not search */
		*word &= ~bit;
}

static void flush_view_page(struct bt_vcpu *v, struct bt_view *view, gva_t gva)
{
	uint64_t large = large_mask(view, gva);

	drop_entry(view->tlb, BT_TLB_CONSTANT(gva));
	drop_entry(view->tlb, bt_tlb_index(view, gva));
	thread_forget_page(v, view, gva);
	if (large) {
		thread_forget(v, view);
		drop_large(view, gva, large);
		bt_jc_clear(v, view);
	} else {
		drop_code(v, view, gva);
	}
}

void bt_flush_page(struct bt_vcpu *v, gva_t gva)
{
	bt_translate_unmapped(v, &gva);
	stack_forget(v);
	for (unsigned i = 0; i < BT_NVIEWS; i++)
		if (v->views[i].in_use && !v->views[i].stale)
			flush_view_page(v, &v->views[i], gva);
}

static void flush_view(struct bt_vcpu *v, struct bt_view *view)
{
	view->stale = true;
	if (view == v->view)
		view_clear(v, view);
}

void bt_flush_all(struct bt_vcpu *v)
{
	bt_translate_unmapped(v, NULL);
	for (unsigned i = 0; i < BT_NVIEWS; i++)
		flush_view(v, &v->views[i]);
}

void bt_flush_pcid(struct bt_vcpu *v, unsigned pcid)
{
	for (unsigned i = 0; i < BT_NVIEWS; i++)
		if (v->views[i].in_use && (v->views[i].key.cr3 & 0xfff) == pcid)
			flush_view(v, &v->views[i]);
}

/* Global pages stay. */
static void flush_local(struct bt_vcpu *v, struct bt_view *view)
{
	stack_forget(v);
	thread_forget(v, view);
	for (unsigned i = bt_set_from(&view->local, 0); i < BT_TLB_SIZE;
	     i = bt_set_from(&view->local, i + 1))
		drop_entry(view->tlb, i);
	bt_set_clear(&view->local);
	if (view->local_code)
		bt_jc_clear(v, view);
	view->local_code = false;
}

/*
 * Without PCIDs the supervisor's views go from root to root with their global pages; user views of
 * other roots need no flush now, they are flushed when their root is loaded again.
 */
static void change_root(struct bt_vcpu *v, struct bt_view *view, uint64_t root)
{
	if (!view->in_use || (view->key.mode & BT_VIEW_FORMAT) == BT_PAGING_NONE)
		return;
	if (!(view->key.mode & BT_VIEW_USER)) {
		flush_local(v, view);
		view->key.cr3 = root;
	} else if (view->key.cr3 == root) {
		flush_view(v, view);
	}
}

void bt_flush_cr3(struct bt_vcpu *v, bool global)
{
	if (global) {
		bt_flush_all(v);
		return;
	}
	if (v->cr4 & CR4_PCIDE) {
		bt_flush_pcid(v, v->cr3 & 0xfff);
		return;
	}
	for (unsigned i = 0; i < BT_NVIEWS; i++)
		change_root(v, &v->views[i], v->cr3 & ~0x1full);
}

static bool has_write_tag(const struct bt_view *view, unsigned i, uint64_t host)
{
	return view->tlb->more[i].write_host == host && view->tlb->write[i].tag != BT_TLB_NONE(i);
}

bool bt_has_write_tag(const struct bt_vcpu *v, unsigned i, uint64_t host)
{
	for (unsigned n = 0; n < BT_NVIEWS; n++)
		if (v->views[n].in_use && has_write_tag(&v->views[n], i, host))
			return true;
	return false;
}

static void protect_entry(struct bt_view *view, unsigned i, uint64_t host)
{
	if (!has_write_tag(view, i, host))
		return;
	view->tlb->more[i].code = view->tlb->write[i].tag;
	view->tlb->write[i].tag = BT_TLB_NONE(i);
}

void bt_protect_page(struct bt_vcpu *v, gpa_t page)
{
	struct bt_slot *slot = bt_slot_find(v->vm, page);
	unsigned index[BT_PLACES], places;
	uint64_t host;

	if (!slot)
		return;
	host = (uint64_t)(slot->host + ((page & BT_PAGE_MASK) - slot->gpa));
	places = bt_places_take(v, slot, page, index);
	stack_forget(v);
	for (unsigned n = 0; n < BT_NVIEWS; n++) {
		struct bt_view *view = &v->views[n];

		if (!view->in_use || view->stale)
			continue;
		for (unsigned i = 0; i < places && places != BT_PLACES_MANY; i++)
			protect_entry(view, index[i], host);
		if (places != BT_PLACES_MANY)
			continue;
		for (unsigned i = bt_set_from(&view->used, 0); i < BT_TLB_SIZE;
		     i = bt_set_from(&view->used, i + 1))
			protect_entry(view, i, host);
	}
}

void bt_set_rflags(struct bt_vcpu *v, uint64_t fl)
{
	uint64_t old = v->rflags;

	v->rflags = (fl & 0x3f7fd5) | FL_ONE;
	if ((v->rflags & ~old & FL_IF) && v->irq_blocked)
		bt_post(v, BT_REQ_IRQ);
	if ((old ^ v->rflags) & (FL_TF | FL_VM | FL_AC))
		bt_mode_changed(v);
}
