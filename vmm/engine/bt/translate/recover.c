/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead status flags, for those who see them: handlers of exceptions. A check may clobber flags that
 * the code behind it overwrites. Should it fail, they are made again from the operands and the
 * result of the instruction that had set them, as far as registers and memory still hold those.
 * Where they will not, and that is known when the block is translated, the flags are kept live.
 *
 * What set them before the block began is not known: those stay clobbered.
 */
#include "vmm/engine/bt/interp/interp.h"
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/build.h"

#define BEFORE (-1) /* the block's first instruction */

static const uint16_t flag_bits[TR_FLAGS] = {FL_CF, FL_PF, FL_AF, FL_ZF, FL_SF, FL_OF};

/* ---- who set what ---------------------------------------------------------------------------- */

static bool writes_memory(const struct tr_insn *ti)
{
	switch (ti->in.op) {
	case X86_OP_PUSH:
	case X86_OP_PUSHF:
		return true;
	default:
		break;
	}
	for (unsigned i = 0; i < ti->in.nops; i++)
		if (ti->in.opnd[i].kind == X86_OPK_MEM && (ti->in.opnd[i].access & X86_ACC_WRITE))
			return true;
	return ti->gen->flags & GEN_BARRIER;
}

/* The trail behind instruction `i`. */
static void follow(const struct tr_build *b, unsigned i, struct tr_trail *t)
{
	const struct x86_desc *d = b->insn[i].in.desc;
	unsigned sets = d->flags_write | d->flags_undef;

	if (writes_memory(&b->insn[i]))
		t->store = (int8_t)i;
	for (unsigned f = 0; f < TR_FLAGS; f++) {
		if (!(sets & flag_bits[f]))
			continue;
		if (d->attr & X86_AT_COND) { /* set by this one or by the one before */
			t->blurred |= flag_bits[f];
		} else {
			t->blurred &= ~flag_bits[f];
			t->writer[f] = (int8_t)i;
		}
	}
}

static void follow_all(struct tr_build *b)
{
	struct tr_trail *t = b->trail;

	*t = (struct tr_trail){.store = BEFORE};
	for (unsigned f = 0; f < TR_FLAGS; f++)
		t->writer[f] = BEFORE;
	for (unsigned i = 0; i < b->n; i++) {
		b->trail[i + 1] = b->trail[i];
		follow(b, i, &b->trail[i + 1]);
	}
}

/* ---- where a value is now -------------------------------------------------------------------- */

struct origin {
	enum {
		ORIGIN_NONE,
		ORIGIN_REG,
		ORIGIN_IMM,
		ORIGIN_MEM
	} kind;
	uint8_t reg;
	bool high;    /* the register's second byte */
	uint64_t add; /* to the register; the immediate */
};

/* How the flags of an instruction follow from a, b and their result r. */
enum form {
	FORM_OTHER,
	FORM_SUM,    /* r = a + b */
	FORM_DIFF,   /* r = a - b */
	FORM_LOGIC,  /* all by r */
	FORM_TEST,   /* r = a & b */
	FORM_RESULT, /* ZF, SF, PF by r */
	FORM_CLEAR,  /* CF = 0 */
	FORM_SET,    /* CF = 1 */
};

struct source {
	enum form form;
	unsigned size;
	struct origin a, b, r;
};

#define BY_RESULT (FL_ZF | FL_SF | FL_PF)

/* While an instruction that may have done a part of its work faults, its registers are not those
 * from before. */
static bool is_changing(const struct x86_insn *in, unsigned reg)
{
	return in->desc->cls == X86_CLS_STRING &&
	       (reg == X86_RCX || reg == X86_RSI || reg == X86_RDI);
}

/* The value that `reg` had before instruction `then`, before instruction `now`. */
static struct origin find_value(const struct tr_build *b, unsigned then, unsigned reg, unsigned now)
{
	struct tr_value want = b->value[then][reg];

	for (unsigned k = 0; k < X86_NGPR; k++) {
		unsigned r = (reg + k) % X86_NGPR;
		const struct tr_value *v = &b->value[now][r];

		if (v->id == want.id && !is_changing(&b->insn[now].in, r))
			return (struct origin){.kind = ORIGIN_REG,
					       .reg = (uint8_t)r,
					       .add = (uint64_t)((int64_t)want.offset - v->offset)};
	}
	return (struct origin){ORIGIN_NONE};
}

static bool has_value(const struct tr_build *b, unsigned then, unsigned reg, unsigned now)
{
	return reg >= X86_NGPR || find_value(b, then, reg, now).kind != ORIGIN_NONE;
}

/*
 * Memory operands are read again: nothing may have been stored, not by an instruction that faults
 * when it has done a part of its work either, and their address must be known.
 */
static struct origin find_memory(const struct tr_build *b, unsigned writer, unsigned then,
				 unsigned now)
{
	const struct x86_insn *in = &b->insn[writer].in;

	if (b->trail[now].store >= (int)then || (b->insn[now].gen->flags & GEN_BARRIER) ||
	    !has_value(b, writer, in->mem.base, now) || !has_value(b, writer, in->mem.index, now))
		return (struct origin){ORIGIN_NONE};
	return (struct origin){.kind = ORIGIN_MEM};
}

/* Operand `i` of the writer, before instruction `then`: itself or the next. */
static struct origin find_operand(const struct tr_build *b, unsigned writer, unsigned i,
				  unsigned then, unsigned now)
{
	const struct x86_insn *in = &b->insn[writer].in;
	const struct x86_operand *o = &in->opnd[i];
	struct origin from = {ORIGIN_NONE};

	switch (o->kind) {
	case X86_OPK_GPR:
		from = find_value(b, then, o->reg % X86_NGPR, now);
		from.high = o->reg >= X86_NGPR;
		if (from.high && from.add)
			from.kind = ORIGIN_NONE;
		return from;
	case X86_OPK_IMM:
		return (struct origin){.kind = ORIGIN_IMM, .add = in->imm};
	case X86_OPK_MEM:
		return find_memory(b, writer, then, now);
	default:
		return from;
	}
}

static enum form form_of(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_ADD:
	case X86_OP_INC:
		return FORM_SUM;
	case X86_OP_SUB:
	case X86_OP_CMP:
	case X86_OP_DEC:
	case X86_OP_NEG:
		return FORM_DIFF;
	case X86_OP_AND:
	case X86_OP_OR:
	case X86_OP_XOR:
		return FORM_LOGIC;
	case X86_OP_TEST:
		return FORM_TEST;
	case X86_OP_ADC:
	case X86_OP_SBB:
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
		return FORM_RESULT;
	case X86_OP_CLC:
		return FORM_CLEAR;
	case X86_OP_STC:
		return FORM_SET;
	default:
		return FORM_OTHER;
	}
}

static bool same_register(const struct x86_insn *in)
{
	return in->nops == 2 && in->opnd[0].kind == X86_OPK_GPR &&
	       in->opnd[1].kind == X86_OPK_GPR && in->opnd[0].reg == in->opnd[1].reg;
}

static struct source find_source(const struct tr_build *b, unsigned writer, unsigned now)
{
	const struct x86_insn *in = &b->insn[writer].in;
	struct source s = {.form = form_of(in), .size = in->opnd[0].size};

	if (s.form == FORM_OTHER || s.form == FORM_CLEAR || s.form == FORM_SET)
		return s;
	if ((in->op == X86_OP_XOR || in->op == X86_OP_SUB) && same_register(in)) {
		s.a = s.b = s.r = (struct origin){.kind = ORIGIN_IMM};
		return s;
	}
	s.a = find_operand(b, writer, 0, writer, now);
	if (in->op == X86_OP_INC || in->op == X86_OP_DEC)
		s.b = (struct origin){.kind = ORIGIN_IMM, .add = 1};
	else if (in->nops == 2)
		s.b = find_operand(b, writer, 1, writer, now);
	if (in->op == X86_OP_NEG) {
		s.b = s.a;
		s.a = (struct origin){.kind = ORIGIN_IMM};
	}
	if (in->opnd[0].access & X86_ACC_WRITE)
		s.r = find_operand(b, writer, 0, writer + 1, now);
	return s;
}

static bool is_known(const struct origin *o)
{
	return o->kind != ORIGIN_NONE;
}

/* Which flags follow from that. */
static unsigned flags_by(const struct source *s)
{
	switch (s->form) {
	case FORM_SUM:
	case FORM_DIFF:
		if (is_known(&s->a) + is_known(&s->b) + is_known(&s->r) >= 2)
			return X86_F_STATUS;
		return is_known(&s->r) ? BY_RESULT : 0;
	case FORM_LOGIC:
		return is_known(&s->r) ? X86_F_STATUS : 0;
	case FORM_TEST:
		return is_known(&s->a) && is_known(&s->b) ? X86_F_STATUS : 0;
	case FORM_RESULT:
		return is_known(&s->r) ? BY_RESULT : 0;
	case FORM_CLEAR:
	case FORM_SET:
		return FL_CF;
	default:
		return 0;
	}
}

static void no_rereading(struct source *s)
{
	struct origin *all[] = {&s->a, &s->b, &s->r};

	for (unsigned i = 0; i < 3; i++)
		if (all[i]->kind == ORIGIN_MEM)
			all[i]->kind = ORIGIN_NONE;
}

/*
 * The flags before instruction `now` that `writer` has set and that can be told; those that it
 * leaves undefined are anything. Where flags are live, memory is not read again: it may have
 * changed, and they are what it was.
 */
static unsigned tell(const struct tr_build *b, unsigned writer, unsigned now, bool rereads,
		     struct source *s)
{
	*s = find_source(b, writer, now);
	if (!rereads)
		no_rereading(s);
	return flags_by(s);
}

/* ---- when a block is translated -------------------------------------------------------------- */

static bool can_fault(const struct tr_insn *ti)
{
	return insn_accesses(ti) || ti->gen->fn == gen_moffs || (ti->gen->flags & GEN_BARRIER) ||
	       ti->in.desc->cls == X86_CLS_X87 || ti->in.desc->cls == X86_CLS_MMX ||
	       ti->in.desc->cls == X86_CLS_SSE || ti->in.desc->cls == X86_CLS_AVX;
}

static bool is_shift(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_ROL:
	case X86_OP_ROR:
	case X86_OP_RCL:
	case X86_OP_RCR:
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
	case X86_OP_SHLD:
	case X86_OP_SHRD:
		return true;
	default:
		return false;
	}
}

/* Shifts forget what they have shifted out. To keep that costs user code that shifts a lot, such as
 * gzip, 5 %, and nobody there looks at it. */
static bool is_given_up(const struct tr_build *b, unsigned writer, bool is_blurred)
{
	return (b->mode & BT_MODE_USER) && (is_blurred || is_shift(&b->insn[writer].in));
}

/* Those of the dead flags before instruction `now` that nothing will tell. */
static unsigned lost_at(const struct tr_build *b, unsigned now)
{
	const struct tr_trail *t = &b->trail[now];
	unsigned live = b->insn[now].live, lost = 0, told = 0;
	int last = BEFORE;
	struct source s;

	for (unsigned f = 0; f < TR_FLAGS; f++) {
		int writer = t->writer[f];

		if (writer == BEFORE || (live & flag_bits[f]))
			continue;
		if (writer != last)
			told = tell(b, (unsigned)writer, now, !live, &s) |
			       b->insn[writer].in.desc->flags_undef;
		last = writer;
		if (((t->blurred | ~told) & flag_bits[f]) &&
		    !is_given_up(b, (unsigned)writer, t->blurred & flag_bits[f]))
			lost |= flag_bits[f];
	}
	return lost;
}

/* Live from where they were set on. */
static void keep(struct tr_build *b, unsigned now, unsigned flags)
{
	for (unsigned f = 0; f < TR_FLAGS; f++)
		if (flags & flag_bits[f])
			for (int i = b->trail[now].writer[f] + 1; i <= (int)now; i++)
				b->insn[i].live |= flag_bits[f];
}

/* Where to begin at a fault; its own place if there is nothing to tell. */
static void note_since(struct tr_build *b, unsigned now)
{
	int first = (int)now;

	for (unsigned f = 0; f < TR_FLAGS; f++) {
		int writer = b->trail[now].writer[f];

		if (!(b->insn[now].live & flag_bits[f]) && writer != BEFORE && writer < first)
			first = writer;
	}
	b->insn[now].since = b->insn[first].off;
}

/* From the last on, whose flags may have to be live where others are. */
void recover_plan(struct tr_build *b)
{
	if (b->mode & TR_MODE_COPY)
		return;
	follow_all(b);
	for (unsigned i = b->n; i-- > 0;) {
		unsigned lost;

		while (can_fault(&b->insn[i]) && (lost = lost_at(b, i)))
			keep(b, i, lost); /* and again: nothing is read again now */
		note_since(b, i);
	}
}

/* ---- when an instruction faults -------------------------------------------------------------- */

BT_ALU(alu_add, "add")
BT_ALU(alu_sub, "sub")
BT_ALU(alu_and, "and")

static uint64_t value_of(const struct tr_build *b, const struct origin *o)
{
	uint64_t gpr = o->kind == ORIGIN_REG ? b->v->gpr[o->reg] : 0;

	return o->high ? gpr >> 8 : gpr + o->add;
}

static uint64_t register_then(const struct tr_build *b, unsigned then, unsigned reg)
{
	struct origin o;

	if (reg >= X86_NGPR)
		return 0;
	o = find_value(b, then, reg, b->n - 1);
	return value_of(b, &o);
}

/* Only where it is plain memory. */
static bool read_again(const struct tr_build *b, unsigned writer, unsigned size, uint64_t *val)
{
	const struct x86_insn *in = &b->insn[writer].in;
	struct bt_fault fault = b->v->fault;
	uint64_t va = (uint64_t)in->mem.disp;
	const void *host;

	va += in->mem.base == X86_REG_RIP ? b->va + b->insn[writer].off + in->len
					  : register_then(b, writer, in->mem.base);
	va += register_then(b, writer, in->mem.index) * in->mem.scale;
	if (in->addrsize == 4)
		va = (uint32_t)va;
	if (in->mem.seg == X86_FS || in->mem.seg == X86_GS)
		va += b->v->segbase[in->mem.seg];
	host = bt_host(b->v, va, size, BT_READ);
	b->v->fault = fault;
	*val = 0;
	if (host)
		bt_copy_atomic(val, host, size);
	return host != NULL;
}

/* false: it was not to be read. */
static bool take(const struct tr_build *b, unsigned writer, struct origin *o, unsigned size,
		 uint64_t *val)
{
	*val = value_of(b, o);
	if (o->kind != ORIGIN_MEM || read_again(b, writer, size, val))
		return true;
	o->kind = ORIGIN_NONE;
	return false;
}

static uint64_t compute(const struct source *s, uint64_t a, uint64_t b, uint64_t r)
{
	bool both = is_known(&s->a) && is_known(&s->b);
	uint64_t fl = 0;

	switch (s->form) {
	case FORM_SUM:
	case FORM_DIFF:
		if (!both && !is_known(&s->a) && !is_known(&s->b))
			alu_and(s->size, r, r, &fl);
		else if (s->form == FORM_SUM)
			alu_add(s->size, is_known(&s->a) ? a : r - b, is_known(&s->b) ? b : r - a,
				&fl);
		else
			alu_sub(s->size, is_known(&s->a) ? a : r + b, is_known(&s->b) ? b : a - r,
				&fl);
		break;
	case FORM_TEST:
		alu_and(s->size, a, b, &fl);
		break;
	case FORM_LOGIC:
	case FORM_RESULT:
		alu_and(s->size, r, r, &fl);
		break;
	default:
		fl = s->form == FORM_SET ? FL_CF : 0;
		break;
	}
	return fl;
}

/* The flags that instruction `writer` has set, as far as that can be told. */
static unsigned flags_of(const struct tr_build *b, unsigned writer, bool rereads, uint64_t *fl)
{
	uint64_t x = 0, y = 0, r = 0;
	struct source s;

	if (!tell(b, writer, b->n - 1, rereads, &s))
		return 0;
	take(b, writer, &s.a, s.size, &x);
	take(b, writer, &s.b, s.size, &y);
	take(b, writer, &s.r, s.size, &r);
	*fl = compute(&s, x, y, r);
	return flags_by(&s);
}

/* The block's instructions from `since` up to the one at `off`. */
static bool decode_again(struct tr_build *b, const struct tr_block *blk, unsigned since,
			 unsigned off)
{
	struct bt_slot *slot = bt_slot_find(b->v->vm, blk->gpa);
	const uint8_t *p = slot ? slot->host + (blk->gpa - slot->gpa) : NULL;

	b->va = blk->va;
	b->mode = blk->mode;
	b->x86_mode = blk->mode & BT_MODE_CODE64 ? X86_MODE_64 : X86_MODE_32;
	b->n = 0;
	for (unsigned at = since; p && at <= off && b->n < TR_MAX_INSNS; b->n++) {
		struct tr_insn *ti = &b->insn[b->n];
		int len = x86_decode(p + at, blk->len - at, b->x86_mode, &ti->in);

		if (len <= 0)
			return false;
		ti->gen = gen_find(b, &ti->in);
		ti->off = (uint16_t)at;
		at += (unsigned)len;
	}
	return b->n && b->insn[b->n - 1].off == off;
}

void tr_recover_flags(struct translator *t, const struct tr_block *blk, unsigned since,
		      unsigned off, bool all_dead)
{
	struct tr_build *b = t->build;
	const struct tr_trail *trail;
	unsigned told = 0;
	int last = BEFORE;
	uint64_t fl = 0;

	b->t = t;
	b->v = t->v;
	if (since == off || blk->crosses || !decode_again(b, blk, since, off))
		return;
	values_analyse(b);
	follow_all(b);
	trail = &b->trail[b->n - 1];
	for (unsigned f = 0; f < TR_FLAGS; f++) {
		int writer = trail->writer[f];

		if (writer == BEFORE || (trail->blurred & flag_bits[f]))
			continue;
		if (writer != last)
			told = flags_of(b, (unsigned)writer, all_dead, &fl);
		last = writer;
		if (told & flag_bits[f])
			t->v->rflags =
				(t->v->rflags & ~(uint64_t)flag_bits[f]) | (fl & flag_bits[f]);
	}
}
