/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads and stores whose operand lies in two pages of plain memory. A load gets the address of a
 * copy. A store runs in a translation of its own, one instruction that writes to the copy, and what
 * it wrote goes to the pages behind it. Everything else is interpreted: devices, faults, watched
 * memory, pages with code, instructions that have two operands, and those that read and write,
 * which may be locked: the interpreter keeps them apart from one another.
 */
#include <string.h>

#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/build.h"

/* Fills the TLB for both pages; false: not both are plain memory. */
static bool find_parts(struct bt_vcpu *v, gva_t va, const struct tr_site *s, struct tr_crossing *c)
{
	gva_t next = (va & BT_PAGE_MASK) + BT_PAGE;
	unsigned first = (unsigned)(next - va);
	uint8_t *host;

	c->start = -(int64_t)first;
	c->rest = s->size - first;
	if (!(v->mode & BT_MODE_CODE64))
		next = (uint32_t)next;
	host = bt_host(v, va, first, s->access);
	if (!host)
		return false;
	c->end = host + first;
	c->begin = bt_host(v, next, (unsigned)c->rest, s->access);
	return c->begin != NULL;
}

static void *take_copy(struct tr_crossing *c)
{
	uint8_t *copy = c->bytes + TR_BORDER + c->start; /* aligned as the operand is */

	memcpy(copy, c->end + c->start, (size_t)-c->start);
	memcpy(c->bytes + TR_BORDER, c->begin, (size_t)c->rest);
	return copy;
}

/*
 * Code of a store on the copy; NULL: there can be none, or not before everything is dropped. To
 * translate it may mean to wait for another vCPU, and to drop meanwhile what that one has changed.
 */
static const uint8_t *find_on_copy(struct translator *t, struct bt_vcpu *v, struct tr_site *s)
{
	const struct tr_block *owner = &t->block[s->block];
	uint32_t i;

	if (!s->on_copy || owner->crosses || tr_is_dropped(t, owner) || tr_cache_full(t))
		return NULL;
	i = tr_find_other(t, v, s->block, s->off, TR_MODE_PLAIN | TR_MODE_COPY);
	if (i == TR_NONE || tr_is_dropped(t, owner))
		return NULL;
	s->copy = i;
	return tr_rx(t, t->block[i].entry);
}

static void begin_store(struct translator *t, struct bt_vcpu *v, const struct tr_site *s)
{
	struct tr_crossing *c = &t->crossing;

	v->scratch[SCR_COPY] = (uint64_t)take_copy(c); /* FST may leave it as it is */
	c->resume = tr_rx(t, s->next);
	c->t2 = v->scratch[SCR_T2];
}

const uint8_t *tr_cross(struct translator *t, struct bt_vcpu *v, struct tr_site *s)
{
	gva_t va = v->scratch[SCR_T0];
	struct tr_crossing *c = &t->crossing;
	const uint8_t *on_copy;

	if (s->access == BT_RMW || s->size > sizeof(c->bytes) - TR_BORDER ||
	    !((va ^ (va + s->size - 1)) & BT_PAGE_MASK))
		return NULL;
	on_copy = find_on_copy(t, v, s); /* first: it may take write tags away */
	if (!find_parts(v, va, s, c))
		return NULL;
	if (s->access == BT_READ)
		return tr_site_resume(t, v, s, take_copy(c));
	if (on_copy)
		begin_store(t, v, s);
	return on_copy;
}

/* ---- translation ------------------------------------------------------------------------------
 */

/* Bytes that a mask leaves out are not written: AVX-512, and VMASKMOVPS and its kin. */
static bool is_masked(const struct x86_insn *in)
{
	unsigned o = in->opcode;

	if (in->is_evex)
		return in->evex_aaa;
	return in->desc->cls == X86_CLS_AVX && in->map == X86_MAP_0F38 &&
	       (o == 0x2e || o == 0x2f || o == 0x8e);
}

bool cross_on_copy(const struct tr_build *b, enum bt_access a)
{
	const struct tr_insn *ti = &b->insn[b->cur];

	return a == BT_WRITE && insn_accesses(ti) == 1 && !(ti->gen->flags & GEN_END) &&
	       !is_masked(&ti->in);
}

void cross_end(struct tr_build *b)
{
	emit_jmp(&b->e, b->t->stub_stored);
}
