/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between mmu.c (page walks), view.c (TLBs) and phys.c (memory and devices by physical address),
 * and the inline forms of the accesses that instructions make most.
 */
#ifndef VMM_ENGINE_BT_MMU_H
#define VMM_ENGINE_BT_MMU_H

#include <string.h>

#include "vmm/engine/bt/vm.h"

/* bt_view_key.mode */
#define BT_PAGING_NONE 0u
#define BT_PAGING_32   1u
#define BT_PAGING_PAE  2u
#define BT_PAGING_LONG 3u
#define BT_VIEW_FORMAT 3u
#define BT_VIEW_USER   0x04u
#define BT_VIEW_WP     0x08u
#define BT_VIEW_NXE    0x10u
#define BT_VIEW_SMEP   0x20u
#define BT_VIEW_SMAP   0x40u
#define BT_VIEW_AC     0x80u  /* EFLAGS.AC suspends SMAP */
#define BT_VIEW_ALIGN  0x100u /* alignment is checked: every access is a slow one */

#define BT_NO_FAULT 0xff

struct bt_walk {
	gpa_t gpa;     /* of the 4 KiB page */
	uint8_t shift; /* of the page that maps it: 12, 21, 22 or 30 */
	bool user, writable, nx, dirty, global;
	const uint8_t *table; /* that the page's entry is in */
};

/* A table of entries of 4 KiB pages for a region of 2 MiB; NULL: none. */
#define BT_LEAVES 8 /* by the region's number */
struct bt_leaves {
	uint64_t region;
	const uint8_t *table;
};

/* false: v->fault. Sets the accessed bits, and the dirty bit for a write. */
bool bt_walk(struct bt_vcpu *v, gva_t gva, enum bt_access a, struct bt_walk *w);
/*
 * Does a page of 4 KiB, not global and accessed before, map `gva` to `gpa` for the current view's
 * code? Changes nothing in the tables, so that a system that looks for accesses sees no more than
 * there are; v->fault is lost. `leaves` remembers tables from one call to the next, while nothing
 * else happens.
 */
bool bt_maps_code(struct bt_vcpu *v, gva_t gva, gpa_t gpa, struct bt_leaves leaves[BT_LEAVES]);
/* Would the current view allow this other kind of access to the page as well? */
bool bt_walk_permits(const struct bt_vcpu *v, const struct bt_walk *w, enum bt_access a);
/* Reads what the instruction is going to write back: faults as a write does. */
bool bt_read_intent(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size);
/* The host's address of an operand as bt_host() finds it, but from the entry, and for the entry,
 * that checks of constant addresses look at. */
void *bt_host_constant(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a);
/* bt_tlb_fill() of that entry, or of the view's usual one. */
bool bt_tlb_fill_at(struct bt_vcpu *v, gva_t gva, enum bt_access a, unsigned i);
/* After a miss in translated code: the current view gets more entries if it displaces many. */
void bt_tlb_grow(struct bt_vcpu *v);
/* Makes the supervisor's view of the same address space current; returns the one before. */
struct bt_view *bt_view_supervisor(struct bt_vcpu *v);
/* There is going to be code of a page that has got no tags: flushes must hear of it. */
void bt_tlb_note_code(struct bt_vcpu *v, gva_t gva, const struct bt_walk *w);
/* Only code in the page withholds its write tag, as the TLB remembers. *data is the host address if
 * the bytes are none, NULL if they are. */
bool bt_is_code_page(struct bt_vcpu *v, gva_t gva, unsigned size, void **data);
/* Empties a view's jump cache, one entry, or the places of direct jumps. */
void bt_jc_clear(struct bt_vcpu *v, struct bt_view *view);
void bt_jc_clear_direct(struct bt_view *view);
void bt_jc_drop(struct bt_view *view, unsigned level, unsigned i);
/* Every page of code in a view's jump cache is noted: where it is mapped. */
void bt_code_page_note(struct bt_view *view, gva_t va, gpa_t gpa);
bool bt_code_page_noted(const struct bt_view *view, gva_t va); /* perhaps */
void bt_code_pages_clear(struct bt_view *view);                /* with the jump cache */
/* Are the pages of the current view, which nothing has been flushed from but translations, mapped
 * as they were noted? Walks the page tables for each. */
bool bt_code_pages_hold(struct bt_vcpu *v);
/* Notes a match with the data breakpoints in DR0..3; they are reported after the instruction. */
void bt_watch_data(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a);
void bt_watch_port(struct bt_vcpu *v, uint16_t port, unsigned size);
/* Enabled code breakpoints, as bits of DR6; those at a linear address. */
unsigned bt_code_points(const struct bt_vcpu *v);
unsigned bt_code_points_at(const struct bt_vcpu *v, gva_t gva);
/* Pages of data breakpoints lose their tags, and get them again when there are none. */
void bt_flush_watched(struct bt_vcpu *v);
/* Is the page under a data breakpoint (then it has no tags)? */
bool bt_is_watched(const struct bt_vcpu *v, gva_t page);

/* Copies guest memory; what a processor does in one access is one access here too. */
static inline void bt_copy_atomic(void *dst, const void *src, unsigned size)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)dst = *(const volatile uint8_t *)src;
		break;
	case 2:
		*(volatile uint16_t *)dst = *(const volatile uint16_t *)src;
		break;
	case 4:
		*(volatile uint32_t *)dst = *(const volatile uint32_t *)src;
		break;
	case 8:
		*(volatile uint64_t *)dst = *(const volatile uint64_t *)src;
		break;
	default:
		memcpy(dst, src, size);
	}
}

static inline bool bt_load(struct bt_vcpu *v, gva_t gva, unsigned size, uint64_t *val)
{
	const struct bt_tlb_page *page = &v->view->tlb->read[bt_tlb_index(v->view, gva)];

	*val = 0;
	if (__builtin_expect(page->tag == BT_TLB_TAG(gva + size - 1), 1)) {
		bt_copy_atomic(val, (void *)(gva + page->addend), size);
		return true;
	}
	return bt_read(v, gva, val, size);
}

static inline bool bt_store(struct bt_vcpu *v, gva_t gva, unsigned size, uint64_t val)
{
	const struct bt_tlb_page *page = &v->view->tlb->write[bt_tlb_index(v->view, gva)];

	if (__builtin_expect(page->tag == BT_TLB_TAG(gva + size - 1), 1)) {
		bt_copy_atomic((void *)(gva + page->addend), &val, size);
		return true;
	}
	return bt_write(v, gva, &val, size);
}

#endif
