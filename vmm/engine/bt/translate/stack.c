/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack's page: programs push, pop and look at locals in one page most of the time. The context
 * block has a copy of the TLB's entry for writing of the page that was used last (bt_vcpu.stack);
 * a check compares with that, without an index. If it is another page, a stub looks in the TLB and
 * makes its entry the copy.
 *
 * Without an index, any tag is some address's. So the copy is an entry that the current view's TLB
 * has now, or BT_STACK_NONE: view.c drops it whenever the TLB loses or gets entries, tr_set_gs()
 * when the view changes. Where it is BT_STACK_NONE only addresses pass that are canonical for no
 * guest and no host, and with its addend they stay what they are: the access itself faults, and
 * signal.c makes that the guest's fault. In a window that is the first access, before which RSP has
 * not fallen behind (gen_stack.c). Entries for writing do for reading as well, since memory that
 * may be written may be read.
 */
#include "vmm/engine/bt/translate/build.h"

/* In programs only: a kernel's stacks change with every process and every interrupt. */
bool stack_is_base(const struct tr_build *b, unsigned base)
{
	return base == H_RSP && b->x86_mode == X86_MODE_64 && (b->mode & BT_MODE_USER) &&
	       !(b->mode & TR_MODE_COPY);
}

/* H_T0 = offset of [RSP + disp] in the page, as check_dead() does. */
void stack_offset(struct tr_build *b, int32_t disp)
{
	emit_load(&b->e, 8, H_T0, hmem_ctx(CTX(stack.tag)));
	emit_lea(&b->e, 8, H_T0, hmem_index(H_RSP, H_T0, disp));
}

uint8_t *stack_compare_live(struct tr_build *b, int32_t disp)
{
	struct emit *e = &b->e;
	uint8_t *same, *other;

	emit_load(e, 8, H_T1, hmem_ctx(CTX(stack.tag)));
	emit_lea(e, 8, H_T1, hmem_index(H_RSP, H_T1, disp));
	emit_pext_mem(e, H_T1, H_T1, hmem_ctx(CTX_SCRATCH(SCR_STACK_MASK)));
	same = emit_jrcxz(e);
	other = emit_jmp_far(e);
	if (!e->full)
		emit_patch8(same, e->p);
	return other;
}

/*
 * Of a check that failed: calls the stub, which comes back with the addend in H_T1, or behind that,
 * with the linear address in H_T0, if the TLB does not help.
 */
void stack_emit_miss(struct tr_build *b, const struct tr_slow *s)
{
	struct emit *e = &b->e;

	emit_lea(e, 8, H_T0, hmem_base(H_RSP, (int32_t)s->address));
	emit_u8(e, 0x48); /* LEA RCX, [RIP + what is between] */
	emit_u8(e, 0x8d);
	emit_u8(e, 0x0d);
	emit_u32(e, 5 + 4);
	emit_jmp(e, b->t->stub_stack[(s->write ? STACK_WRITE : 0) |
				     (s->live && !s->parked ? STACK_LIVE : 0)]);
	emit_u32(e, BT_PAGE - b->t->site[s->site].size);
	emit_mov(e, 8, s->dst, H_T1);
	emit_jmp(e, s->back);
}

#define MISS_AT 8 /* bytes of these two instructions, behind which a failure goes on */

static struct hmem word(unsigned slot)
{
	return hmem_ctx(CTX_SCRATCH(slot));
}

/* H_T1 = entry of the address in H_T0. Returns the jump if the operand is not all in its page. */
static uint8_t *look(struct emit *e, bool write)
{
	struct hmem limit = word(SCR_STACK_LIMIT);

	mem_tlb_entry(e, H_T0);
	emit_load(e, 8, H_T2, mem_tlb_tag(write));
	emit_rr(e, OPC(0x01), 8, H_T0, H_T2);   /* ADD */
	emit_rm(e, OPC(0x3b), 8, H_T2, &limit); /* CMP */
	return emit_jcc(e, CC_A);
}

static void make_copy(struct emit *e)
{
	emit_load(e, 8, H_T2, mem_tlb_tag(true));
	emit_store(e, 8, hmem_ctx(CTX(stack.tag)), H_T2);
	emit_load(e, 8, H_T1, mem_tlb_addend(true));
	emit_store(e, 8, hmem_ctx(CTX(stack.addend)), H_T1);
}

static void come_back(struct emit *e, unsigned kind)
{
	if (kind & STACK_LIVE)
		flags_restore(e, SCR_STACK_FLAGS, H_T2);
	emit_load(e, 8, H_T2, word(SCR_STACK_T2));
	emit_jmp_mem(e, word(SCR_STACK_BACK));
}

static void come_back_failed(struct emit *e, unsigned kind)
{
	emit_load(e, 8, H_T1, word(SCR_STACK_BACK));
	emit_lea(e, 8, H_T1, hmem_base(H_T1, MISS_AT));
	emit_store(e, 8, word(SCR_STACK_BACK), H_T1);
	come_back(e, kind);
}

static const uint8_t *emit_stub(struct emit *e, unsigned kind)
{
	const uint8_t *at = e->p;
	uint8_t *other, *none;

	emit_store(e, 8, word(SCR_STACK_T2), H_T2);
	emit_store(e, 8, word(SCR_STACK_BACK), H_T1);
	if (kind & STACK_LIVE)
		flags_save(e, SCR_STACK_FLAGS, H_T2);
	emit_load(e, 4, H_T2, hmem_base(H_T1, -4));
	emit_store(e, 8, word(SCR_STACK_LIMIT), H_T2);
	other = look(e, true);
	make_copy(e);
	come_back(e, kind);
	emit_patch32(other, e->p);
	if (!(kind & STACK_WRITE)) { /* it may be a page that is only read */
		none = look(e, false);
		emit_load(e, 8, H_T1, mem_tlb_addend(false));
		come_back(e, kind);
		emit_patch32(none, e->p);
	}
	come_back_failed(e, kind);
	return at;
}

void tr_stack_emit(struct emit *e, struct translator *t)
{
	for (unsigned kind = 0; kind < STACK_KINDS; kind++)
		t->stub_stack[kind] = emit_stub(e, kind);
}
