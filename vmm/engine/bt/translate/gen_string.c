/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MOVS and STOS by the host's own instruction, a repetition page by page: as many elements as are
 * left in the pages of both addresses, with the addends in the index registers meanwhile. Pages
 * without tags, elements across pages, DF and requests are the interpreter's.
 */
#include "vmm/engine/bt/translate/build.h"

#define MAX_SLOW   6
#define DF_BYTE    (CTX(rflags) + 1)
#define DF_IN_BYTE (FL_DF >> 8)

struct string {
	struct tr_build *b;
	unsigned size; /* of an element */
	bool movs, rep, keeps_flags;
	uint8_t *slow[MAX_SLOW]; /* jumps to the interpreter */
	unsigned nslow;
};

static void slow_if(struct string *s, unsigned cc)
{
	s->slow[s->nslow++] = emit_jcc(&s->b->e, cc);
}

/* ---- one run --------------------------------------------------------------------------------- */

/* `dst` = bytes from the address in `reg` to its page's end. The TLB index is in H_T1 then. */
static void room(struct string *s, unsigned reg, bool write, unsigned dst)
{
	struct emit *e = &s->b->e;
	struct hmem tag = mem_tlb_tag(s->b, write);

	mem_tlb_index(s->b, reg);
	emit_mov(e, 8, dst, reg);
	emit_rm(e, OPC(0x03), 8, dst, &tag); /* ADD */
	emit_alu_imm(e, 7, 8, dst, (int32_t)(BT_PAGE - s->size));
	slow_if(s, CC_A);
	emit_rr(e, OPC(0xf7), 8, 3, dst); /* NEG */
	emit_alu_imm(e, 0, 8, dst, BT_PAGE);
}

/* reg = min(reg, other) */
static void at_most(struct emit *e, unsigned reg, unsigned other)
{
	emit_rr(e, OPC(0x39), 8, other, reg);    /* CMP */
	emit_rr(e, OPC_0F(0x47), 8, reg, other); /* CMOVA */
}

/* H_T0 = elements of this run, SCR_SPILL and H_T2 the addends of source and destination. */
static void measure(struct string *s)
{
	struct emit *e = &s->b->e;

	if (s->movs) {
		room(s, H_RSI, false, H_T0);
		emit_load(e, 8, H_T2, mem_tlb_addend(s->b, false));
		emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL)), H_T2);
	}
	room(s, H_RDI, true, s->movs ? H_T2 : H_T0);
	if (s->movs)
		at_most(e, H_T0, H_T2);
	emit_load(e, 8, H_T2, mem_tlb_addend(s->b, true));
	if (s->size > 1)
		emit_shift(e, 5, 8, H_T0, (unsigned)__builtin_ctz(s->size));
	if (s->rep)
		at_most(e, H_T0, reg_host(X86_RCX));
}

static void run(struct string *s)
{
	const struct hmem source = hmem_ctx(CTX_SCRATCH(SCR_SPILL));
	struct emit *e = &s->b->e;

	if (s->movs)
		emit_rm(e, OPC(0x03), 8, H_RSI, &source); /* ADD */
	emit_rr(e, OPC(0x01), 8, H_T2, H_RDI);
	if (s->rep) {
		emit_mov(e, 8, H_RCX, H_T0);
		emit_u8(e, 0xf3);
	}
	if (s->size == 2)
		emit_u8(e, 0x66);
	if (s->size == 8)
		emit_u8(e, 0x48);
	emit_u8(e, cur_insn(s->b)->opcode);
	if (s->movs)
		emit_rm(e, OPC(0x2b), 8, H_RSI, &source); /* SUB */
	emit_rr(e, OPC(0x29), 8, H_T2, H_RDI);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void repeat(struct string *s)
{
	const struct hmem requests = hmem_ctx(CTX(requests));
	unsigned count = reg_host(X86_RCX);
	struct emit *e = &s->b->e;
	uint8_t *none, *again = NULL;
	const uint8_t *top;

	emit_rr(e, OPC(0x85), 8, count, count); /* TEST */
	none = emit_jcc(e, CC_E);
	top = e->p;
	emit_rm(e, OPC(0x83), 4, 7, &requests); /* CMP m32, imm8 */
	emit_u8(e, 0);
	slow_if(s, CC_NE);
	measure(s);
	run(s);
	emit_rr(e, OPC(0x29), 8, H_T0, count); /* SUB */
	again = emit_jcc(e, CC_NE);
	if (e->full)
		return;
	emit_patch32(again, top);
	emit_patch32(none, e->p);
}

static void fall_back(struct string *s)
{
	struct emit *e = &s->b->e;
	uint8_t *over = emit_jmp_far(e);

	for (unsigned i = 0; i < s->nslow && !e->full; i++)
		emit_patch32(s->slow[i], e->p);
	if (s->keeps_flags)
		flags_restore(s->b, SCR_SPILL2, H_T0);
	gen_interp(s->b);
	if (!e->full)
		emit_patch32(over, e->p);
}

void gen_string(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	struct string s = {.b = b,
			   .size = in->opnd[0].size,
			   .movs = in->op == X86_OP_MOVS,
			   .rep = in->prefixes & (X86_PFX_REP | X86_PFX_REPN),
			   .keeps_flags = cur_live(b) != 0};
	const struct hmem df = hmem_ctx(DF_BYTE);

	if (s.keeps_flags)
		flags_save(b, SCR_SPILL2, H_T0);
	emit_rm(&b->e, OPC(0xf6), 1, 0, &df); /* TEST m8, imm8 */
	emit_u8(&b->e, DF_IN_BYTE);
	slow_if(&s, CC_NE);
	if (s.rep) {
		repeat(&s);
	} else {
		measure(&s);
		run(&s);
	}
	if (s.keeps_flags)
		flags_restore(b, SCR_SPILL2, H_T0);
	fall_back(&s);
}
