/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known, before one instruction of a block, of the status flags that an earlier one has
 * set: which one that was, and where its operands and its result are now. For recover.c.
 */
#ifndef VMM_ENGINE_BT_TRANSLATE_ORIGIN_H
#define VMM_ENGINE_BT_TRANSLATE_ORIGIN_H

#include "vmm/engine/bt/translate/build.h"

#define ORIGIN_BEFORE (-1) /* tr_trail.writer: set before the block's first instruction */

/* The flags of tr_trail.writer, as bits of RFLAGS. */
extern const uint16_t origin_flags[TR_FLAGS];

/* Where a value is. */
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

static inline bool origin_is_known(const struct origin *o)
{
	return o->kind != ORIGIN_NONE;
}

/* Fills in b->trail; b->value must be there. */
void origin_follow(struct tr_build *b);

/* The value that `reg` had before instruction `then`, before instruction `now`. */
struct origin origin_of_register(const struct tr_build *b, unsigned then, unsigned reg,
				 unsigned now);

/*
 * The flags before instruction `now` that `writer` has set and that can be told; those that it
 * leaves undefined are anything. Where flags are live, memory is not read again: it may have
 * changed, and they are what it was.
 */
unsigned origin_tell(const struct tr_build *b, unsigned writer, unsigned now, bool rereads,
		     struct source *s);
/* Which flags follow from what is known in `s`. */
unsigned origin_flags_by(const struct source *s);

#endif
