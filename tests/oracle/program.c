/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases that are programs: loops in loops with counters, branches forward, calls of functions that
 * lie behind, indirect jumps and calls through registers, memory and the stack. For what a
 * translator does along backward jumps and between blocks: turns of a loop in one block, checks
 * that they share, links, flags that live across blocks.
 *
 * Most instructions access memory off few pointers, which move. Since an instruction may be reached
 * from anywhere, flags that one leaves undefined are read by none.
 */
#include <string.h>

#include "tests/oracle/generate.h"
#include "x86/ops.h"

#define NPOINTERS  3
#define NFUNCTIONS 3
#define NCALLS     12
#define MAX_DEPTH  2   /* loops in loops */
#define MAIN_ROOM  290 /* bytes, without the ends of what is open */
#define ALL_ROOM   (CODE_MAX - 80)

struct program {
	struct sequence s;
	unsigned depth;              /* loops that are open */
	unsigned counter[MAX_DEPTH]; /* registers that nothing else writes meanwhile */
	unsigned ncounters;
	bool in_function; /* calls nothing, and leaves the stack as it is */
	struct {
		unsigned at, function; /* four bytes with the distance, or the address */
		bool relative;
	} call[NCALLS];
	unsigned ncalls, room;
};

/* ---- bytes ---------------------------------------------------------------------------------- */

static void put(struct program *p, unsigned byte)
{
	p->s.c->code[p->s.c->len++] = (uint8_t)byte;
}

static void put32(struct program *p, uint32_t val)
{
	memcpy(p->s.c->code + p->s.c->len, &val, 4);
	p->s.c->len += 4;
}

static void patch32(struct program *p, unsigned at, uint32_t val)
{
	memcpy(p->s.c->code + at, &val, 4);
}

static bool is_64(const struct program *p)
{
	return p->s.c->mode == X86_MODE_64;
}

static uint32_t address(const struct program *p, unsigned at)
{
	return (uint32_t)(case_start(p->s.c) + at);
}

/* One of the registers in the set; the set is not empty. */
static unsigned draw_of(struct rng *r, uint16_t set)
{
	for (;;) {
		unsigned reg = rng_below(r, X86_NGPR);

		if (set >> reg & 1)
			return reg;
	}
}

/* Registers that may get any value. */
static uint16_t free_registers(const struct program *p)
{
	uint16_t used = p->s.pointers | p->s.indices | p->s.counters | 1u << X86_RSP;

	return ~used & (is_64(p) ? 0xffff : 0xff);
}

static void put_rex(struct program *p, bool wide, unsigned reg, unsigned index, unsigned base)
{
	unsigned rex = 0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;

	if (is_64(p) && rex != 0x40)
		put(p, rex);
}

/* Opcode with a register operand and a digit or second register. */
static void put_registers(struct program *p, bool wide, unsigned opcode, unsigned reg, unsigned rm)
{
	put_rex(p, wide, reg, 0, rm);
	put(p, opcode);
	put(p, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static void put_load_constant(struct program *p, unsigned reg, uint32_t val)
{
	put_rex(p, false, 0, 0, reg);
	put(p, 0xb8 | (reg & 7));
	put32(p, val);
}

static void note_last(struct program *p, unsigned from)
{
	struct x86_insn in;
	unsigned at = from;

	while (case_next(p->s.c, &at, &in))
		sequence_note_flags(&p->s, &in);
}

/* ---- accesses to memory --------------------------------------------------------------------- */

static const struct {
	uint8_t prefix, map, opcode; /* map: 0 or 0F */
	uint8_t digits;              /* of /0, /1 ... so many; 0: any register */
	uint8_t imm;                 /* bytes */
} accesses[] = {
	{.opcode = 0x8b},
	{.opcode = 0x89},
	{.opcode = 0x8b},
	{.opcode = 0x89},
	{.opcode = 0x03},
	{.opcode = 0x01},
	{.opcode = 0x2b},
	{.opcode = 0x29},
	{.opcode = 0x33},
	{.opcode = 0x31},
	{.opcode = 0x3b},
	{.opcode = 0x39},
	{.opcode = 0x13},
	{.opcode = 0x1b},
	{.opcode = 0x11},
	{.opcode = 0x88},
	{.opcode = 0x8a},
	{.opcode = 0x85},
	{.opcode = 0x87},
	{.opcode = 0x8d},
	{.opcode = 0xff, .digits = 2},
	{.opcode = 0x83, .digits = 8, .imm = 1},
	{.opcode = 0x80, .digits = 8, .imm = 1},
	{.opcode = 0xc7, .digits = 1, .imm = 4},
	{.map = 0x0f, .opcode = 0xb6},
	{.map = 0x0f, .opcode = 0xbf},
	{.map = 0x0f, .opcode = 0xaf},
	{.map = 0x0f, .opcode = 0xc1},
	{.map = 0x0f, .opcode = 0xb1},
	{.map = 0x0f, .opcode = 0x44},
	{.map = 0x0f, .opcode = 0x92},
	{.map = 0x0f, .opcode = 0x10},
	{.map = 0x0f, .opcode = 0x11},
	{.prefix = 0xf3, .map = 0x0f, .opcode = 0x6f},
	{.prefix = 0x66, .map = 0x0f, .opcode = 0xd6},
	{.prefix = 0xf2, .map = 0x0f, .opcode = 0x10},
};
#define NACCESSES (sizeof(accesses) / sizeof(accesses[0]))

static int draw_disp(struct rng *r)
{
	if (rng_one_in(r, 6))
		return (int)rng_below(r, 2048) - 1024;
	return rng_one_in(r, 3) ? (int)rng_below(r, 256) - 128 : 8 * ((int)rng_below(r, 16) - 4);
}

static void put_operand(struct rng *r, struct program *p, unsigned reg, unsigned base,
			unsigned index)
{
	int disp = draw_disp(r);
	bool byte = disp == (int8_t)disp, sib = index != X86_RSP || (base & 7) == 4;

	put(p, (byte ? 0x40 : 0x80) | (reg & 7) << 3 | (sib ? 4 : base & 7));
	if (sib)
		put(p, (rng_next(r) & 0xc0) | (index & 7) << 3 | (base & 7));
	if (byte)
		put(p, (uint8_t)disp);
	else
		put32(p, (uint32_t)disp);
}

/* One of the table with its operand; false: it does not suit here. */
static bool try_access(struct rng *r, struct program *p)
{
	unsigned i = rng_below(r, NACCESSES), from = p->s.c->len;
	unsigned reg = rng_below(r, accesses[i].digits ? accesses[i].digits : is_64(p) ? 16 : 8);
	uint16_t low = is_64(p) ? 0xffff : 0xff;
	unsigned base = draw_of(r, p->s.pointers & low), index = X86_RSP; /* none */
	struct x86_insn in;

	if (base == X86_RSP && p->in_function &&
	    !rng_one_in(r, 32)) /* perhaps where to return to */
		return false;
	if (p->s.indices & low && rng_one_in(r, 4))
		index = draw_of(r, p->s.indices & low);
	if (accesses[i].prefix || rng_one_in(r, 12))
		put(p, accesses[i].prefix ? accesses[i].prefix : 0x66);
	put_rex(p, rng_one_in(r, 2), reg, index, base);
	if (accesses[i].map)
		put(p, accesses[i].map);
	put(p, accesses[i].opcode);
	put_operand(r, p, reg, base, index);
	for (unsigned n = 0; n < accesses[i].imm; n++)
		put(p, (uint8_t)rng_next(r));
	if (x86_decode(p->s.c->code + from, p->s.c->len - from, p->s.c->mode, &in) > 0 &&
	    in.len == p->s.c->len - from && insn_comparable(&in) &&
	    sequence_admits(r, &p->s, &in)) {
		sequence_note_flags(&p->s, &in);
		return true;
	}
	p->s.c->len = (uint16_t)from;
	return false;
}

/* Does the last instruction, at `from`, move RSP? */
static bool moves_stack(const struct program *p, unsigned from)
{
	struct x86_insn in;
	unsigned at = from;

	if (!case_next(p->s.c, &at, &in))
		return false;
	for (unsigned i = 0; i < in.nops; i++)
		if (in.opnd[i].kind == X86_OPK_GPR && in.opnd[i].access & X86_ACC_WRITE &&
		    in.opnd[i].reg == X86_RSP)
			return true;
	return in.op == X86_OP_PUSH || in.op == X86_OP_POP || in.op == X86_OP_PUSHF ||
	       in.op == X86_OP_PUSHA || in.op == X86_OP_ENTER;
}

static void put_plain(struct rng *r, struct program *p)
{
	unsigned from = p->s.c->len;
	bool simple = !rng_one_in(r, 4);

	do {
		p->s.c->len = (uint16_t)from;
		if (!simple)
			sequence_put_insn(r, &p->s);
		else
			while (!try_access(r, p))
				;
	} while (p->in_function && moves_stack(p, from) && !rng_one_in(r, 64));
}

/* Moves a pointer or an index: LEA, or ADD where nobody wants flags from before. */
static void put_move(struct rng *r, struct program *p)
{
	static const int8_t steps[] = {1, 2, 4, 8, 8, 16, 16, 64, 64, -1, -8, -16, -64, 127};
	uint16_t set = (p->s.pointers | p->s.indices) & ~p->s.counters & (is_64(p) ? 0xefef : 0xef);
	unsigned reg = draw_of(r, set ? set : 1u << X86_RBX);
	int8_t step = steps[rng_below(r, sizeof(steps))];

	if (!set || (reg & 7) == X86_RSP)
		return;
	if (p->s.indices >> reg & 1)
		step &= 7;
	if (rng_one_in(r, 2)) {
		put_rex(p, true, reg, 0, reg);
		put(p, 0x8d);
		put(p, 0x40 | (reg & 7) << 3 | (reg & 7));
	} else {
		put_registers(p, true, 0x83, 0, reg);
	}
	put(p, (uint8_t)step);
}

/* ---- control -------------------------------------------------------------------------------- */

static void put_body(struct rng *r, struct program *p, unsigned count);

/* A condition that reads defined flags only, or -1. */
static int draw_condition(struct rng *r, struct program *p)
{
	unsigned cc = rng_below(r, 16);

	if (sequence_condition_reads(cc) & p->s.undefined)
		return -1;
	p->s.wanted |= sequence_condition_reads(cc);
	return (int)cc;
}

static unsigned put_jcc(struct program *p, unsigned cc)
{
	put(p, 0x0f);
	put(p, 0x80 | cc);
	put32(p, 0);
	return p->s.c->len;
}

static void land(struct program *p, unsigned jump)
{
	patch32(p, jump - 4, p->s.c->len - jump);
}

static void put_skip(struct rng *r, struct program *p)
{
	int cc = draw_condition(r, p);
	unsigned jump;

	if (cc < 0)
		return;
	jump = put_jcc(p, (unsigned)cc);
	put_body(r, p, 1 + rng_below(r, 2));
	land(p, jump);
}

/* To one of two places, by a register, the stack or memory. */
static void put_switch(struct rng *r, struct program *p)
{
	int cc = draw_condition(r, p);
	unsigned way = rng_below(r, 3), reg = draw_of(r, free_registers(p)), jump, first, second;

	if (cc < 0)
		return;
	put_load_constant(p, reg, 0);
	first = p->s.c->len;
	jump = put_jcc(p, (unsigned)cc);
	put_load_constant(p, reg, 0);
	second = p->s.c->len;
	land(p, jump);
	if (way == 0 || p->in_function) {
		put_registers(p, false, 0xff, 4, reg);
	} else {
		put_rex(p, false, 0, 0, reg); /* PUSH */
		put(p, 0x50 | (reg & 7));
		put(p, way == 1 ? 0xc3 : 0xff); /* RET, or JMP [RSP] */
		if (way == 2) {
			put(p, 0x24);
			put(p, 0x24);
		}
	}
	patch32(p, first - 4, address(p, p->s.c->len));
	put_plain(r, p);
	patch32(p, second - 4, address(p, p->s.c->len));
}

static void put_call(struct rng *r, struct program *p)
{
	unsigned reg = draw_of(r, free_registers(p));
	bool relative = rng_one_in(r, 2);

	if (p->in_function || p->ncalls == NCALLS)
		return;
	if (relative) {
		put(p, 0xe8);
		put32(p, 0);
	} else {
		put_load_constant(p, reg, 0);
	}
	p->call[p->ncalls].at = p->s.c->len - 4u;
	p->call[p->ncalls].relative = relative;
	p->call[p->ncalls++].function = rng_below(r, NFUNCTIONS);
	if (!relative)
		put_registers(p, false, 0xff, 2, reg);
}

static void put_saved(struct rng *r, struct program *p)
{
	unsigned in = rng_below(r, 8), out = draw_of(r, free_registers(p));
	bool was = p->in_function;

	p->in_function = true;
	put(p, 0x50 | in);
	put_body(r, p, 1 + rng_below(r, 2));
	put_rex(p, false, 0, 0, out);
	put(p, 0x58 | (out & 7));
	p->in_function = was;
}

/* ---- loops ---------------------------------------------------------------------------------- */

/* A backward jump to `head`, of two bytes where that is near enough. */
static void put_back(struct program *p, int cc, unsigned head)
{
	int rel = (int)head - p->s.c->len;

	if (rel - 2 >= -128) {
		put(p, cc < 0 ? 0xeb : 0x70 | (unsigned)cc);
		put(p, (uint8_t)(rel - 2));
		return;
	}
	if (cc >= 0)
		put(p, 0x0f);
	put(p, cc < 0 ? 0xe9 : 0x80 | (unsigned)cc);
	put32(p, (uint32_t)(rel - (cc < 0 ? 5 : 6)));
}

/* Counts down to zero without a look at flags. */
static void put_loop_end(struct program *p, unsigned head)
{
	int rel = (int)head - p->s.c->len - 2;

	if (rel >= -128) {
		put(p, 0xe2); /* LOOP */
		put(p, (uint8_t)rel);
		return;
	}
	put_rex(p, true, 0, 0, 0);
	put(p, 0x8d); /* LEA RCX, [RCX - 1] */
	put(p, 0x49);
	put(p, 0xff);
	put(p, 0xe3); /* JRCXZ */
	put(p, 5);
	put(p, 0xe9);
	put32(p, (uint32_t)((int)head - p->s.c->len - 4));
}

/* Down by DEC or SUB and JNZ, or up by ADD to the limit by CMP and JB. */
static void put_count(struct rng *r, struct program *p, unsigned reg, bool up, unsigned turns,
		      unsigned head)
{
	unsigned from = p->s.c->len;
	bool wide = rng_one_in(r, 2);

	if (!up && rng_one_in(r, 2)) {
		put_registers(p, wide, 0xff, 1, reg);
	} else {
		put_registers(p, wide, 0x83, up ? 0 : 5, reg);
		put(p, 1);
	}
	if (up) {
		put_registers(p, wide, 0x83, 7, reg);
		put(p, turns);
	}
	note_last(p, from);
	put_back(p, up ? 2 : 5, head);
}

static unsigned draw_turns(struct rng *r)
{
	return 1 + rng_below(r, rng_one_in(r, 8) ? 40 : 10);
}

/* Registers that no instruction changes but as its operand. */
static void draw_counters(struct rng *r, struct program *p)
{
	uint16_t set = free_registers(p) & ~(1u << X86_RAX | 1u << X86_RDX | 1u << X86_RBP);

	for (; set && p->ncounters < MAX_DEPTH; p->ncounters++) {
		p->counter[p->ncounters] = draw_of(r, set);
		set &= ~(1u << p->counter[p->ncounters]);
	}
}

static uint16_t all_counters(const struct program *p)
{
	uint16_t set = 0;

	for (unsigned i = 0; i < p->ncounters; i++)
		set |= 1u << p->counter[i];
	return set;
}

static void put_loop(struct rng *r, struct program *p)
{
	unsigned turns = draw_turns(r), reg, head;
	bool up = rng_one_in(r, 3), no_flags = p->s.undefined & (X86_F_ZF | X86_F_CF);

	if (p->depth == p->ncounters || p->in_function)
		return;
	reg = p->counter[p->depth];
	if (no_flags && reg != X86_RCX)
		return;
	if (!no_flags) /* in the whole loop nobody leaves those undefined */
		p->s.wanted |= X86_F_ZF | X86_F_CF;
	up = up && !no_flags;
	put_load_constant(p, reg, up ? 0 : turns);
	p->s.counters |= 1u << reg;
	if (up)
		p->s.indices |= 1u << reg;
	p->depth++;
	head = p->s.c->len;
	put_body(r, p, 1 + rng_below(r, 6));
	p->depth--;
	if (no_flags)
		put_loop_end(p, head);
	else
		put_count(r, p, reg, up, turns, head);
	p->s.counters &= ~(1u << reg);
	p->s.indices &= ~(1u << reg);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void put_item(struct rng *r, struct program *p)
{
	static void (*const control[])(struct rng *, struct program *) = {
		put_move, put_move, put_skip, put_skip, put_loop, put_call, put_switch, put_saved};

	if (rng_one_in(r, 3))
		control[rng_below(r, sizeof(control) / sizeof(control[0]))](r, p);
	else
		put_plain(r, p);
}

static void put_body(struct rng *r, struct program *p, unsigned count)
{
	for (unsigned i = 0; i < count && p->s.c->len < p->room; i++)
		put_item(r, p);
}

static void put_functions(struct rng *r, struct program *p)
{
	p->in_function = true;
	p->s.counters = all_counters(p);
	for (unsigned f = 0; f < NFUNCTIONS; f++) {
		for (unsigned i = 0; i < p->ncalls; i++)
			if (p->call[i].function == f)
				patch32(p, p->call[i].at,
					p->call[i].relative ? p->s.c->len - p->call[i].at - 4
							    : address(p, p->s.c->len));
		put_body(r, p, 1 + rng_below(r, 4));
		put(p, 0xc3);
	}
}

/* Most programs have no exceptions of floating point, and operands that are aligned. */
static void calm(struct rng *r, struct oracle_case *c)
{
	static const uint16_t fcw = 0x37f, fsw;
	static const uint32_t mxcsr = 0x1f80;

	if (rng_one_in(r, 8))
		return;
	memcpy(c->fp + FP_FCW, &fcw, 2);
	memcpy(c->fp + FP_FSW, &fsw, 2);
	memcpy(c->fp + FP_MXCSR, &mxcsr, 4);
}

static void draw_start(struct rng *r, struct oracle_case *c, struct program *p)
{
	if (c->mode == X86_MODE_16)
		c->mode = X86_MODE_32;
	draw_state(r, c);
	calm(r, c);
	sequence_draw_pointers(r, &p->s, NPOINTERS);
	sequence_draw_indices(r, &p->s);
	for (unsigned i = 0; i < X86_NGPR && !rng_one_in(r, 4); i++)
		if (p->s.pointers >> i & 1)
			c->gpr[i] &= ~63ull;
	p->s.indices &= ~(1u << X86_RSP);
	draw_counters(r, p);
	if (!(free_registers(p) & ~all_counters(p)))
		p->s.indices = 0;
	if (rng_one_in(r, 3)) /* over two pages */
		c->shift = 2047 - rng_below(r, 300);
}

void program_generate(struct rng *r, struct oracle_case *c)
{
	struct program p = {.s = {.c = c, .any_order = true}};
	unsigned jump;

	draw_start(r, c, &p);
	c->target = 0;
	c->patch_at = 1024 + (rng_below(r, 6000) & ~15u);
	c->patch_len = 256;
	fill_values(r, c->patch, c->patch_len);
	c->len = 0;
	p.room = MAIN_ROOM;
	put_body(r, &p, rng_below(r, 4));
	put_loop(r, &p);
	put_body(r, &p, rng_below(r, 8));
	put(&p, 0xe9);
	put32(&p, 0);
	jump = c->len;
	p.room = ALL_ROOM;
	put_functions(r, &p);
	land(&p, jump);
}
