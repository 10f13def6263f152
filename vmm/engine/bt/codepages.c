/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages a view's jump cache has code of, and where they were mapped.
 *
 * A system without PCIDs flushes a process's translations with every switch to it, though its code
 * is mapped as before. Then a look at the page tables for each of these pages, before the view is
 * used again, saves the jump cache. A processor may fetch translations ahead of their use, too.
 */
#include "vmm/engine/bt/mmu.h"

#define IN_USE 1u /* in an entry's `va` */
#define MIXED  1u /* in `gpa`: it was mapped to different pages, and both may have code */

static unsigned slot_of(uint64_t va)
{
	return (unsigned)((va >> 12) * 0x9e3779b97f4a7c15ull >> (64 - BT_CODE_PAGES_BITS));
}

/* The place of a page, or the empty one where it would be. */
static unsigned find(const struct bt_code_pages *p, gva_t va)
{
	unsigned i = slot_of(va);

	va = (va & BT_PAGE_MASK) | IN_USE;
	while (p->page[i].va && p->page[i].va != va)
		i = (i + 1) % BT_CODE_PAGES;
	return i;
}

bool bt_code_page_noted(const struct bt_view *view, gva_t va)
{
	const struct bt_code_pages *p = view->pages;

	return p->too_many || p->page[find(p, va)].va;
}

void bt_code_page_note(struct bt_view *view, gva_t va, gpa_t gpa)
{
	struct bt_code_pages *p = view->pages;
	unsigned i = find(p, va);

	gpa &= BT_PAGE_MASK;
	if (p->page[i].va) {
		if (p->page[i].gpa != gpa)
			p->page[i].gpa = MIXED;
	} else if (p->used == BT_CODE_PAGES / 2) {
		p->too_many = true;
	} else {
		p->page[i].va = (va & BT_PAGE_MASK) | IN_USE;
		p->page[i].gpa = gpa;
		p->used++;
	}
}

void bt_code_pages_clear(struct bt_view *view)
{
	if (view->pages->used)
		memset(view->pages, 0, sizeof(*view->pages));
}

/* Large pages never hold: INVLPG of any address in one would have to find them again. */
bool bt_code_pages_hold(struct bt_vcpu *v)
{
	const struct bt_code_pages *p = v->view->pages;
	struct bt_fault fault = v->fault;
	bool hold = !p->too_many;

	for (unsigned i = 0; i < BT_CODE_PAGES && hold && p->used; i++)
		if (p->page[i].va)
			hold = bt_maps_code(v, p->page[i].va & BT_PAGE_MASK, p->page[i].gpa);
	v->fault = fault;
	return hold;
}
