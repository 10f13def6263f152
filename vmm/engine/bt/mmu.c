/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paging: walks of the guest's page tables in every format, and accesses by linear address
 * (Intel SDM volume 3A chapter 4). Views and their TLBs are in view.c, devices behind physical
 * addresses in phys.c.
 */
#include "vmm/engine/bt/mmu.h"

#include <string.h>

#include "vmm/engine/bt/lockstep/lockstep.h"

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G  (1ull << 8)
#define PTE_NX (1ull << 63)

#define PF_P    0x01
#define PF_W    0x02
#define PF_U    0x04
#define PF_RSVD 0x08
#define PF_I    0x10

/* One format of page tables: how many levels there are and how each is indexed. */
struct paging_format {
	uint8_t levels, entry_size, index_bits;
};

static const struct paging_format formats[] = {
	[BT_PAGING_32] = {2, 4, 10},
	[BT_PAGING_PAE] = {2, 8, 9}, /* below the page-directory pointers, which are registers */
	[BT_PAGING_LONG] = {4, 8, 9},
};

static uint64_t entry_load(const uint8_t *p, unsigned size)
{
	return size == 8 ? __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED)
			 : __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}

/* Sets bits in a page-table entry unless another processor changed it meanwhile. */
static bool entry_or(struct bt_vcpu *v, uint8_t *p, unsigned size, uint64_t old, uint64_t bits)
{
	if (v->vm->lockstep)
		bt_lockstep_table_bits(v, p, size, bits);
	if (size == 8)
		return __atomic_compare_exchange_n((uint64_t *)p, &old, old | bits, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	uint32_t old32 = (uint32_t)old;

	return __atomic_compare_exchange_n((uint32_t *)p, &old32, old32 | (uint32_t)bits, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool page_fault(struct bt_vcpu *v, gva_t gva, enum bt_access a, uint32_t code)
{
	uint32_t mode = v->view->key.mode;

	if (a == BT_WRITE || a == BT_RMW)
		code |= PF_W;
	if (mode & BT_VIEW_USER)
		code |= PF_U;
	if (a == BT_EXEC && (mode & (BT_VIEW_NXE | BT_VIEW_SMEP)))
		code |= PF_I;
	v->fault =
		(struct bt_fault){.vector = EXC_PF, .has_error = true, .error = code, .cr2 = gva};
	return false;
}

/* Reserved bits of an entry that maps a page (`large`) or points to a table. */
static uint64_t reserved_bits(const struct bt_vcpu *v, unsigned format, unsigned level, bool large)
{
	unsigned phys = v->vm->cfg.cpu->phys_bits;
	uint64_t bits;

	if (format ==
	    BT_PAGING_32) /* PSE-36: bits 20:13 are address bits 39:32, bit 21 is reserved */
		return large ? 1ull << 21 : 0;
	bits = ((1ull << 52) - 1) & ~((1ull << phys) - 1);
	if (format == BT_PAGING_PAE)
		bits |= 0x7ffull << 52;
	if (!(v->view->key.mode & BT_VIEW_NXE))
		bits |= PTE_NX;
	if (large)
		bits |= ((1ull << (12 + 9 * level)) - 1) & ~0x1fffull;
	else if (level == 3)
		bits |= PTE_PS;
	return bits;
}

static bool is_large(const struct bt_vcpu *v, unsigned format, unsigned level, uint64_t entry)
{
	if (level == 0 || level == 3 || !(entry & PTE_PS))
		return false;
	if (format == BT_PAGING_32)
		return v->cr4 & CR4_PSE;
	return level == 1 || (format == BT_PAGING_LONG && v->vm->cfg.cpu->has[X86_FEAT_PDPE1GB]);
}

static bool is_reserved(const struct bt_vcpu *v, unsigned format, unsigned level, bool large,
			uint64_t entry)
{
	if (entry & reserved_bits(v, format, level, large))
		return true;
	return level == 2 && format == BT_PAGING_LONG && !large && (entry & PTE_PS);
}

static gpa_t entry_address(unsigned format, unsigned level, bool large, uint64_t entry, gva_t gva)
{
	unsigned index_bits = formats[format].index_bits;
	uint64_t offset_mask = large ? (1ull << (12 + index_bits * level)) - 1 : 0xfff;

	if (format == BT_PAGING_32 && large)
		return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | (gva & 0x3ff000);
	return (entry & 0x000ffffffffff000ull & ~offset_mask) | (gva & offset_mask & BT_PAGE_MASK);
}

/* What protection says to an access in the current view; 0 or PF_P. */
static bool is_allowed(uint32_t mode, bool user, bool writable, bool nx, enum bt_access a)
{
	if (a == BT_EXEC) {
		if (nx || ((mode & BT_VIEW_USER) && !user))
			return false;
		return !(user && !(mode & BT_VIEW_USER) && (mode & BT_VIEW_SMEP));
	}
	if (mode & BT_VIEW_USER)
		return user && (a == BT_READ || writable);
	if (user && (mode & BT_VIEW_SMAP) && !(mode & BT_VIEW_AC))
		return false;
	return a == BT_READ || writable || !(mode & BT_VIEW_WP);
}

static gpa_t walk_root(struct bt_vcpu *v, unsigned format, gva_t gva, bool *present)
{
	uint64_t pdpte;

	*present = true;
	if (format == BT_PAGING_LONG)
		return v->cr3 & 0x000ffffffffff000ull;
	if (format == BT_PAGING_32)
		return v->cr3 & 0xfffff000u;
	pdpte = v->pdpte[gva >> 30 & 3];
	*present = pdpte & PTE_P;
	return pdpte & 0x000ffffffffff000ull;
}

enum walk_step {
	WALK_DONE,
	WALK_FAULT,
	WALK_AGAIN
};

/* `marks`: sets the bits that a walk sets; else it is a fault if any are not set. */
static enum walk_step walk_tables(struct bt_vcpu *v, unsigned format, gva_t gva, enum bt_access a,
				  bool marks, struct bt_walk *w)
{
	const struct paging_format *f = &formats[format];
	bool user = true, writable = true, nx = false, present,
	     write = a == BT_WRITE || a == BT_RMW;
	gpa_t table = walk_root(v, format, gva, &present);

	if (!present)
		return page_fault(v, gva, a, 0), WALK_FAULT;
	for (unsigned level = f->levels; level-- > 0;) {
		uint64_t index = gva >> (12 + f->index_bits * level) & ((1u << f->index_bits) - 1);
		struct bt_slot *slot = bt_slot_find(v->vm, table);
		uint8_t *p = slot ? slot->host + (table - slot->gpa) + index * f->entry_size : NULL;
		uint64_t e = p ? entry_load(p, f->entry_size) : 0, set = PTE_A;
		bool large = is_large(v, format, level, e), leaf = large || level == 0;

		if (!(e & PTE_P))
			return page_fault(v, gva, a, 0), WALK_FAULT;
		if (is_reserved(v, format, level, large, e))
			return page_fault(v, gva, a, PF_P | PF_RSVD), WALK_FAULT;
		user &= !!(e & PTE_U);
		writable &= !!(e & PTE_W);
		nx |= (e & PTE_NX) && (v->view->key.mode & BT_VIEW_NXE);
		if (leaf) {
			if (!is_allowed(v->view->key.mode, user, writable, nx, a))
				return page_fault(v, gva, a, PF_P), WALK_FAULT;
			if (write)
				set |= PTE_D;
		}
		if ((e & set) != set && !marks)
			return WALK_FAULT;
		if ((e & set) != set && !slot->readonly && !entry_or(v, p, f->entry_size, e, set))
			return WALK_AGAIN;
		table = entry_address(format, level, large, e, gva);
		if (leaf) {
			*w = (struct bt_walk){.gpa = table,
					      .user = user,
					      .table = p - index * f->entry_size,
					      .writable = writable,
					      .nx = nx,
					      .dirty = ((e | set) & PTE_D) != 0,
					      .shift = (uint8_t)(12 + f->index_bits * level),
					      .global = (e & PTE_G) && (v->cr4 & CR4_PGE)};
			return WALK_DONE;
		}
	}
	return WALK_FAULT;
}

bool bt_walk(struct bt_vcpu *v, gva_t gva, enum bt_access a, struct bt_walk *w)
{
	enum walk_step step;
	unsigned format = v->view->key.mode & BT_VIEW_FORMAT;

	v->stat.page_walks++;
	if (format == BT_PAGING_NONE) {
		*w = (struct bt_walk){
			.gpa = gva & BT_PAGE_MASK, .user = true, .writable = true, .dirty = true};
		return true;
	}
	if (format == BT_PAGING_LONG && !bt_canonical(gva))
		return bt_raise_error(v, EXC_GP, 0);
	do
		step = walk_tables(v, format, gva, a, true, w);
	while (step == WALK_AGAIN);
	return step == WALK_DONE;
}

/* A table that a program's code has been found by: what is above it permits the same for others. */
static bool leaf_maps_code(const struct bt_vcpu *v, unsigned format, const uint8_t *table,
			   gva_t gva, gpa_t gpa)
{
	uint64_t e = entry_load(table + (gva >> 12 & 511) * 8, 8);

	return (e & (PTE_P | PTE_U | PTE_A | PTE_G | PTE_NX)) == (PTE_P | PTE_U | PTE_A) &&
	       !is_reserved(v, format, 0, false, e) &&
	       entry_address(format, 0, false, e, gva) == gpa;
}

bool bt_maps_code(struct bt_vcpu *v, gva_t gva, gpa_t gpa, struct bt_leaves leaves[BT_LEAVES])
{
	unsigned format = v->view->key.mode & BT_VIEW_FORMAT;
	struct bt_leaves *l = &leaves[(gva >> 21) % BT_LEAVES];
	struct bt_walk w;

	if (format == BT_PAGING_NONE)
		return gva == gpa;
	if (l->table && l->region == gva >> 21)
		return leaf_maps_code(v, format, l->table, gva, gpa);
	v->stat.page_walks++;
	if (walk_tables(v, format, gva, BT_EXEC, false, &w) != WALK_DONE || w.gpa != gpa ||
	    w.shift != 12 || w.global)
		return false;
	if (formats[format].entry_size == 8 && (v->view->key.mode & BT_VIEW_USER))
		*l = (struct bt_leaves){gva >> 21, w.table};
	return true;
}

bool bt_walk_permits(const struct bt_vcpu *v, const struct bt_walk *w, enum bt_access a)
{
	if ((v->view->key.mode & BT_VIEW_FORMAT) == BT_PAGING_NONE)
		return true;
	return is_allowed(v->view->key.mode, w->user, w->writable, w->nx, a);
}

bool bt_load_pdptes(struct bt_vcpu *v, uint64_t cr3)
{
	uint64_t pdpte[4];
	unsigned phys = v->vm->cfg.cpu->phys_bits;

	bt_phys_read(v, cr3 & 0xffffffe0u, pdpte, sizeof(pdpte));
	for (unsigned i = 0; i < 4; i++)
		if ((pdpte[i] & PTE_P) && (pdpte[i] & (0x1e6 | ~((1ull << phys) - 1))))
			return false;
	memcpy(v->pdpte, pdpte, sizeof(pdpte));
	return true;
}

/* ---- data by linear address ------------------------------------------------------------------ */

/* One or two pieces of an access, each inside a page. */
struct piece {
	gpa_t gpa;
	unsigned len;
};

static bool check_alignment(struct bt_vcpu *v, gva_t gva, unsigned size)
{
	unsigned align = size & -size;

	if (!(v->view->key.mode & BT_VIEW_ALIGN) || size > 8 || !(gva & (align - 1)))
		return true;
	return bt_raise_error(v, EXC_AC, 0);
}

/* Translates all of [gva, gva+size) before any of it is touched. Returns the count, 0: fault. */
static unsigned split(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a,
		      struct piece piece[2])
{
	unsigned first = (unsigned)(BT_PAGE - (gva & (BT_PAGE - 1))), n = 0;
	struct bt_walk w;

	if (!check_alignment(v, gva, size))
		return 0;
	if (first > size)
		first = size;
	for (unsigned done = 0; done < size; n++) {
		gva_t at = gva + done;

		if (!(v->mode & BT_MODE_CODE64))
			at &= 0xffffffff;
		if (!bt_walk(v, at, a, &w))
			return 0;
		piece[n].gpa = w.gpa | (at & (BT_PAGE - 1));
		piece[n].len = n ? size - first : first;
		done += piece[n].len;
	}
	return n;
}

static bool read_slow(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size, enum bt_access a)
{
	struct piece p[2];
	unsigned n = split(v, gva, size, a, p), at = 0;

	bt_watch_data(v, gva, size, a);
	for (unsigned i = 0; i < n; at += p[i++].len)
		bt_phys_read(v, p[i].gpa, (uint8_t *)buf + at, p[i].len);
	return n;
}

static bool write_slow(struct bt_vcpu *v, gva_t gva, const void *buf, unsigned size)
{
	struct piece p[2];
	unsigned n = split(v, gva, size, BT_WRITE, p), at = 0;

	bt_watch_data(v, gva, size, BT_WRITE);
	for (unsigned i = 0; i < n; at += p[i++].len)
		bt_phys_write(v, p[i].gpa, (const uint8_t *)buf + at, p[i].len);
	return n;
}

/* Guest-physical address behind a host address that a TLB entry gave; false: not memory. */
static bool host_gpa(const struct bt_vm *vm, const uint8_t *host, gpa_t *gpa)
{
	for (unsigned i = 0; i < vm->nslots; i++) {
		uint64_t off = (uint64_t)(host - vm->slot[i].host);

		if (off < vm->slot[i].size) {
			*gpa = vm->slot[i].gpa + off;
			return true;
		}
	}
	return false;
}

/* Guest-physical address of a store that nothing but code in its one page keeps from the TLB. */
static bool code_page_gpa(struct bt_vcpu *v, gva_t gva, unsigned size, gpa_t *gpa)
{
	const struct bt_tlb *tlb = v->view->tlb;
	unsigned i = bt_tlb_index(v->view, gva);

	return tlb->more[i].code == BT_TLB_TAG(gva) && !((gva ^ (gva + size - 1)) & BT_PAGE_MASK) &&
	       host_gpa(v->vm, (const uint8_t *)(gva + tlb->write[i].addend), gpa) &&
	       atomic_load(&bt_slot_page(bt_slot_find(v->vm, *gpa), *gpa)->is_code);
}

bool bt_read(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size)
{
	const void *host = bt_host(v, gva, size, BT_READ);

	if (host) {
		bt_copy_atomic(buf, host, size);
		return true;
	}
	return v->fault.vector == BT_NO_FAULT && read_slow(v, gva, buf, size, BT_READ);
}

bool bt_read_intent(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size)
{
	gpa_t gpa;

	if (!code_page_gpa(v, gva, size, &gpa))
		return read_slow(v, gva, buf, size, BT_RMW);
	bt_phys_read(v, gpa, buf, size);
	return true;
}

bool bt_write(struct bt_vcpu *v, gva_t gva, const void *buf, unsigned size)
{
	gpa_t gpa;
	void *host;

	if (code_page_gpa(v, gva, size, &gpa)) {
		bt_phys_write(v, gpa, buf, size);
		return true;
	}
	host = bt_host(v, gva, size, BT_WRITE);
	if (host) {
		bt_copy_atomic(host, buf, size);
		return true;
	}
	return v->fault.vector == BT_NO_FAULT && write_slow(v, gva, buf, size);
}

/* The processor's own accesses to its tables are supervisor accesses whatever the CPL. */
bool bt_read_sys(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size)
{
	struct bt_view *own = bt_view_supervisor(v);
	bool ok = bt_read(v, gva, buf, size);

	v->view = own;
	return ok;
}

bool bt_write_sys(struct bt_vcpu *v, gva_t gva, const void *buf, unsigned size)
{
	struct bt_view *own = bt_view_supervisor(v);
	bool ok = bt_write(v, gva, buf, size);

	v->view = own;
	return ok;
}

static void *host_at(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a, unsigned i)
{
	const struct bt_tlb *tlb = v->view->tlb;
	gpa_t gpa;

	for (unsigned tries = 0; tries < 2; tries++) {
		bool writes = a == BT_WRITE || a == BT_RMW;
		const struct bt_tlb_page *page = writes ? &tlb->write[i] : &tlb->read[i];
		uint64_t tag = a == BT_EXEC ? tlb->more[i].exec : page->tag;

		if (tag == BT_TLB_TAG(gva + size - 1))
			return (void *)(gva + page->addend);
		if (tries == 0 && (((gva ^ (gva + size - 1)) & BT_PAGE_MASK) ||
				   (writes && code_page_gpa(v, gva, size, &gpa))))
			break;
		if (tries == 0 && !bt_tlb_fill_at(v, gva, a, i))
			return NULL;
	}
	v->fault.vector = BT_NO_FAULT;
	return NULL;
}

void *bt_host(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a)
{
	return host_at(v, gva, size, a, bt_tlb_index(v->view, gva));
}

void *bt_host_constant(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a)
{
	return host_at(v, gva, size, a, BT_TLB_CONSTANT(gva));
}

bool bt_is_code_page(struct bt_vcpu *v, gva_t gva, unsigned size, void **data)
{
	gpa_t gpa;

	if (!code_page_gpa(v, gva, size, &gpa))
		return false;
	*data = NULL;
	if (bt_code_is_data(v->vm, gpa, size))
		*data = (void *)(gva + v->view->tlb->write[bt_tlb_index(v->view, gva)].addend);
	return true;
}

bool bt_code_gpa(struct bt_vcpu *v, gva_t gva, gpa_t *gpa, const uint8_t **host)
{
	const struct bt_tlb *tlb = v->view->tlb;
	unsigned i = bt_tlb_index(v->view, gva);
	struct bt_walk w;
	struct bt_slot *slot;

	if (tlb->more[i].exec != BT_TLB_TAG(gva) && !bt_tlb_fill(v, gva, BT_EXEC))
		return false;
	*host = (const uint8_t *)(gva + tlb->read[i].addend);
	if (tlb->more[i].exec == BT_TLB_TAG(gva) && host_gpa(v->vm, *host, gpa))
		return true;
	if (!bt_walk(v, gva, BT_EXEC, &w))
		return false;
	bt_tlb_note_code(v, gva, &w);
	*gpa = w.gpa | (gva & (BT_PAGE - 1));
	slot = bt_slot_find(v->vm, *gpa);
	*host = slot ? slot->host + (*gpa - slot->gpa) : NULL;
	return true;
}
