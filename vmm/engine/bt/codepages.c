/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages a view's jump cache has code of, and where they were mapped.
 *
 * A system without PCIDs flushes a process's translations with every switch to it, though its code
 * is mapped as before. Then a look at the page tables for each of these pages, before the view is
 * used again, saves the jump cache. A processor may fetch translations ahead of their use, too.
 */
#include "vmm/engine/bt/mmu.h"

#define PLACES (1u << BT_CODE_PAGES_BITS)
#define MIXED  1u /* in `gpa`: it was mapped to different pages, and both may have code */

static unsigned place_of(uint64_t va)
{
	return (unsigned)((va >> 12) * 0x9e3779b97f4a7c15ull >> (64 - BT_CODE_PAGES_BITS));
}

/* The place of a page, or the empty one where it would be. */
static uint16_t *find(struct bt_code_pages *p, gva_t va)
{
	unsigned i = place_of(va);

	while (p->place[i] && (p->page[p->place[i] - 1].va ^ va) & BT_PAGE_MASK)
		i = (i + 1) % PLACES;
	return &p->place[i];
}

bool bt_code_page_noted(const struct bt_view *view, gva_t va)
{
	return view->pages->too_many || *find(view->pages, va);
}

void bt_code_page_note(struct bt_view *view, gva_t va, gpa_t gpa)
{
	struct bt_code_pages *p = view->pages;
	uint16_t *place = find(p, va);

	gpa &= BT_PAGE_MASK;
	if (*place) {
		if (p->page[*place - 1].gpa != gpa)
			p->page[*place - 1].gpa = MIXED;
	} else if (p->used == PLACES / 2) {
		p->too_many = true;
	} else {
		p->page[p->used].va = va & BT_PAGE_MASK;
		p->page[p->used].gpa = gpa;
		*place = (uint16_t)++p->used;
	}
}

void bt_code_pages_clear(struct bt_view *view)
{
	struct bt_code_pages *p = view->pages;

	if (p->used)
		memset(p->place, 0, sizeof(p->place));
	p->used = 0;
	p->too_many = false;
}

/* Large pages never hold: INVLPG of any address in one would have to find them again. */
bool bt_code_pages_hold(struct bt_vcpu *v)
{
	const struct bt_code_pages *p = v->view->pages;
	struct bt_leaves leaves[BT_LEAVES] = {{0}};
	struct bt_fault fault = v->fault;
	bool hold = !p->too_many;

	for (unsigned i = 0; i < p->used && hold; i++)
		hold = bt_maps_code(v, p->page[i].va, p->page[i].gpa, leaves);
	v->fault = fault;
	return hold;
}
