/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions by the host's own, a repetition page by page: as many elements as are left in
 * the pages of both addresses, with the addends in the index registers meanwhile. Pages without
 * tags, elements across pages, DF and requests are the interpreter's.
 */
#include "vmm/engine/bt/translate/build.h"

#define MAX_SLOW   6
#define DF_BYTE    (CTX(rflags) + 1)
#define DF_IN_BYTE (FL_DF >> 8)

struct string {
	struct tr_build *b;
	unsigned size;  /* of an element */
	unsigned width; /* of an address */
	bool source;    /* accesses [RSI], */
	bool dest;      /* [RDI], */
	bool writes;    /* the latter by storing */
	bool compares;  /* sets flags; a repetition ends by them, too */
	bool rep, keeps_flags;
	uint8_t *slow[MAX_SLOW]; /* jumps to the interpreter */
	unsigned nslow;
};

static void slow_if(struct string *s, unsigned cc)
{
	s->slow[s->nslow++] = emit_jcc(&s->b->e, cc);
}

/* ---- one run --------------------------------------------------------------------------------- */

/* `dst` = a number of which the last byte of an element at `reg` tells how much of its page is
 * left. H_T1 tells the TLB entry then. */
static void check(struct string *s, unsigned reg, bool write, unsigned dst)
{
	struct emit *e = &s->b->e;
	struct hmem tag = mem_tlb_tag(write);

	mem_tlb_entry(&s->b->e, reg);
	emit_mov(e, 8, dst, reg);
	emit_rm(e, OPC(0x03), 8, dst, &tag); /* ADD */
	emit_alu_imm(e, 7, 8, dst, (int32_t)(BT_PAGE - s->size));
	slow_if(s, CC_A);
}

/* dst = bytes from the address in `reg` to its page's end, if there are repetitions. */
static void room(struct string *s, unsigned reg, bool write, unsigned dst)
{
	struct emit *e = &s->b->e;

	check(s, reg, write, dst);
	if (!s->rep)
		return;
	emit_rr(e, OPC(0xf7), 8, 3, dst); /* NEG */
	emit_alu_imm(e, 0, 8, dst, BT_PAGE);
}

/* reg = min(reg, other) */
static void at_most(struct emit *e, unsigned reg, unsigned other)
{
	emit_rr(e, OPC(0x39), 8, other, reg);    /* CMP */
	emit_rr(e, OPC_0F(0x47), 8, reg, other); /* CMOVA */
}

/* SCR_SPILL and H_T2 = addends of source and destination, H_T0 = elements of this run. */
static void measure(struct string *s)
{
	struct emit *e = &s->b->e;

	if (s->source) {
		room(s, H_RSI, false, H_T0);
		emit_load(e, 8, H_T2, mem_tlb_addend(false));
		emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL)), H_T2);
	}
	if (s->dest) {
		room(s, H_RDI, s->writes, s->source ? H_T2 : H_T0);
		if (s->source && s->rep)
			at_most(e, H_T0, H_T2);
		emit_load(e, 8, H_T2, mem_tlb_addend(s->writes));
	}
	if (!s->rep)
		return;
	if (s->size > 1)
		emit_shift(e, 5, 8, H_T0, (unsigned)__builtin_ctz(s->size));
	at_most(e, H_T0, reg_host(X86_RCX));
}

/* reg -= addend, which is lost. No flags touched; addresses of 32 bits wrap. */
static void take_off(struct string *s, unsigned reg, unsigned addend)
{
	emit_not(&s->b->e, addend);
	emit_lea(&s->b->e, s->width, reg, hmem_index(reg, addend, 1));
}

/* REPNE means REP where nothing is compared. */
static bool until_equal(const struct string *s)
{
	return s->compares && cur_insn(s->b)->prefixes & X86_PFX_REPN;
}

static void run(struct string *s)
{
	const struct hmem source = hmem_ctx(CTX_SCRATCH(SCR_SPILL));
	unsigned count = reg_host(X86_RCX);
	struct emit *e = &s->b->e;

	if (s->source)
		emit_rm(e, OPC(0x03), 8, H_RSI, &source); /* ADD */
	if (s->dest)
		emit_rr(e, OPC(0x01), 8, H_T2, H_RDI);
	if (s->rep) {
		emit_rr(e, OPC(0x29), 8, H_T0, count); /* SUB */
		emit_mov(e, 8, H_RCX, H_T0);
		emit_u8(e, until_equal(s) ? 0xf2 : 0xf3);
	}
	if (s->size == 2)
		emit_u8(e, 0x66);
	if (s->size == 8)
		emit_u8(e, 0x48);
	emit_u8(e, cur_insn(s->b)->opcode);
	if (s->source) {
		emit_load(e, 8, H_T0, source);
		take_off(s, H_RSI, H_T0);
	}
	if (s->dest)
		take_off(s, H_RDI, H_T2);
	if (s->rep && s->compares) /* what the run has left */
		emit_lea(e, s->width, count, hmem_index(count, H_RCX, 0));
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void restore(struct string *s)
{
	if (s->keeps_flags)
		flags_restore(&s->b->e, SCR_SPILL2, H_T0);
}

/* Runs until the count is 0 or a comparison ends it. Its flags stay, or else those from before. */
static void repeat(struct string *s)
{
	const struct hmem requests = hmem_ctx(CTX(requests));
	unsigned count = reg_host(X86_RCX);
	struct emit *e = &s->b->e;
	uint8_t *none, *ends = NULL, *done, *over = NULL;
	const uint8_t *top;

	emit_rr(e, OPC(0x85), 8, count, count); /* TEST */
	none = emit_jcc(e, CC_E);
	top = e->p;
	emit_rm_imm8(e, OPC(0x83), 4, 7, requests, 0); /* CMP */
	slow_if(s, CC_NE);
	measure(s);
	run(s);
	if (s->compares)
		ends = emit_jcc(e, until_equal(s) ? CC_E : CC_NE);
	emit_mov(e, 8, H_RCX, count);
	done = emit_jrcxz(e);
	if (s->compares && s->keeps_flags) /* for a fault in the next run */
		flags_save(&s->b->e, SCR_SPILL2, H_T0);
	emit_jmp(e, top);
	if (e->full)
		return;
	emit_patch8(done, e->p);
	if (s->compares) {
		emit_patch32(ends, e->p);
		over = emit_jmp_short(e);
	}
	emit_patch32(none, e->p);
	restore(s);
	if (over && !e->full)
		emit_patch8(over, e->p);
}

static void once(struct string *s)
{
	measure(s);
	run(s);
	if (!s->compares)
		restore(s);
}

static void fall_back(struct string *s)
{
	struct emit *e = &s->b->e;
	uint8_t *over = emit_jmp_far(e);

	for (unsigned i = 0; i < s->nslow && !e->full; i++)
		emit_patch32(s->slow[i], e->p);
	restore(s);
	gen_interp(s->b);
	if (!e->full)
		emit_patch32(over, e->p);
}

static void zero_extend(struct string *s)
{
	static const uint8_t regs[] = {X86_RSI, X86_RDI, X86_RCX};

	for (unsigned i = 0; i < sizeof(regs) && s->width == 4; i++)
		emit_mov(&s->b->e, 4, reg_host(regs[i]), reg_host(regs[i]));
}

void gen_string(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	const struct hmem df = hmem_ctx(DF_BYTE);
	struct string s = {.b = b,
			   .size = in->opnd[0].size,
			   .width = in->addrsize,
			   .source = in->op != X86_OP_STOS && in->op != X86_OP_SCAS,
			   .dest = in->op != X86_OP_LODS,
			   .writes = in->op == X86_OP_MOVS || in->op == X86_OP_STOS,
			   .compares = in->op == X86_OP_CMPS || in->op == X86_OP_SCAS,
			   .rep = in->prefixes & (X86_PFX_REP | X86_PFX_REPN),
			   .keeps_flags = cur_live(b) != 0};

	if (s.keeps_flags)
		flags_save(&b->e, SCR_SPILL2, H_T0);
	zero_extend(&s);
	emit_rm_imm8(&b->e, OPC(0xf6), 1, 0, df, DF_IN_BYTE); /* TEST */
	slow_if(&s, CC_NE);
	if (s.rep)
		repeat(&s);
	else
		once(&s);
	fall_back(&s);
}
