/* SPDX-License-Identifier: Apache-2.0 */
/* How blocks find one another: patched jumps, and the jump cache of each view. */
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/tr.h"

#define REGION_SHIFT 30 /* no page is larger */

static void set_jump(struct translator *t, const struct tr_link *l, uint32_t to)
{
	emit_patch32(t->rw + l->jump, t->rw + to);
}

/* ---- where requests are looked at --------------------------------------------------------------
 *
 * No loop may run without a look at them. Indirect jumps look; a link does, by entering its target
 * at `poll`, unless that has a higher level than its owner. So a loop of links has one that looks:
 * they cannot all lead upwards. Levels rise as links need it, where that is no loop.
 */

#define MAX_STEPS 64 /* from block to block, for one link */

static void lead(struct translator *t, struct tr_link *l, bool looks)
{
	const struct tr_block *b = &t->block[l->target];

	l->looks = looks;
	set_jump(t, l, looks ? b->poll : b->entry);
}

/* Do links that do not look go from `block` to `to`? True as well if that takes too long to tell.
 */
static bool leads_to(const struct translator *t, uint32_t block, uint32_t to, unsigned *steps)
{
	const struct tr_block *b = &t->block[block];

	if (block == to || !*steps)
		return true;
	--*steps;
	if (b->level >= t->block[to].level)
		return false;
	for (uint32_t i = b->first_link; i < b->first_link + b->nlinks; i++) {
		const struct tr_link *l = &t->link[i];

		if (l->target != TR_NONE && !l->looks && leads_to(t, l->target, to, steps))
			return true;
	}
	return false;
}

/* Lifts a block, and where it leads to. When there are no more steps links must look instead. */
static void lift(struct translator *t, uint32_t block, uint32_t level, unsigned *steps)
{
	struct tr_block *b = &t->block[block];

	b->level = level;
	for (uint32_t i = b->first_link; i < b->first_link + b->nlinks; i++) {
		struct tr_link *l = &t->link[i];

		if (l->target == TR_NONE || l->looks || t->block[l->target].level > level)
			continue;
		if (*steps) {
			--*steps;
			lift(t, l->target, level + 1, steps);
		} else {
			lead(t, l, true);
		}
	}
}

/* Must a new link from `owner` to `target` look? */
static bool must_look(struct translator *t, uint32_t owner, uint32_t target)
{
	uint32_t level = t->block[owner].level;
	unsigned steps = MAX_STEPS;

	if (t->block[target].level > level)
		return false;
	if (leads_to(t, target, owner, &steps))
		return true;
	lift(t, target, level + 1, &steps);
	return false;
}

void tr_link_to(struct translator *t, uint32_t link, uint32_t target)
{
	struct tr_link *l = &t->link[link];
	struct tr_block *b = &t->block[target];
	bool looks;

	if (l->target != TR_NONE)
		return;
	looks = must_look(t, l->block, target);
	l->target = target & (TR_MAX_BLOCKS - 1);
	l->next = b->incoming;
	b->incoming = link;
	lead(t, l, looks);
}

void tr_unlink_incoming(struct translator *t, uint32_t block)
{
	uint32_t next;

	for (uint32_t i = t->block[block].incoming; i != TR_NONE; i = next) {
		struct tr_link *l = &t->link[i];

		next = l->next;
		set_jump(t, l, l->stub);
		l->target = TR_NONE;
	}
	t->block[block].incoming = TR_NONE;
}

static void unlink_one(struct translator *t, uint32_t link)
{
	struct tr_link *l = &t->link[link];
	uint32_t *p;

	if (l->target == TR_NONE)
		return;
	for (p = &t->block[l->target].incoming; *p != link; p = &t->link[*p].next)
		;
	*p = l->next;
	l->target = TR_NONE;
	set_jump(t, l, l->stub);
}

void tr_unlink_outgoing(struct translator *t, uint32_t block)
{
	const struct tr_block *b = &t->block[block];

	for (uint32_t i = b->first_link; i < b->first_link + b->nlinks; i++)
		unlink_one(t, i);
}

/* ---- links to other pages --------------------------------------------------------------------
 *
 * A jump to another page may be patched while the mapping of that page cannot change unseen. That
 * is so in two cases:
 *
 * - The mapping is global: then it is the same in every address space until INVLPG of it or a flush
 *   of everything. Kernels' code is.
 * - It is user code of one view, and no other's runs meanwhile. Such a link is part of the view's
 *   jump cache: what makes that forget code of a page undoes them all. Made and undone for each
 *   turn of a process they would cost more than they save. So they are made when a view's user code
 *   has been the only one for a while, which grows when that turns out to have been too short.
 */

/* Does the link depend on the mapping of another page? */
static bool leads_away(const struct translator *t, const struct tr_link *l)
{
	const struct tr_block *target = &t->block[l->target];

	return target->crosses || (target->va ^ t->block[l->block].va) & BT_PAGE_MASK;
}

static void unlink_incoming_far(struct translator *t, uint32_t block)
{
	uint32_t *p = &t->block[block].incoming;

	while (*p != TR_NONE) {
		struct tr_link *l = &t->link[*p];

		if (!leads_away(t, l)) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		l->target = TR_NONE;
		set_jump(t, l, l->stub);
	}
}

static void unlink_far(struct translator *t, struct tr_far *far)
{
	t->v->stat.page_unlinks += far->n;
	for (unsigned i = 0; i < far->n; i++)
		if (t->link[far->link[i]].target != TR_NONE)
			unlink_incoming_far(t, t->link[far->link[i]].target);
	far->n = 0;
}

static void link_far(struct translator *t, struct tr_far *far, uint32_t link, uint32_t target)
{
	if (far->n == TR_MAX_FAR)
		unlink_far(t, far);
	t->v->stat.page_links++;
	far->link[far->n++] = link;
	tr_link_to(t, link, target);
}

static void unlink_global(struct translator *t)
{
	unlink_far(t, &t->global);
	t->nregions = 0;
}

static bool is_region(const struct translator *t, uint64_t va)
{
	for (unsigned i = 0; i < t->nregions; i++)
		if (t->far_region[i] == va >> REGION_SHIFT)
			return true;
	return false;
}

/* Is the page of code at `va`, just found, mapped the same way in every address space? Then it will
 * be heard of its region. */
static bool is_global(struct translator *t, uint64_t va)
{
	const struct bt_view *view = t->v->view;
	unsigned i = bt_tlb_index(view, va);

	if (view->tlb->more[i].exec != BT_TLB_TAG(va) || bt_set_has(&view->local, i))
		return false;
	if (is_region(t, va))
		return true;
	if (t->nregions == TR_MAX_REGIONS)
		return false;
	t->far_region[t->nregions++] = va >> REGION_SHIFT;
	return true;
}

void bt_translate_unmapped(struct bt_vcpu *v, const uint64_t *gva)
{
	struct translator *t = tr_of(v);

	if (t && t->global.n && (!gva || is_region(t, *gva)))
		unlink_global(t);
}

/* The user code that ran last is disturbed: it waits before its jumps are linked again. */
static void disturb(struct translator *t)
{
	uint64_t now = bt_rdtsc();

	if (t->links_user && now - t->user_since > 8 * t->patience)
		t->patience = TR_PATIENCE;
	else if (t->links_user && t->patience < 64 * TR_PATIENCE)
		t->patience *= 2;
	unlink_far(t, &t->local);
	t->links_user = false;
	t->user_since = now;
}

void bt_translate_unlink(struct bt_vcpu *v, const struct bt_view *view)
{
	struct translator *t = tr_of(v);

	if (t && t->user == view)
		disturb(t);
}

static void user_runs(struct translator *t, struct bt_view *view)
{
	if (t->user != view) {
		disturb(t);
		t->user = view;
	} else if (!t->links_user && bt_rdtsc() - t->user_since > t->patience) {
		t->links_user = true;
		t->user_since = bt_rdtsc();
		bt_jc_clear_direct(view); /* so that jumps ask to be linked */
	}
}

void tr_links_enter(struct translator *t, struct bt_view *view)
{
	bool user = view->key.mode & BT_VIEW_USER;

	if (user)
		user_runs(t, view);
	t->v->scratch[SCR_LINKING] = (user ? t->links_user : t->global.n) ? TR_DIRECT : 0;
}

/* ---- the jump cache -------------------------------------------------------------------------- */

/* INVLPG of other pages need not search the jump cache. */
static void note_page(struct bt_view *view, uint64_t va, gpa_t gpa)
{
	unsigned i = BT_JC_PAGE(va);

	view->jc_pages[i / 64] |= 1ull << (i % 64);
	bt_code_page_note(view, va, gpa);
}

static void fill(struct bt_view *view, unsigned level, unsigned i, uint64_t va, const uint8_t *code)
{
	view->jc_used[level] |= 1ull << (i / (BT_JC_SIZE / 64));
	view->jc[level].va[i] = va;
	view->jc[level].code[i] = code;
}

static void note_block(struct bt_view *view, const struct tr_block *b)
{
	note_page(view, b->va, b->gpa);
	if (b->crosses)
		note_page(view, b->va + b->len, b[1].gpa);
}

void tr_jc_fill(struct translator *t, bool direct, const struct tr_block *b)
{
	struct bt_view *view = t->v->view;
	uint64_t va = b->va;
	unsigned first = direct ? BT_JC_DIRECT(va) : BT_JC_INDEX(va);

	if (first != BT_JC_LOOK)
		fill(view, 0, first, va, tr_rx(t, b->indirect));
	fill(view, 1, BT_JC_SECOND(va), va, tr_rx(t, b->poll));
	note_block(view, b);
}

static void drop(struct bt_view *view, unsigned level, unsigned i, const uint8_t *code)
{
	if ((view->jc_used[level] >> (i / (BT_JC_SIZE / 64)) & 1) &&
	    view->jc[level].code[i] == code)
		bt_jc_drop(view, level, i);
}

void tr_jc_drop(struct translator *t, const struct tr_block *b)
{
	for (struct bt_view *view = t->v->views; view < t->v->views + BT_NVIEWS; view++) {
		if (!view->in_use)
			continue;
		drop(view, 0, BT_JC_INDEX(b->va), tr_rx(t, b->indirect));
		drop(view, 0, BT_JC_DIRECT(b->va), tr_rx(t, b->indirect));
		drop(view, 1, BT_JC_SECOND(b->va), tr_rx(t, b->poll));
	}
}

/* ---- which links may be made ------------------------------------------------------------------
 */

bool tr_link_far(struct translator *t, uint32_t link, uint32_t target)
{
	const struct tr_block *b = &t->block[target];
	struct bt_view *view = t->v->view;

	if (b->mode & BT_MODE_USER) {
		if (!t->links_user || t->user != view)
			return false;
		note_block(view, b);
		link_far(t, &t->local, link, target);
		return true;
	}
	if (!is_global(t, b->va) || (b->crosses && !is_global(t, b->va + b->len)))
		return false;
	link_far(t, &t->global, link, target);
	return true;
}
