/* SPDX-License-Identifier: Apache-2.0 */
/* What must agree between the host CPU and the engine, and what the manuals leave open. */
#include "tests/oracle/oracle.h"

#include <stdio.h>
#include <string.h>

#include "x86/cpuid.h"
#include "x86/ops.h"

#define USER_END 0x7ffffffff000ull

/* Components that are marked as initial, but whose bytes were not written. */
static void complete(uint8_t *fp)
{
	uint8_t bv = fp[FP_BV];

	if (!(bv & 1)) {
		memset(fp, 0, FP_MXCSR);
		memset(fp + FP_ST, 0, 128);
		fp[FP_FCW] = 0x7f;
		fp[FP_FCW + 1] = 0x03;
	}
	if (!(bv & 2))
		memset(fp + FP_XMM, 0, 256);
	if (!(bv & 4))
		memset(fp + FP_YMM, 0, 256);
	if (!(bv & 0x20))
		memset(fp + FP_K, 0, 64);
	if (!(bv & 0x40))
		memset(fp + FP_ZMM, 0, 512);
	if (!(bv & 0x80))
		memset(fp + FP_ZMM16, 0, 1024);
	/* Instruction and operand pointers, MXCSR_MASK, padding. */
	memset(fp + FP_FOP, 0, FP_MXCSR - FP_FOP);
	memset(fp + FP_MXCSR + 4, 0, 4);
	for (unsigned i = 0; i < 8; i++)
		memset(fp + FP_ST + 16 * i + 10, 0, 6);
}

static const char *fp_name(unsigned at, char *buf, size_t len)
{
	if (at < FP_ST)
		snprintf(buf, len, "%s",
			 at < FP_FSW   ? "fcw"
			 : at < FP_FTW ? "fsw"
			 : at < FP_FOP ? "ftw"
				       : "mxcsr");
	else if (at < FP_XMM)
		snprintf(buf, len, "st%u byte %u", (at - FP_ST) / 16, (at - FP_ST) % 16);
	else if (at < FP_YMM)
		snprintf(buf, len, "xmm%u byte %u", (at - FP_XMM) / 16, (at - FP_XMM) % 16);
	else if (at < FP_K)
		snprintf(buf, len, "ymm%u byte %u", (at - FP_YMM) / 16, 16 + (at - FP_YMM) % 16);
	else if (at < FP_ZMM)
		snprintf(buf, len, "k%u byte %u", (at - FP_K) / 8, at % 8);
	else if (at < FP_ZMM16)
		snprintf(buf, len, "zmm%u byte %u", (at - FP_ZMM) / 32, 32 + at % 32);
	else
		snprintf(buf, len, "zmm%u byte %u", 16 + (at - FP_ZMM16) / 64, at % 64);
	return buf;
}

/* Whether a gather that faults has cleared what lies above its registers is up to the processor. */
static void forget_above(const struct oracle_case *c, uint8_t *fp)
{
	struct x86_insn in;
	bool half;

	if (x86_decode(c->code, c->len, c->mode, &in) <= 0 || in.map != X86_MAP_0F38 ||
	    in.desc->cls != X86_CLS_AVX || in.opcode < 0x90 || in.opcode > 0x93)
		return;
	half = in.opcode & 1 && !in.vex_w;
	for (unsigned part = half && in.vex_l ? 1u << (in.vex_l - 1) : 1u << in.vex_l; part < 4;
	     part++) {
		memset(fp + fp_vector(in.opnd[0].reg, part), 0, 16);
		if (!in.is_evex)
			memset(fp + fp_vector(in.opnd[2].reg, part), 0, 16);
	}
}

static bool fp_equal(const struct oracle_case *c, const struct outcome *a, const struct outcome *b,
		     char *why, size_t len)
{
	uint8_t x[FP_SIZE], y[FP_SIZE];
	char name[32];

	memcpy(x, a->fp, FP_SIZE);
	memcpy(y, b->fp, FP_SIZE);
	complete(x);
	complete(y);
	if (a->vector != NO_FAULT) {
		forget_above(c, x);
		forget_above(c, y);
	}
	for (unsigned i = 0; i < FP_SIZE; i++) {
		if (i == FP_XMM + 256)
			i = FP_YMM;
		if (x[i] == y[i])
			continue;
		snprintf(why, len, "%s: host %02x, engine %02x", fp_name(i, name, sizeof(name)),
			 x[i], y[i]);
		return false;
	}
	return true;
}

/* Some instruction may be followed by any other, or by none of the case's. */
static bool goes_anywhere(const struct oracle_case *c)
{
	struct x86_insn in;

	for (unsigned at = 0; case_next(c, &at, &in);)
		if (in.op == X86_OP_RET || in.op == X86_OP_JMP_IND || in.op == X86_OP_CALL_IND)
			return true;
	return false;
}

/* Instructions run in the order in which they lie, though some are skipped. */
static bool goes_forward(const struct oracle_case *c)
{
	struct x86_insn in;

	for (unsigned at = 0; case_next(c, &at, &in);)
		if (in.opnd[0].kind == X86_OPK_REL && (int64_t)in.imm < 0)
			return false;
	return !goes_anywhere(c);
}

/* Large images: which of their bytes on a missing page is touched first is the processor's choice.
 */
static bool any_order(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_FNSAVE:
	case X86_OP_FRSTOR:
	case X86_OP_FNSTENV:
	case X86_OP_FLDENV:
	case X86_OP_FXSAVE:
	case X86_OP_FXRSTOR:
	case X86_OP_XSAVE:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVEC:
	case X86_OP_XRSTOR:
		return true;
	}
	return false;
}

/*
 * Which of several faults is reported, and what of large images is touched, is the processor's
 * choice. AMD finds an offset that is not canonical before it adds the segment's base.
 */
static bool vendor_specific(const struct oracle_case *c, const struct x86_insn *in,
			    const struct outcome *a, const struct outcome *b)
{
	bool both = a->vector != NO_FAULT && b->vector != NO_FAULT;

	if (any_order(in))
		return both || (in->op == X86_OP_XRSTOR && a->vector == 14) ||
		       (c->mode == X86_MODE_16 && c->target - WINDOW_BASE > 0xf000);
	/* Past the limit, and not mapped before it; several instructions have no target. */
	if (c->mode == X86_MODE_32 && a->vector == 14 && b->vector == 13 &&
	    (!c->target || c->target > UINT32_MAX - 64))
		return true;
	if (a->vector == 13 && b->vector == 13 && goes_anywhere(c))
		return true; /* where a bad return address is noticed */
	if (c->mode == X86_MODE_16 && both && c->target - WINDOW_BASE > UINT16_MAX - 64)
		return true;
	if (in->op == X86_OP_POPA && both) /* some registers may be popped */
		return true;
	if (in->evex_aaa && both && c->target - 0xffff7fffffffffc0 < 64)
		return true; /* elements on either side of the first canonical address */
	if (in->desc->cls == X86_CLS_BRANCH && both && b->vector == 13)
		return true; /* CALL to nowhere with a bad stack */
	return in->prefixes & X86_PFX_SEG && a->vector == 13 && b->vector == 14;
}

/* Error codes: Linux hides whether an address in its own half is mapped. */
static bool fault_equal(const struct outcome *a, const struct outcome *b, char *why, size_t len)
{
	uint32_t ignore = a->cr2 >= USER_END ? 1 : 0;

	if (a->vector != b->vector) {
		snprintf(why, len, "fault: host %d at %llx, engine %d at %llx", (int8_t)a->vector,
			 (unsigned long long)a->rip, (int8_t)b->vector, (unsigned long long)b->rip);
		return false;
	}
	if (a->vector == 13 || a->vector == 14) {
		if ((a->error ^ b->error) & ~ignore) {
			snprintf(why, len, "error code: host %x, engine %x", a->error, b->error);
			return false;
		}
	}
	if (a->vector == 14 && a->cr2 != b->cr2) {
		snprintf(why, len, "cr2: host %llx, engine %llx", (unsigned long long)a->cr2,
			 (unsigned long long)b->cr2);
		return false;
	}
	return true;
}

/* Status flags that are undefined after one of the instructions, or may be. */
static uint64_t undefined_flags(const struct oracle_case *c, const struct outcome *o)
{
	bool skipped = false, in_order = o->vector == NO_FAULT && goes_forward(c);
	uint64_t undefined = 0;
	struct x86_insn in;

	for (unsigned at = 0; case_next(c, &at, &in);) {
		uint64_t before = undefined;

		/* A fault may be anywhere. */
		if (!(in.desc->attr & X86_AT_COND) && in_order)
			undefined &= ~(uint64_t)in.desc->flags_write;
		undefined |= in.desc->flags_undef;
		if (skipped)
			undefined |= before;
		skipped = in.desc->cls == X86_CLS_BRANCH;
	}
	return undefined;
}

static bool accesses_memory(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_MEM)
			return true;
	return in->op == X86_OP_PUSH || in->op == X86_OP_POP || in->op == X86_OP_PUSHF ||
	       in->op == X86_OP_LEAVE;
}

/* One block whose accesses share no check. */
static bool is_simple(const struct oracle_case *c)
{
	unsigned accesses = 0, branches = 0;
	struct x86_insn in;

	for (unsigned at = 0; case_next(c, &at, &in);) {
		accesses += accesses_memory(&in);
		branches += in.desc->cls == X86_CLS_BRANCH;
	}
	return !branches && accesses < 2;
}

/* Are the flags of this instruction told by registers that are left as they are? */
static bool is_told(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_ADD:
	case X86_OP_SUB:
	case X86_OP_CMP:
	case X86_OP_TEST:
	case X86_OP_AND:
	case X86_OP_OR:
	case X86_OP_XOR:
	case X86_OP_INC:
	case X86_OP_DEC:
	case X86_OP_NEG:
		break;
	default:
		return false;
	}
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_MEM || in->opnd[i].reg >= X86_NGPR)
			return false;
	if (in->addrsize == 2) /* interpreted: any register may change */
		return false;
	return in->nops < 2 || in->opnd[1].kind == X86_OPK_IMM ||
	       in->opnd[0].reg != in->opnd[1].reg;
}

/*
 * Flags that a fault in translated code may show clobbered: those that one of the instructions sets
 * (and will set again when it is tried again), but for what the one right before the fault has set,
 * if that is still to be told. A check for several accesses that finds them in two pages forgets
 * it, and so may that of an access behind the fault.
 */
static uint64_t clobbered_flags(const struct oracle_case *c, const struct outcome *o)
{
	bool simple = is_simple(c);
	uint64_t set = 0, kept = 0;
	struct x86_insn in;

	for (unsigned at = 0; case_next(c, &at, &in);) {
		set |= in.desc->flags_write;
		if (simple && case_start(c) + at == o->rip && is_told(&in))
			kept = in.desc->flags_write;
		else if (case_start(c) + at - in.len > o->rip && accesses_memory(&in))
			kept = 0;
	}
	return set & ~kept;
}

/* Status flags and DF that are defined after the instruction. */
static uint64_t defined_flags(const struct oracle_case *c, const struct outcome *o, unsigned may)
{
	uint64_t undefined = undefined_flags(c, o);

	if ((may & MAY_CLOBBER_FLAGS) && o->vector != NO_FAULT) {
		if (goes_anywhere(c)) /* perhaps to an instruction that is none of the case's */
			undefined |= X86_F_STATUS;
		undefined |= clobbered_flags(c, o);
	}
	return (X86_F_STATUS | X86_F_DF) & ~undefined;
}

static bool registers_equal(const struct oracle_case *c, const struct outcome *a,
			    const struct outcome *b, unsigned may, char *why, size_t len)
{
	uint64_t flags = defined_flags(c, a, may);

	static const char *const names[X86_NGPR] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						    "rsi", "rdi", "r8",  "r9",  "r10", "r11",
						    "r12", "r13", "r14", "r15"};

	for (unsigned i = 0; i < (c->mode == X86_MODE_64 ? X86_NGPR : 8); i++) {
		if (c->mode == X86_MODE_64 ? a->gpr[i] == b->gpr[i]
					   : (uint32_t)a->gpr[i] == (uint32_t)b->gpr[i])
			continue;
		snprintf(why, len, "%s: host %llx, engine %llx", names[i],
			 (unsigned long long)a->gpr[i], (unsigned long long)b->gpr[i]);
		return false;
	}
	if (a->rip != b->rip) {
		snprintf(why, len, "rip: host %llx, engine %llx", (unsigned long long)a->rip,
			 (unsigned long long)b->rip);
		return false;
	}
	if ((a->rflags ^ b->rflags) & flags) {
		snprintf(why, len, "rflags: host %03llx, engine %03llx, defined %03llx",
			 (unsigned long long)a->rflags, (unsigned long long)b->rflags,
			 (unsigned long long)flags);
		return false;
	}
	return true;
}

static bool memory_equal(const struct outcome *a, const struct outcome *b, char *why, size_t len)
{
	if (a->diff_at != b->diff_at || a->diff_len != b->diff_len) {
		snprintf(why, len, "memory: host changes %u bytes at +%x, engine %u at +%x",
			 a->diff_len, a->diff_at, b->diff_len, b->diff_at);
		return false;
	}
	for (unsigned i = 0; i < a->diff_len; i++) {
		if (a->diff[i] == b->diff[i])
			continue;
		snprintf(why, len, "memory +%x: host %02x, engine %02x", a->diff_at + i, a->diff[i],
			 b->diff[i]);
		return false;
	}
	if (a->diff_sum == b->diff_sum)
		return true;
	snprintf(why, len, "memory behind +%x", a->diff_at + a->diff_len);
	return false;
}

/* Into the way out, but not at its beginning: the interpreter, which is called, has none. */
static bool strayed(const struct oracle_case *c, const struct outcome *o)
{
	return goes_anywhere(c) && o->rip - (case_start(c) + c->len) - 1 < WAY_OUT_MAX;
}

bool outcome_equal(const struct oracle_case *c, const struct outcome *native,
		   const struct outcome *engine, unsigned may, char *why, size_t len)
{
	struct x86_insn in;

	if (native->lost || native->vector == 1 || native->vector == 17) /* POPF: TF, AC */
		return true;
	if (strayed(c, native) || strayed(c, engine))
		return true;
	x86_decode(c->code, c->len, c->mode, &in);
	if (vendor_specific(c, &in, native, engine))
		return true;
	/* Translated code finds out at the target that it is not canonical. */
	if ((may & MAY_FAULT_LATE) && in.desc->cls == X86_CLS_BRANCH && native->vector == 13 &&
	    engine->vector == 13)
		return true;
	return fault_equal(native, engine, why, len) &&
	       registers_equal(c, native, engine, may, why, len) &&
	       fp_equal(c, native, engine, why, len) && memory_equal(native, engine, why, len);
}
