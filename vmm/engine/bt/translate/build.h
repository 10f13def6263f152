/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block while it is being translated, and what the code generators (gen_*.c) are made from.
 *
 * A generator emits host code for b->insn[b->cur]. Guest registers are where regs.h says before and
 * after it; H_T0 and H_T1 are free in between, H_T2 too while no window is open. Status flags that
 * are in insn.live must survive everything that comes before the instruction's own effect.
 */
#ifndef VMM_ENGINE_BT_TRANSLATE_BUILD_H
#define VMM_ENGINE_BT_TRANSLATE_BUILD_H

#include "vmm/engine/bt/translate/tr.h"
#include "x86/ops.h"

struct tr_build;
typedef void gen_fn(struct tr_build *b);

/* What the generator tables say of a mnemonic. */
struct tr_gen {
	gen_fn *fn;
	uint32_t clobbers; /* bit per guest register changed though it is no operand */
	uint8_t flags;
};

#define GEN_END     0x01 /* ends the block */
#define GEN_BARRIER 0x02 /* any register may change, windows close */
#define GEN_NOMEM   0x04 /* memory operand, if any, is not accessed the usual way */
#define GEN_STACK   0x08 /* pushes or pops: plan.c knows how */

struct tr_insn {
	struct x86_insn in;
	const uint8_t *raw;
	const struct tr_gen *gen;
	uint16_t off;   /* from the block's start */
	uint16_t live;  /* status flags that are live before it */
	uint16_t since; /* offset of what set the first of the dead ones that can be told */
	bool parked;    /* its live flags are in SCR_PARKED: park.c */
	bool turns;     /* a loop's branch back behind which the block goes on with another turn */
	uint8_t window; /* number of the window that its memory access belongs to, 0: none */
};

/* What a register holds: a value that has no other name, plus a constant (values.c). */
struct tr_value {
	uint16_t id;
	int32_t offset;
};

/*
 * Accesses of a block at constant distances from one sum of values, covered by one check. While the
 * window is open its slot holds the addend of their page. At the opening the sum is base + index *
 * scale; `lo` and `hi` are relative to it.
 */
struct tr_window {
	uint8_t base, index, scale; /* guest registers or X86_REG_NONE */
	uint8_t slot;               /* 0: H_T2, others: SCR_WINDOW */
	bool write;
	bool chases; /* a load from it has its own address register as destination */
	bool based;  /* the slot holds the addend plus `base`, which accesses need not add */
	int32_t lo, hi;
	int32_t base_offset;                /* of `base`, at the opening: tr_value.offset */
	uint8_t first, last, uses, open_at; /* instructions */
};

#define TR_WINDOW_SLOTS (1 + SCR_WINDOWS) /* tr_site.slot has room for 4 */

#define TR_FLAGS 6 /* CF, PF, AF, ZF, SF, OF */

/* Which instructions, by number, have set flags and memory last, -1: none of the block. */
struct tr_trail {
	int8_t writer[TR_FLAGS], store;
	uint16_t blurred; /* flags that one behind `writer` may have set as well */
};

/* What a check that failed has left in H_T0, and what becomes of it: slow.c. */
enum tr_slow_kind {
	SLOW_ADDRESS,  /* the linear address */
	SLOW_OFFSET,   /* that less tag, H_T1 as by mem_tlb_entry() */
	SLOW_CONSTANT, /* something else: the linear address is `address` */
	SLOW_STACK,    /* another page than that of the copy; `address` is the distance from RSP */
	SLOW_THREAD,   /* the host's FS base is not known; `address` is the distance from it */
	SLOW_LIMIT,    /* beyond a segment's limit: interprets, whatever the TLB says */
	SLOW_CHASE,    /* no failure: the first guess was wrong. The addend */
};

/* An out-of-line continuation of a check that failed. */
struct tr_slow {
	uint8_t *jump; /* its rel32 */
	uint32_t site;
	uint8_t kind; /* enum tr_slow_kind */
	bool write;
	bool window;
	bool parked;
	bool live;     /* status flags are, in RFLAGS unless `parked` */
	bool follows;  /* chase: it was foretold by the load before */
	uint8_t dst;   /* chase, stack: register for the addend, */
	uint8_t *back; /* and where to go on (thread, too) */
	uint64_t address;
};

/* A jump out of the block whose continuation is emitted after the block's code. */
struct tr_exit {
	uint8_t *jump; /* its rel32 */
	uint64_t target;
	bool far; /* depends on the mapping of another page */
};

#define TR_MAX_SLOW (4 * TR_MAX_INSNS) /* PUSH of a word in FS has three in 32-bit code */
#define TR_MAX_RAW  640

struct tr_build {
	struct translator *t;
	struct bt_vcpu *v;
	struct emit e;
	uint64_t va;
	gpa_t gpa;
	uint32_t mode;
	enum x86_mode x86_mode;
	uint32_t block;
	uint8_t *start;
	const uint8_t *page; /* host address of the guest page */
	uint8_t raw[TR_MAX_RAW];
	struct tr_insn insn[TR_MAX_INSNS];
	unsigned n, cur;
	struct tr_value value[TR_MAX_INSNS + 1][X86_NGPR]; /* before each instruction */
	uint16_t nvalues;
	struct tr_trail trail[TR_MAX_INSNS + 1]; /* the same; origin.h */
	bool ended;        /* the last instruction does not go on to the next */
	bool next_crosses; /* the instruction behind the block crosses into the next page */
	struct tr_window window[TR_MAX_INSNS + 1];
	unsigned nwindows, open; /* open: the window whose addend is in H_T2, 0: none */
	struct tr_slow slow[TR_MAX_SLOW];
	unsigned nslow;
	uint32_t site_first;
	uint32_t pending_site; /* first site of the current instruction */
	struct tr_exit exit[2 * TR_MAX_INSNS];
	unsigned nexits;
	uint8_t *poll_jump;
	bool parked;     /* flags are in SCR_PARKED, not in RFLAGS */
	bool comes_back; /* C may go on behind the current instruction */
	int32_t late;    /* what is still to be added to RSP: gen_stack.c */
	struct {
		bool code;    /* CS and the upper half of RIP have been noted, */
		uint8_t data; /* and this segment register's selector, plus 1: gen_vector.c */
	} x87;
};

/* A conditional branch to the block's beginning. */
static inline bool insn_goes_back(const struct tr_insn *ti)
{
	return ti->in.op == X86_OP_JCC && ti->in.opsize != 2 &&
	       ti->off + ti->in.len + ti->in.imm == 0;
}

static inline const struct x86_insn *cur_insn(const struct tr_build *b)
{
	return &b->insn[b->cur].in;
}

/* Status flags that host code must leave alone now. */
static inline unsigned cur_live(const struct tr_build *b)
{
	return b->parked ? 0 : b->insn[b->cur].live;
}

static inline uint64_t cur_rip(const struct tr_build *b)
{
	return b->va + b->insn[b->cur].off;
}

static inline uint64_t next_rip(const struct tr_build *b)
{
	return cur_rip(b) + cur_insn(b)->len;
}

/* ---- flags.c ------------------------------------------------------------------------------------
 */
/* Fills in `live` of all instructions and the block's peeked ranges. */
void flags_analyse(struct tr_build *b);

/* ---- recover.c ----------------------------------------------------------------------------------
 */
/* Makes flags live that could not be told if an instruction faults. */
void recover_plan(struct tr_build *b);

/* ---- values.c -----------------------------------------------------------------------------------
 */
void values_analyse(struct tr_build *b);

/* ---- plan.c: windows ----------------------------------------------------------------------------
 */
void plan_windows(struct tr_build *b);
/* Opens or closes windows before the current instruction, follows the base register after it. */
void plan_before(struct tr_build *b);
void plan_after(struct tr_build *b);

/* ---- memory.c -----------------------------------------------------------------------------------
 */
/* Host register with the value of a guest register, loaded into `tmp` if it is in memory only.
 */
unsigned reg_value(struct tr_build *b, unsigned guest, unsigned tmp);
/* Host operand for the memory operand of the current instruction, checked for `size` bytes. It can
 * be made of H_T0 and H_T2, not of H_T1. */
struct hmem mem_operand(struct tr_build *b, unsigned size, enum bt_access a);
/* The same for [base + disp], a guest register: stack accesses. */
struct hmem mem_base(struct tr_build *b, unsigned base, int32_t disp, unsigned size,
		     enum bt_access a);
/* Linear address of the memory operand into a host register (H_T0; LEA: any). No flags touched. */
void mem_effective(struct tr_build *b, unsigned dst, bool with_segment);
/* Checks the linear address in H_T0. Returns the host operand, of H_T0 or of H_T0 and H_T2. */
struct hmem mem_check(struct tr_build *b, unsigned size, enum bt_access a);
/* An operand made of H_T0 and H_T2 of H_T0 alone. No flags touched. */
struct hmem mem_in_one(struct tr_build *b, struct hmem m);
/* Finds the TLB entry of the linear address in `reg`; H_T1 tells which. Changes flags. */
void mem_tlb_entry(struct emit *e, unsigned reg);
/* Tag and addend of that entry. H_T1 is the offset of the one for reading from the GS base. */
struct hmem mem_tlb_tag(bool write);
struct hmem mem_tlb_addend(bool write);
void mem_open_window(struct tr_build *b, struct tr_window *w);
uint32_t site_new(struct tr_build *b, unsigned size, enum bt_access a);
/* Notes where the instruction's sites continue when it has been done by the interpreter. */
void site_finish(struct tr_build *b);

/* ---- slow.c -----------------------------------------------------------------------------------
 */
/* A check fails at `jump`, with the linear address in H_T0; the caller says if it is another kind.
 */
struct tr_slow *slow_new(struct tr_build *b, uint32_t site, uint8_t *jump, bool write);
/* Emits the slow paths after the block's code. */
void slow_emit(struct tr_build *b);

/* ---- park.c -----------------------------------------------------------------------------------
 */
/* Status flags to a word of scratch[] and back; `tmp` is a free register. */
void flags_save(struct emit *e, unsigned slot, unsigned tmp);
void flags_restore(struct emit *e, unsigned slot, unsigned tmp);
/* Finds runs of instructions that are worth it; windows are planned. */
void park_plan(struct tr_build *b);
/* Begins or ends a run before the current instruction. */
void park_before(struct tr_build *b);
/* Flags are in RFLAGS from here on. Changes H_T1. */
void park_end(struct tr_build *b);

/* ---- block.c ----------------------------------------------------------------------------------
 */
/* How many operands in memory an instruction accesses. */
unsigned insn_accesses(const struct tr_insn *ti);

/* ---- chase.c ----------------------------------------------------------------------------------
 */
/* H_T0 is the addend. Returns the jump to chase_emit_misses(); `dst` holds the same behind it. */
uint8_t *chase_guess(struct tr_build *b, uint32_t site, unsigned dst);
/* Is the list that the current instruction goes along one of many pages? */
bool chase_follows(const struct tr_build *b);
/* Behind a load's check: foretells the addend of the next load's page. Changes H_T0 and H_T1. */
void chase_foretell(struct tr_build *b, uint32_t site, unsigned base);
void chase_emit_misses(struct tr_build *b, const struct tr_slow *s);

/* ---- stack.c ----------------------------------------------------------------------------------
 */
/* May an access off this host register use the copy of the stack's entry? */
bool stack_is_base(const struct tr_build *b, unsigned base);
/* H_T0 = offset of [RSP + disp] in the copy's page, if it is there. No flags touched. */
void stack_offset(struct tr_build *b, int32_t disp);
/* Where flags are live, for STACK_WORD bytes: returns the jump if they are not in that page, or not
 * aligned. */
uint8_t *stack_compare_live(struct tr_build *b, int32_t disp);
#define STACK_WORD 8
void stack_emit_miss(struct tr_build *b, const struct tr_slow *s);

/* ---- thread.c ---------------------------------------------------------------------------------
 */
/* Is the current instruction's operand a word of the thread that need not be checked? */
bool thread_has(const struct tr_build *b, unsigned size, enum bt_access a);
/* H_T0 = host address of the FS base; returns the jump to thread_emit_miss(). */
uint8_t *thread_load(struct tr_build *b);
void thread_emit_miss(struct tr_build *b, const struct tr_slow *s);

/* ---- cross.c ----------------------------------------------------------------------------------
 */
/* May the current instruction, with an access of this kind, run on a copy of its operand? */
bool cross_on_copy(const struct tr_build *b, enum bt_access a);
/* Ends a TR_MODE_COPY block. */
void cross_end(struct tr_build *b);

/* ---- copy.c: guest instructions with other registers ---------------------------------------- */
struct copy {
	int reg, rm, vvvv;      /* host registers for the ModRM and VEX fields, -1: as they are */
	const struct hmem *mem; /* instead of rm */
	bool no_rex;            /* AH, CH, DH, BH are meant */
};
void copy_insn(struct tr_build *b, const struct copy *c);

/* ---- gen_stack.c ------------------------------------------------------------------------------
 */
/* The operand at RSP + disp of an instruction that calls stack_move(), which adds to RSP. */
struct hmem stack_operand(struct tr_build *b, int32_t disp, unsigned size, enum bt_access a);
void stack_move(struct tr_build *b, int32_t n);

/* ---- exits: gen_branch.c ------------------------------------------------------------------------
 */
/* Goes on at a known address; `at` is the rel32 of a jump already emitted, NULL: emits one. */
void exit_direct(struct tr_build *b, uint64_t target, uint8_t *at);
/* Goes on behind the block's last instruction. */
void exit_next(struct tr_build *b);
void exit_stubs(struct tr_build *b);
/* The stub of a jump that is to be patched: calls `stub` until then. */
void exit_link(struct tr_build *b, uint8_t *jump, int32_t delta, const uint8_t *stub);
/* Goes on at the address in H_T0. */
void exit_indirect(struct tr_build *b);
/* An indirect call whose target stays in H_T0 until it jumps. */
bool call_keeps_target(const struct tr_build *b);

/* ---- generators ---------------------------------------------------------------------------------
 */
const struct tr_gen *gen_find(struct tr_build *b, const struct x86_insn *in);
gen_fn gen_interp, gen_interp_end, gen_nothing, gen_generic, gen_plain, gen_lea, gen_mov_imm,
	gen_xchg_rax, gen_bswap, gen_shift_cl, gen_moffs, gen_cmpxchg8b, gen_bit_reg,
	gen_incdec_short, gen_push, gen_pop, gen_leave, gen_call, gen_call_ind, gen_ret, gen_jmp,
	gen_jmp_ind, gen_jcc, gen_loop, gen_vector, gen_string_index, gen_gather, gen_string,
	gen_cld_std, gen_cli, gen_sti, gen_pushf, gen_swapgs, gen_mov_from_seg, gen_rdtsc,
	gen_pause;

#endif
