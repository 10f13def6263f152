/* SPDX-License-Identifier: Apache-2.0 */
/* How blocks find one another: patched jumps, and the jump cache of each view. */
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/tr.h"

#define REGION_SHIFT 30 /* no page is larger */

static void set_jump(struct translator *t, const struct tr_link *l, uint32_t to)
{
	emit_patch32(t->rw + l->jump, t->rw + to);
}

/* A jump backwards enters where requests are looked at, so that no loop runs without. */
void tr_link_to(struct translator *t, uint32_t link, uint32_t target)
{
	struct tr_link *l = &t->link[link];
	struct tr_block *b = &t->block[target];

	if (l->target != TR_NONE)
		return;
	l->target = target;
	l->next = b->incoming;
	b->incoming = link;
	set_jump(t, l, l->delta <= 0 ? b->poll : b->entry);
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
 * A jump to another page may be patched if the mapping of that page is global: then it is the same
 * in every address space until INVLPG of it or a flush of everything. Kernels' code is.
 */

void tr_unlink_far(struct translator *t)
{
	for (unsigned i = 0; i < t->nfar; i++)
		unlink_one(t, t->far[i]);
	t->nfar = t->nregions = 0;
}

static bool is_region(const struct translator *t, uint64_t va)
{
	for (unsigned i = 0; i < t->nregions; i++)
		if (t->far_region[i] == va >> REGION_SHIFT)
			return true;
	return false;
}

bool tr_link_far(struct translator *t, uint32_t link, uint32_t target)
{
	uint64_t va = t->block[target].va;

	if (t->nfar == TR_MAX_FAR)
		tr_unlink_far(t);
	if (!is_region(t, va)) {
		if (t->nregions == TR_MAX_REGIONS)
			return false;
		t->far_region[t->nregions++] = va >> REGION_SHIFT;
	}
	t->far[t->nfar++] = link;
	tr_link_to(t, link, target);
	return true;
}

void tr_link_never(struct translator *t, uint32_t link)
{
	set_jump(t, &t->link[link], t->link[link].stub + TR_LINK_STUB);
}

void bt_translate_unmapped(struct bt_vcpu *v, const uint64_t *gva)
{
	struct translator *t = tr_of(v);

	if (t && t->nfar && (!gva || is_region(t, *gva)))
		tr_unlink_far(t);
}

/* ---- the jump cache -------------------------------------------------------------------------- */

/* INVLPG of other pages need not search the jump cache. */
static void note_page(struct bt_view *view, uint64_t va, gpa_t gpa)
{
	unsigned i = BT_JC_PAGE(va);

	view->jc_pages[i / 64] |= 1ull << (i % 64);
	bt_code_page_note(view, va, gpa);
}

static void fill(struct bt_view *view, unsigned level, uint64_t va, const uint8_t *code)
{
	unsigned i = BT_JC_AT(level, va);

	view->jc_used[level] |= 1ull << (i / (BT_JC_SIZE / 64));
	view->jc[level].va[i] = va;
	view->jc[level].code[i] = code;
}

void tr_jc_fill(struct translator *t, const struct tr_block *b)
{
	struct bt_view *view = t->v->view;

	fill(view, 0, b->va, tr_rx(t, b->indirect));
	fill(view, 1, b->va, tr_rx(t, b->poll));
	note_page(view, b->va, b->gpa);
	if (b->crosses)
		note_page(view, b->va + b->len, b[1].gpa);
}

static void drop(struct bt_view *view, unsigned level, uint64_t va, const uint8_t *code)
{
	unsigned i = BT_JC_AT(level, va);

	if ((view->jc_used[level] >> (i / (BT_JC_SIZE / 64)) & 1) &&
	    view->jc[level].code[i] == code)
		bt_jc_drop(view, level, i);
}

void tr_jc_drop(struct translator *t, const struct tr_block *b)
{
	for (struct bt_view *view = t->v->views; view < t->v->views + BT_NVIEWS; view++) {
		if (!view->in_use)
			continue;
		drop(view, 0, b->va, tr_rx(t, b->indirect));
		drop(view, 1, b->va, tr_rx(t, b->poll));
	}
}
