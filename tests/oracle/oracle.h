/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host CPU as oracle: one random instruction with random state runs natively in a throw-away
 * process and in the engine, at the same addresses, and everything that is defined must agree.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/insn.h"
#include "x86/state.h"

/*
 * Memory that instructions see, in user mode: six pages, of which some are missing or read-only, so
 * that operands can cross into them; and two pages of code. Below 2 GiB: disp32 reaches it.
 */
#define WINDOW_BASE  0x40000000ull
#define WINDOW_PAGES 6u
#define WINDOW_SIZE  (WINDOW_PAGES * 4096u)
#define CODE_BASE    0x50000000ull
#define CODE_SIZE    8192u
#define CODE_MAX     512u
#define CODE_START   (CODE_BASE + 0x800) /* where code usually begins; INT3 all around */

/* From CODE_START on: what code and the way out behind it can take. */
#define WAY_OUT_MAX 32u
#define CODE_ROOM   (2048 + CODE_MAX + WAY_OUT_MAX)

/* Where 32- and 16-bit code leaves compatibility mode. */
#define CODE_LEAVE (CODE_BASE + 0x1f00)

/*
 * Selectors, in the guest as Linux has them. 16-bit code has segments of 64 KiB in the LDT, with
 * the page of code and the window at their beginnings.
 */
#define SEL_CODE64 0x33
#define SEL_CODE32 0x23
#define SEL_DATA   0x2b
#define SEL_CODE16 0x07
#define SEL_DATA16 0x0f

enum page_kind {
	PAGE_NONE,
	PAGE_RO,
	PAGE_RW
};
extern const enum page_kind window_page[WINDOW_PAGES];

/* x87, SSE, AVX and AVX-512: an XSAVE image in the standard format as AMD lays it out. */
#define FP_SIZE   2432u
#define FP_IMAGE  832u /* without AVX-512 */
#define FP_FCW    0
#define FP_FSW    2
#define FP_FTW    4
#define FP_FOP    6
#define FP_MXCSR  24
#define FP_ST     32
#define FP_XMM    160
#define FP_BV     512
#define FP_YMM    576
#define FP_K      832  /* mask registers */
#define FP_ZMM    896  /* upper halves of ZMM0-15 */
#define FP_ZMM16  1408 /* ZMM16-31 */
#define PATCH_MAX 896u
#define DIFF_MAX  1024u

/* The host has AVX-512, all of x86-64-v4. */
bool fp_has_avx512(void);
/* Between the layout above and that of the host's XSAVE. */
void fp_to_host(uint8_t *host, const uint8_t *fp);
void fp_from_host(uint8_t *fp, const uint8_t *host);
/* Where 16 bytes of a vector register lie: `part` 0 to 3. */
unsigned fp_vector(unsigned reg, unsigned part);

/* What goes in. Memory is a fixed pattern but for the patch. */
struct oracle_case {
	uint8_t mode;           /* enum x86_mode */
	uint8_t code[CODE_MAX]; /* one instruction, or several */
	uint16_t len;
	uint16_t shift; /* where it begins behind CODE_START: below 2048 */
	uint64_t gpr[X86_NGPR];
	uint64_t rflags;
	uint64_t fs_base, gs_base;
	uint64_t target;              /* address of the memory operand, if it has one */
	uint32_t patch_at, patch_len; /* offset in the window */
	uint8_t patch[PATCH_MAX];
	_Alignas(64) uint8_t fp[FP_SIZE];
};

static inline uint64_t case_code_base(const struct oracle_case *c)
{
	return c->mode == X86_MODE_16 ? CODE_BASE : 0;
}
static inline uint64_t case_data_base(const struct oracle_case *c)
{
	return c->mode == X86_MODE_16 ? WINDOW_BASE : 0;
}
/* RIP at which it starts. */
static inline uint64_t case_start(const struct oracle_case *c)
{
	return CODE_START + c->shift - case_code_base(c);
}

#define NO_FAULT 0xffu
#define PF_FETCH 0x10u /* in the error code of a page fault: there is no code */

/* What comes out. */
struct outcome {
	uint8_t vector; /* NO_FAULT, or the exception */
	bool lost;      /* the process died or hung: no outcome */
	uint32_t error;
	uint64_t cr2;
	uint64_t rip, rflags;
	uint64_t gpr[X86_NGPR];
	uint32_t diff_at, diff_len; /* bytes of the window that changed */
	uint8_t diff[DIFF_MAX];
	uint64_t diff_sum; /* of all that changed, where and what */
	_Alignas(64) uint8_t fp[FP_SIZE];
};

/* ---- random numbers (splitmix64) ------------------------------------------------------------ */
struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *r);
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint64_t)(uint32_t)rng_next(r) * n >> 32;
}
static inline bool rng_one_in(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

/* ---- generate.c ----------------------------------------------------------------------------- */
/*
 * What to draw instructions from. SET_SEQUENCE: several of any class, and jumps between them.
 * SET_PROGRAM: loops, calls, and indirect jumps as well.
 */
enum oracle_set {
	SET_ALL,
	SET_INT,
	SET_VECTOR,
	SET_SEQUENCE,
	SET_PROGRAM
};

/* One case of that set; `mode` is an x86_mode, or MODE_ANY; decodable, not privileged, repeatable.
 */
#define MODE_ANY 3u
void case_generate(struct rng *r, enum oracle_set set, unsigned mode, struct oracle_case *c);
/* The instructions of a case: false at its end, `at` is moved on. */
bool case_next(const struct oracle_case *c, unsigned *at, struct x86_insn *in);
/* Is this an instruction that can be compared at all? */
bool insn_comparable(const struct x86_insn *in);

/* ---- memory.c ------------------------------------------------------------------------------- */
/* `page[i]` is where page i is mapped in this process (NULL for PAGE_NONE). */
struct window {
	uint8_t *page[WINDOW_PAGES];
};
void window_fill(const struct window *w);
void window_prepare(const struct window *w, const struct oracle_case *c);
/* Notes what changed, and undoes it. Image bytes that need not agree are undone first. */
void window_collect(const struct window *w, const struct oracle_case *c, struct outcome *o);

/* ---- native.c ------------------------------------------------------------------------------- */
#define BATCH 256

struct native; /* the throw-away process */
struct native *native_start(void);
void native_stop(struct native *n);
/* Cases and outcomes shared with the process. */
struct oracle_case *native_cases(struct native *n);
struct outcome *native_outcomes(struct native *n);
void native_post(struct native *n, unsigned count); /* starts `count` cases */
void native_wait(struct native *n);

/* Puts the instruction and the way out behind it into the page of code, which `code` maps. */
void native_place_code(uint8_t *code, const struct oracle_case *c);

/* Where that way out leads to: nothing is mapped there in the guest. */
uint64_t native_exit_address(void);

/* ---- engine.c ------------------------------------------------------------------------------- */
struct engine_side;
/* `options` as in "--engine bt,OPTIONS". NULL and a message on stderr if it cannot be. */
struct engine_side *engine_start(const char *options);
void engine_stop(struct engine_side *s);
/* What translated code may do that the processor does not, when it faults. */
#define MAY_FAULT_LATE    1u /* a jump to nowhere is noticed at its target */
#define MAY_CLOBBER_FLAGS 2u /* from before a block that overwrites them */
unsigned engine_may(const struct engine_side *s);
void engine_execute(struct engine_side *s, const struct oracle_case *c, struct outcome *o);

/* ---- compare.c ------------------------------------------------------------------------------ */
/* Agree in all that is defined? If not, `why` says the first difference. `may`: MAY_*. */
bool outcome_equal(const struct oracle_case *c, const struct outcome *native,
		   const struct outcome *engine, unsigned may, char *why, size_t len);

/* ---- row.c: a case as one line of text ------------------------------------------------------ */
void row_print(const struct oracle_case *c);
bool row_parse(const char *line, struct oracle_case *c);

#endif
