/* SPDX-License-Identifier: Apache-2.0 */
/* One block from guest bytes to host code: decode, analyse, generate, register. */
#include <string.h>

#include "vmm/engine/bt/debug.h"
#include "vmm/engine/bt/translate/build.h"

#define MAX_JCC    6 /* conditional branches that a block runs on behind */
#define MAX_LAPS   4
#define CACHE_LINE 64

/* ---- decoding
 * ------------------------------------------------------------------------------------ */

bool bt_is_conditional_jump(const struct x86_insn *in)
{
	return in->op == X86_OP_JCC || in->op == X86_OP_JRCXZ || in->op == X86_OP_LOOP ||
	       in->op == X86_OP_LOOPE || in->op == X86_OP_LOOPNE;
}

/* Code that exists already need not be made again behind a conditional branch. */
static bool exists(const struct tr_build *b, unsigned off)
{
	return tr_block_find(b->t, b->va + off, b->gpa + off, b->mode) != TR_NONE;
}

/*
 * A short loop's block holds several turns, which share checks and one look at requests. `lap`
 * becomes the instructions of one.
 */
static bool turns_again(const struct tr_build *b, unsigned max, unsigned *lap)
{
	if (!insn_goes_back(&b->insn[b->n - 1]) || bt_breaks_at(b->v, b->va))
		return false;
	if (!*lap)
		*lap = b->n;
	return b->n < MAX_LAPS * *lap && b->n + *lap <= max;
}

static void decode(struct tr_build *b, unsigned room, unsigned max)
{
	unsigned off = 0, branches = 0, lap = 0;

	b->n = 0;
	b->ended = b->next_crosses = false;
	while (b->n < max && off < room && !(b->n && bt_breaks_at(b->v, b->va + off))) {
		struct tr_insn *ti = &b->insn[b->n];
		int len = x86_decode(b->raw + off, room - off, b->x86_mode, &ti->in);

		if (len <= 0) {
			b->next_crosses = len == X86_DECODE_PARTIAL;
			break;
		}
		ti->raw = b->raw + off;
		ti->off = (uint16_t)off;
		ti->window = 0;
		ti->turns = false;
		ti->gen = gen_find(b, &ti->in);
		off += (unsigned)len;
		b->n++;
		if (ti->gen->flags & GEN_END) {
			b->ended = true;
			break;
		}
		ti->turns = turns_again(b, max, &lap);
		if (ti->turns)
			off = 0;
		else if (bt_is_conditional_jump(&ti->in) &&
			 (++branches == MAX_JCC || exists(b, off)))
			break;
	}
}

/* ---- emission
 * ------------------------------------------------------------------------------------ */

static uint32_t here(const struct tr_build *b)
{
	return (uint32_t)(b->e.p - b->t->rw);
}

#define NEAR_LEN    14 /* of emit_indirect()'s code */
#define FAR_LEN     21
#define ENTRY_ALIGN 16

static bool is_near(const struct tr_build *b)
{
	int64_t minus = -(int64_t)b->va;

	return minus == (int32_t)minus;
}

/* Most jumps go to `entry`: the host decodes what it has fetched from there on, 16 bytes in a go.
 */
static uint32_t block_start(const struct tr_build *b)
{
	uint32_t before = (is_near(b) ? NEAR_LEN : FAR_LEN) + TR_POLL_LEN;

	return ((b->t->used + before + ENTRY_ALIGN - 1) & ~(ENTRY_ALIGN - 1u)) - before;
}

/*
 * The entry for jumps through the jump cache, which have not compared: H_T0 must be the block's
 * address. Returns the jump to `entry`.
 */
static uint8_t *emit_indirect(struct tr_build *b)
{
	int64_t minus = -(int64_t)b->va;
	struct emit *e = &b->e;
	uint8_t *same;

	if (is_near(b)) {
		emit_lea(e, 8, H_RCX, hmem_base(H_T0, (int32_t)minus));
	} else {
		emit_mov_imm(e, H_RCX, (uint64_t)minus);
		emit_lea(e, 8, H_RCX, hmem_index(H_RCX, H_T0, 0));
	}
	same = emit_jrcxz(e);
	emit_jmp(e, b->t->stub_second);
	return same;
}

/*
 * The entry for jumps that could be part of a loop: leaves if something is requested, TR_POLL_LEN
 * bytes. To compare a register with memory is one operation with the branch. It leaves as well if
 * RSP is 0; then C goes on at `entry`.
 */
static void emit_poll(struct tr_build *b)
{
	const struct hmem hurry = hmem_ctx(CTX(hurry));
	struct emit *e = &b->e;
	uint8_t *none;

	if (b->insn[0].live) {
		emit_load(e, 4, H_RCX, hurry);
		none = emit_jrcxz(e);
		b->poll_jump = emit_jmp_far(e);
		emit_patch8(none, e->p);
	} else {
		emit_rm(e, OPC(0x3b), 8, H_RSP, &hurry); /* CMP */
		b->poll_jump = emit_jcc(e, CC_BE);
	}
}

static bool is_segment_start(const struct tr_build *b)
{
	return !b->cur || bt_is_conditional_jump(&b->insn[b->cur - 1].in);
}

static void add_to_counter(struct emit *e, int32_t counter, unsigned n)
{
	struct hmem at = hmem_ctx(counter);

	if (!n)
		return;
	emit_load(e, 8, H_RCX, at);
	emit_lea(e, 8, H_RCX, hmem_base(H_RCX, (int32_t)n)); /* leaves flags alone */
	emit_store(e, 8, at, H_RCX);
}

unsigned insn_accesses(const struct tr_insn *ti)
{
	unsigned n = ti->gen->flags & GEN_STACK ? 1 : 0;

	for (unsigned i = 0; i < ti->in.nops; i++)
		n += ti->in.opnd[i].kind == X86_OPK_MEM && !(ti->gen->flags & GEN_NOMEM);
	return n;
}

/* For a profile: the instructions up to the next conditional branch, and their accesses. */
static void emit_counts(struct tr_build *b)
{
	unsigned insns = 0, accesses = 0;

	if (!b->t->counts || b->mode & TR_MODE_COPY || !is_segment_start(b))
		return;
	for (unsigned i = b->cur; i < b->n; i++) {
		insns++;
		accesses += insn_accesses(&b->insn[i]);
		if (bt_is_conditional_jump(&b->insn[i].in))
			break;
	}
	add_to_counter(&b->e, CTX(stat.counted_insns), insns);
	add_to_counter(&b->e, CTX(stat.counted_accesses), accesses);
}

static void emit_insns(struct tr_build *b)
{
	struct translator *t = b->t;
	struct tr_block *blk = &t->block[b->block];

	for (b->cur = 0; b->cur < b->n && !b->e.full; b->cur++) {
		struct tr_insn *ti = &b->insn[b->cur];

		t->pc[t->npcs++] =
			(struct tr_pc){(uint16_t)(here(b) - blk->indirect),
				       (uint16_t)(ti->off | (ti->parked ? TR_PC_PARKED : 0) |
						  (ti->live ? 0 : TR_PC_DEAD))};
		blk->npcs++;
		emit_counts(b);
		park_before(b);
		plan_before(b);
		ti->gen->fn(b);
		site_finish(b);
		plan_after(b);
	}
	b->cur = b->n - 1;
	park_end(b);
	if (b->mode & TR_MODE_COPY)
		cross_end(b);
	else if (!b->ended)
		exit_next(b);
}

static void emit_cold(struct tr_build *b)
{
	const struct translator *t = b->t;

	if (b->e.full)
		return;
	b->e = tr_emit(t, t->rw + t->slow_used, t->rw + t->slow_used + TR_BLOCK_ROOM);
	emit_patch32(b->poll_jump, b->e.p);
	emit_mov_imm(&b->e, H_RCX, b->block);
	emit_jmp(&b->e, t->stub_poll);
	exit_stubs(b);
	slow_emit(b);
}

/* Does the block jump to itself? */
static bool is_loop(const struct tr_build *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct tr_insn *ti = &b->insn[i];

		if ((bt_is_conditional_jump(&ti->in) || ti->in.op == X86_OP_JMP) &&
		    ti->off + ti->in.len + ti->in.imm == 0)
			return true;
	}
	return false;
}

/* Both entries from elsewhere. A loop begins with a cache line, so that it is in no more than it
 * must: one more makes it up to a quarter slower. */
static uint8_t *emit_entries(struct tr_build *b)
{
	struct tr_block *blk = &b->t->block[b->block];
	uint8_t *start = b->e.p, *same = emit_indirect(b);
	unsigned over = here(b) % CACHE_LINE;

	if (over && is_loop(b)) {
		b->e.p = start + CACHE_LINE - over;
		blk->indirect = here(b);
		same = emit_indirect(b);
	}
	blk->poll = here(b);
	emit_poll(b);
	return same;
}

static void emit_block(struct tr_build *b)
{
	struct translator *t = b->t;
	struct tr_block *blk = &t->block[b->block];
	uint8_t *same;

	b->e = tr_emit(t, t->rw + block_start(b), t->rw + t->used + TR_BLOCK_ROOM);
	b->nslow = b->nexits = b->open = 0;
	b->parked = false;
	b->pending_site = t->nsites;
	b->x87.code = false;
	b->x87.data = 0;
	b->comes_back = false;
	b->late = 0;
	blk->first_link = t->nlinks;
	blk->first_pc = t->npcs;
	blk->indirect = here(b);
	same = emit_entries(b);
	blk->entry = here(b);
	emit_patch8(same, b->e.p);
	emit_insns(b);
	blk->end = here(b);
	emit_cold(b);
}

/* ---- the whole
 * ----------------------------------------------------------------------------------- */

/* Where the bytes come from: [host, host + room) and, for a crossing instruction, [rest, ...). */
struct source {
	gpa_t gpa, rest;
	const uint8_t *host, *rest_host; /* rest_host: NULL if nothing crosses */
	unsigned room;
};

static void mark(struct tr_build *b, const struct source *s)
{
	struct bt_vm *vm = b->v->vm;
	const struct tr_block *blk = &b->t->block[b->block];

	bt_code_mark(vm, b->gpa, blk->len);
	for (unsigned i = 0; i < blk->npeeks; i++)
		bt_code_mark(vm, (b->gpa & BT_PAGE_MASK) + blk->peek[i].lo,
			     blk->peek[i].hi - blk->peek[i].lo);
	if (blk->crosses)
		bt_code_mark(vm, s->rest, blk[1].len);
}

/* Makes both pages code pages and takes the lock, as bt_code_begin() does for one. */
static bool begin(struct bt_vcpu *v, const struct source *s)
{
	struct bt_page *rest;

	if (!s->rest_host)
		return bt_code_begin(v, s->gpa);
	do {
		rest = bt_code_begin(v, s->rest);
		if (!rest)
			return false;
		bt_code_end(v);
		if (!bt_code_begin(v, s->gpa))
			return false;
		if (atomic_load(&rest->is_code) || bt_slot_find(v->vm, s->rest)->readonly)
			return true;
		bt_code_end(v);
	} while (true);
}

static void decode_bytes(struct tr_build *b, const struct source *s)
{
	unsigned more = s->rest_host ? X86_MAX_INSN_LEN : 0;

	memcpy(b->raw, s->host, s->room);
	if (more)
		memcpy(b->raw + s->room, s->rest_host, more);
	b->page = s->host - (s->gpa & (BT_PAGE - 1));
	decode(b, s->room + more, more || b->mode & TR_MODE_COPY ? 1 : TR_MAX_INSNS);
}

static void set_extent(struct tr_build *b, const struct source *s)
{
	struct tr_block *blk = &b->t->block[b->block];
	unsigned len = 0;

	for (unsigned i = 0; i < b->n; i++)
		if (b->insn[i].off + b->insn[i].in.len > len)
			len = b->insn[i].off + b->insn[i].in.len;
	blk->crosses = s->rest_host != NULL && len > s->room;
	blk->len = (uint16_t)(blk->crosses ? s->room : len);
	if (blk->crosses)
		blk[1] = (struct tr_block){.va = b->va,
					   .gpa = s->rest,
					   .mode = b->mode,
					   .len = (uint16_t)(len - s->room),
					   .is_rest = true};
}

/* Decodes with the page's bytes held still. */
static bool decode_block(struct tr_build *b, const struct source *s)
{
	if (!begin(b->v, s))
		return false;
	decode_bytes(b, s);
	if (b->n) {
		set_extent(b, s);
		flags_analyse(b);
		mark(b, s);
	}
	bt_code_end(b->v);
	return b->n != 0;
}

static void insert(struct tr_build *b)
{
	struct translator *t = b->t;
	struct tr_block *blk = &t->block[b->block];

	t->nblocks++;
	t->used = blk->end;
	t->v->stat.host_bytes += blk->end - blk->indirect + here(b) - t->slow_used;
	t->slow_used = here(b);
	t->v->stat.blocks++;
	t->v->stat.translated_insns += b->n;
	tr_trace(t, "translates", blk);
	if (!blk->crosses) {
		tr_block_insert(t, b->block);
		return;
	}
	blk[1].indirect = blk[1].poll = blk[1].entry = blk[1].end = blk->end;
	t->nblocks++;
	tr_block_insert_crossing(t, b->block);
}

static uint32_t translate(struct translator *t, uint64_t va, uint32_t mode, const struct source *s)
{
	struct tr_build *b = t->build;

	if (tr_cache_full(t)) {
		t->v->stat.flushes_full++;
		tr_cache_flush(t);
	}
	b->t = t;
	b->v = t->v;
	b->va = va;
	b->gpa = s->gpa;
	b->mode = mode;
	b->x86_mode = mode & BT_MODE_CODE64 ? X86_MODE_64 : X86_MODE_32;
	b->block = t->nblocks;
	t->block[b->block] = (struct tr_block){.va = va, .gpa = s->gpa, .mode = mode};
	if (!decode_block(b, s))
		return TR_NONE;
	values_analyse(b);
	recover_plan(b);
	plan_windows(b);
	park_plan(b);
	emit_block(b);
	if (b->e.full)
		return TR_NONE;
	insert(b);
	return b->block;
}

uint32_t tr_translate(struct translator *t, uint64_t va, gpa_t gpa, const uint8_t *host,
		      uint32_t mode)
{
	struct source s = {.gpa = gpa, .host = host};

	s.room = (unsigned)(BT_PAGE - (gpa & (BT_PAGE - 1)));
	if (s.room > TR_MAX_RAW)
		s.room = TR_MAX_RAW;
	return translate(t, va, mode, &s);
}

uint32_t tr_translate_crossing(struct translator *t, uint64_t va, gpa_t gpa, const uint8_t *host,
			       gpa_t rest, const uint8_t *rest_host, uint32_t mode)
{
	struct source s = {.gpa = gpa, .host = host, .rest = rest, .rest_host = rest_host};

	s.room = (unsigned)(BT_PAGE - (gpa & (BT_PAGE - 1)));
	return translate(t, va, mode, &s);
}
