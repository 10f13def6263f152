/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make random cases share. */
#ifndef TESTS_ORACLE_GENERATE_H
#define TESTS_ORACLE_GENERATE_H

#include "tests/oracle/oracle.h"

/* ---- values.c ------------------------------------------------------------------------------- */
uint64_t value64(struct rng *r);
uint32_t value_mxcsr(struct rng *r);
void fill_values(struct rng *r, uint8_t *p, unsigned len); /* integers, floats, doubles */
void fill_extended(struct rng *r, uint8_t *p);             /* ten bytes for an x87 register */
void fill_fp(struct rng *r, uint8_t *fp);                  /* an XSAVE image */

/* ---- draw.c --------------------------------------------------------------------------------- */
/* Writes an instruction to `code` (16 bytes of room); false: try again. */
bool draw_insn(struct rng *r, enum oracle_set set, enum x86_mode mode, uint8_t *code,
	       struct x86_insn *in);
/* FXSAVE, XSAVE and their family, LDMXCSR and STMXCSR. */
bool xstate(const struct x86_insn *in);
/* The first operand of that kind, or NULL. */
const struct x86_operand *operand_of(const struct x86_insn *in, unsigned kind);

/* ---- generate.c ----------------------------------------------------------------------------- */
uint64_t draw_target(struct rng *r);
void draw_state(struct rng *r, struct oracle_case *c);
/* Fills memory around c->target with operands that suit the instruction. */
void patch_operand(struct rng *r, struct oracle_case *c, const struct x86_insn *in);
/* Base of the memory operand's segment. */
uint64_t segment_base(const struct oracle_case *c, const struct x86_insn *in);

/* ---- sequence.c ----------------------------------------------------------------------------- */
struct sequence {
	struct oracle_case *c;
	uint16_t pointers;  /* bit per register */
	uint16_t indices;   /* likewise; none of the pointers */
	uint16_t counters;  /* likewise; nothing but what counts a loop writes these */
	uint8_t sib;        /* what many operands with an index share */
	uint16_t undefined; /* status flags */
	bool any_order;   /* what comes next may come from elsewhere: flags that are undefined once
			     stay so */
	uint16_t wanted;  /* with that: flags that some instruction reads */
	bool skipping;    /* the last instruction is a jump over the next one */
	unsigned jump_at; /* where its displacement byte is */
};
void sequence_draw_pointers(struct rng *r, struct sequence *s, unsigned count);
void sequence_draw_indices(struct rng *r, struct sequence *s);
/* May this be the next instruction? Its memory operand is not looked at. */
bool sequence_admits(struct rng *r, const struct sequence *s, const struct x86_insn *in);
/* The flags that the condition `cc` of a jump reads, and its opposite. */
unsigned sequence_condition_reads(unsigned cc);
void sequence_note_flags(struct sequence *s, const struct x86_insn *in);
/* Appends one; its operand lies in the window. */
void sequence_put_insn(struct rng *r, struct sequence *s);
void sequence_generate(struct rng *r, struct oracle_case *c);

/* ---- program.c ------------------------------------------------------------------------------ */
void program_generate(struct rng *r, struct oracle_case *c);

#endif
