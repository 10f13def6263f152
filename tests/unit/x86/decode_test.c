/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder by rows: bytes and mode, and what they must decode to. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "x86/format.h"
#include "x86/insn.h"
#include "x86/ops.h"
#include "x86/state.h"

#define M16 X86_MODE_16
#define M32 X86_MODE_32
#define M64 X86_MODE_64

/* ---- validity and length ------------------------------------------------------------------------
 */

struct length_row {
	enum x86_mode mode;
	const char *bytes;
	int result; /* length or X86_DECODE_* */
	enum x86_op op;
};

#define BAD  X86_DECODE_UNDEFINED
#define PART X86_DECODE_PARTIAL
#define LONG X86_DECODE_TOO_LONG

static const struct length_row lengths[] = {
	{M64, "90", 1, X86_OP_NOP},
	{M64, "41 90", 2, X86_OP_XCHG},
	{M64, "48 90", 2, X86_OP_NOP},
	{M64, "f3 90", 2, X86_OP_PAUSE},
	{M64, "f3 41 90", 3, X86_OP_XCHG},
	{M64, "f3 0f 1e fa", 4, X86_OP_NOP},
	{M64, "66 0f 1f 84 00 00 00 00 00", 9, X86_OP_NOP},
	{M64, "0f 0d c0", 3, X86_OP_NOP},
	/* one more or fewer byte than there is */
	{M64, "", PART, X86_OP_INVALID},
	{M64, "66", PART, X86_OP_INVALID},
	{M64, "48 8b", PART, X86_OP_INVALID},
	{M64, "48 8b 05 00 00 00", PART, X86_OP_INVALID},
	{M32, "c5", PART, X86_OP_INVALID},
	{M64, "0f 0a", BAD, X86_OP_INVALID},
	/* 15 bytes are the limit */
	{M64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", 15, X86_OP_NOP},
	{M64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", LONG, X86_OP_INVALID},
	{M64, "2e 2e 2e 2e 2e 2e 2e 2e 2e 48 b8 01 02 03 04 05 06 07 08", LONG, X86_OP_MOV},
	{M32, "67 67 67 67 67 67 67 67 67 67 67 67 67 67 67", LONG, X86_OP_INVALID},
	/* one-byte opcodes that 64-bit mode does not have */
	{M64, "06", BAD, X86_OP_INVALID},
	{M64, "27", BAD, X86_OP_INVALID},
	{M64, "60", BAD, X86_OP_INVALID},
	{M64, "82 c0 01", BAD, X86_OP_INVALID},
	{M64, "9a 00 00 00 00 00 00", BAD, X86_OP_INVALID},
	{M64, "ce", BAD, X86_OP_INVALID},
	{M64, "d4 0a", BAD, X86_OP_INVALID},
	{M32, "06", 1, X86_OP_PUSH},
	{M32, "82 c0 01", 3, X86_OP_ADD},
	{M32, "9a 11 22 33 44 55 66", 7, X86_OP_CALLF},
	{M16, "9a 11 22 33 44", 5, X86_OP_CALLF},
	{M32, "d4 0a", 2, X86_OP_AAM},
	{M32, "d6", 1, X86_OP_SALC},
	{M32, "40", 1, X86_OP_INC},
	{M32, "63 c8", 2, X86_OP_ARPL},
	{M64, "63 c8", 2, X86_OP_MOVSXD},
	/* LOCK: only with a memory destination of an instruction that allows it */
	{M64, "f0 01 00", 3, X86_OP_ADD},
	{M64, "f0 01 c0", BAD, X86_OP_INVALID},
	{M64, "f0 03 00", BAD, X86_OP_INVALID},
	{M64, "f0 39 00", BAD, X86_OP_INVALID},
	{M64, "f0 0f a3 00", BAD, X86_OP_INVALID},
	{M64, "f0 0f ab 00", 4, X86_OP_BTS},
	{M64, "f0 86 00", 3, X86_OP_XCHG},
	{M64, "f0 0f c7 08", 4, X86_OP_CMPXCHG8B},
	{M64, "f0 90", BAD, X86_OP_INVALID},
	/* near branches keep four bytes of displacement in 64-bit mode */
	{M64, "e8 00 00 00 00", 5, X86_OP_CALL},
	{M64, "66 e8 00 00 00 00", 6, X86_OP_CALL},
	{M32, "66 e8 00 00", 4, X86_OP_CALL},
	{M16, "66 e8 00 00 00 00", 6, X86_OP_CALL},
	{M64, "0f 84 00 00 00 00", 6, X86_OP_JCC},
	{M64, "c2 08 00", 3, X86_OP_RET},
	{M64, "ff 20", 2, X86_OP_JMP_IND},
	{M64, "ff 28", 2, X86_OP_JMPF},
	{M64, "ff e8", BAD, X86_OP_INVALID},
	{M64, "ff d8", BAD, X86_OP_INVALID},
	{M64, "ff f8", BAD, X86_OP_INVALID},
	/* segment, control and debug registers */
	{M64, "8e c8", BAD, X86_OP_INVALID},
	{M64, "8e f0", BAD, X86_OP_INVALID},
	{M64, "8e d8", 2, X86_OP_MOV_SEG},
	{M64, "0f 20 00", 3, X86_OP_MOV_CR},
	{M64, "0f 20 c8", BAD, X86_OP_INVALID},
	{M64, "44 0f 20 c0", 4, X86_OP_MOV_CR},
	{M64, "44 0f 20 d0", BAD, X86_OP_INVALID},
	{M64, "44 0f 21 c0", BAD, X86_OP_INVALID},
	/* mandatory prefixes: the last of F2 and F3 wins over 66 */
	{M64, "0f 58 c1", 3, X86_OP_ADDPS},
	{M64, "66 0f 58 c1", 4, X86_OP_ADDPD},
	{M64, "66 f3 0f 58 c1", 5, X86_OP_ADDSS},
	{M64, "f3 f2 0f 58 c1", 5, X86_OP_ADDSD},
	{M64, "f2 f3 66 0f 58 c1", 6, X86_OP_ADDSS},
	{M64, "f3 0f 14 c1", BAD, X86_OP_INVALID},
	{M64, "0f b8 c1", BAD, X86_OP_INVALID},
	{M64, "f3 0f b8 c1", 4, X86_OP_POPCNT},
	{M64, "f3 0f bc c1", 4, X86_OP_TZCNT},
	{M64, "f2 0f bc c1", 4, X86_OP_BSF},
	{M64, "f3 0f bd c1", 4, X86_OP_LZCNT},
	{M64, "66 0f 38 f0 00", 5, X86_OP_MOVBE},
	{M64, "66 f2 0f 38 f0 00", 6, X86_OP_CRC32},
	{M64, "0f 38 f0 c0", BAD, X86_OP_INVALID},
	/* REX counts only in front of the opcode */
	{M64, "48 66 05 00 00", 5, X86_OP_ADD},
	{M64, "66 48 05 00 00 00 00", 7, X86_OP_ADD},
	/* VEX */
	{M64, "c5 f8 77", 3, X86_OP_VZEROUPPER},
	{M64, "c5 fc 77", 3, X86_OP_VZEROALL},
	{M64, "66 c5 f8 77", BAD, X86_OP_INVALID},
	{M64, "40 c5 f8 77", BAD, X86_OP_INVALID},
	{M64, "f0 c5 f8 77", BAD, X86_OP_INVALID},
	{M64, "67 c5 f8 77", 4, X86_OP_VZEROUPPER},
	{M64, "c5 f0 77", BAD, X86_OP_INVALID},
	{M64, "c4 e0 78 77", BAD, X86_OP_INVALID},
	{M64, "c4 e2 f8 f7 c1", 5, X86_OP_BEXTR},
	{M32, "c5 f8 77", 3, X86_OP_VZEROUPPER},
	{M32, "c5 00", 2, X86_OP_LDS},
	{M32, "c4 00", 2, X86_OP_LES},
	{M64, "c4 e2 69 92 0c 05 00 00 00 00", 10, X86_OP_VGATHERDPS},
	{M64, "c4 e2 79 92 0c 05 00 00 00 00", BAD, X86_OP_INVALID},
	{M64, "c4 e2 69 92 00", BAD, X86_OP_INVALID},
	/* EVEX */
	{M64, "62 f1 7c 48 58 c1", 6, X86_OP_VADDPS},
	{M32, "62 f1 7c 48 58 c1", 6, X86_OP_VADDPS},
	{M32, "62 00", 2, X86_OP_BOUND},
	{M64, "62", PART, X86_OP_INVALID},
	{M64, "62 f1 7c 48 58", PART, X86_OP_INVALID},
	{M64, "66 62 f1 7c 48 58 c1", BAD, X86_OP_INVALID},
	{M64, "62 f9 7c 48 58 c1", BAD, X86_OP_INVALID}, /* reserved bit set */
	{M64, "62 f1 78 48 58 c1", BAD, X86_OP_INVALID}, /* fixed bit clear */
	{M64, "62 f1 7c 68 58 c1", BAD, X86_OP_INVALID}, /* L'L = 3 */
	{M64, "62 f1 7c 78 58 c1", 6, X86_OP_VADDPS},    /* the same with rounding */
	{M64, "62 f1 7c c8 58 c1", BAD, X86_OP_INVALID}, /* zeroing without mask */
	{M64, "62 f1 7c c9 58 c1", 6, X86_OP_VADDPS},
	{M64, "62 f1 7c c9 29 00", BAD, X86_OP_INVALID}, /* zeroing into memory */
	{M64, "62 f1 7c 49 29 00", 6, X86_OP_VMOVAPS},
	{M64, "62 f1 7c 58 28 00", BAD, X86_OP_INVALID},                /* no broadcast */
	{M32, "62 f1 7c 40 58 c1", BAD, X86_OP_INVALID},                /* V' outside 64-bit mode */
	{M64, "62 f2 7d 48 90 04 05 00 00 00 00", BAD, X86_OP_INVALID}, /* gather without mask */
	{M64, "62 f2 7d 49 90 0c 05 00 00 00 00", 11, X86_OP_VPGATHERDD},
	{M64, "c5 f8 92 c8", 4, X86_OP_KMOVW},
	{M64, "c5 78 92 c8", BAD, X86_OP_INVALID}, /* k9 */
	/* sizes of immediates */
	{M64, "48 b8 01 02 03 04 05 06 07 08", 10, X86_OP_MOV},
	{M64, "48 c7 c0 01 02 03 04", 7, X86_OP_MOV},
	{M64, "66 c7 c0 01 02", 5, X86_OP_MOV},
	{M64, "a1 01 02 03 04 05 06 07 08", 9, X86_OP_MOV},
	{M64, "67 a1 01 02 03 04", 6, X86_OP_MOV},
	{M16, "a1 01 02", 3, X86_OP_MOV},
	{M64, "c8 01 02 03", 4, X86_OP_ENTER},
	{M64, "66 0f 78 c0 01 02", 6, X86_OP_EXTRQ},
	{M64, "f6 00 01", 3, X86_OP_TEST},
	{M64, "f6 08 01", 3, X86_OP_TEST},
	{M64, "f6 10", 2, X86_OP_NOT},
	/* system */
	{M64, "0f 01 c1", 3, X86_OP_VMCALL},
	{M64, "0f 01 d9", 3, X86_OP_VMMCALL},
	{M64, "0f 01 f8", 3, X86_OP_SWAPGS},
	{M32, "0f 01 f8", BAD, X86_OP_INVALID},
	{M64, "0f 01 f9", 3, X86_OP_RDTSCP},
	{M64, "0f 01 38", 3, X86_OP_INVLPG},
	{M64, "f3 0f ae c0", 4, X86_OP_RDFSBASE},
	{M32, "f3 0f ae c0", BAD, X86_OP_INVALID},
	{M64, "0f ae e8", 3, X86_OP_LFENCE},
	{M64, "0f 05", 2, X86_OP_SYSCALL},
	{M64, "0f 0b", 2, X86_OP_UD2},
	{M64, "0f 0f c0 9e", BAD, X86_OP_INVALID},
};

static size_t parse_bytes(const char *text, uint8_t *out)
{
	size_t n = 0;
	char *end;

	for (; *text; text = end)
		out[n++] = strtoul(text, &end, 16);
	return n;
}

static void test_lengths(void **state)
{
	uint8_t code[32];
	struct x86_insn in;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct length_row *r = &lengths[i];
		int got = x86_decode(code, parse_bytes(r->bytes, code), r->mode, &in);

		if (got != r->result || (got > 0 && in.op != r->op))
			fail_msg("%d-bit %s: %d %s, expected %d", 16 << r->mode, r->bytes, got,
				 x86_op_name(in.op), r->result);
	}
}

/* ---- operands -----------------------------------------------------------------------------------
 */

#define R   X86_ACC_READ
#define W   X86_ACC_WRITE
#define RW  (X86_ACC_READ | X86_ACC_WRITE)
#define NO  X86_REG_NONE
#define GPR X86_OPK_GPR
#define MEM X86_OPK_MEM
#define IMM X86_OPK_IMM
#define VEC X86_OPK_VEC

struct operand_row {
	enum x86_mode mode;
	const char *bytes;
	uint8_t opsize, nops;
	struct x86_operand opnd[X86_MAX_OPERANDS]; /* kind, reg, access, size */
	struct {
		uint8_t seg, base, index, scale;
		int64_t disp;
	} mem; /* all zero: not looked at */
	uint64_t imm;
};

static const struct operand_row operands[] = {
	{M64, "00 e1", 4, 2, {{GPR, X86_RCX, RW, 1}, {GPR, 16, R, 1}}},
	{M64, "40 00 e1", 4, 2, {{GPR, X86_RCX, RW, 1}, {GPR, X86_RSP, R, 1}}},
	{M64, "4c 01 e1", 8, 2, {{GPR, X86_RCX, RW, 8}, {GPR, X86_R12, R, 8}}},
	{M64,
	 "8b 05 10 00 00 00",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_DS, X86_REG_RIP, NO, 1, 16}},
	{M32,
	 "8b 05 10 00 00 00",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_DS, NO, NO, 1, 16}},
	{M64,
	 "8b 45 f0",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_SS, X86_RBP, NO, 1, -16}},
	{M64,
	 "41 8b 45 f0",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_DS, X86_R13, NO, 1, -16}},
	{M64,
	 "42 8b 04 a4",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_SS, X86_RSP, X86_R12, 4, 0}},
	{M64,
	 "8b 04 24",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_SS, X86_RSP, NO, 1, 0}},
	{M64,
	 "65 48 8b 04 25 28 00 00 00",
	 8,
	 2,
	 {{GPR, X86_RAX, W, 8}, {MEM, 0, R, 8}},
	 {X86_GS, NO, NO, 1, 0x28}},
	{M64,
	 "2e 8b 00",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_DS, X86_RAX, NO, 1, 0}},
	{M32,
	 "2e 8b 00",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_CS, X86_RAX, NO, 1, 0}},
	{M16,
	 "8b 42 f0",
	 2,
	 2,
	 {{GPR, X86_RAX, W, 2}, {MEM, 0, R, 2}},
	 {X86_SS, X86_RBP, X86_RSI, 1, -16}},
	{M16,
	 "8b 06 34 12",
	 2,
	 2,
	 {{GPR, X86_RAX, W, 2}, {MEM, 0, R, 2}},
	 {X86_DS, NO, NO, 1, 0x1234}},
	{M16,
	 "66 67 8b 04 43",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 4}},
	 {X86_DS, X86_RBX, X86_RAX, 2, 0}},
	{M64,
	 "a2 88 77 66 55 44 33 22 81",
	 4,
	 2,
	 {{MEM, 0, W, 1}, {GPR, X86_RAX, R, 1}},
	 {X86_DS, NO, NO, 1, (int64_t)0x8122334455667788}},
	{M64, "83 c0 ff", 4, 2, {{GPR, X86_RAX, RW, 4}, {IMM, 0, R, 4}}, {0}, UINT64_MAX},
	{M64,
	 "48 81 c0 00 00 00 80",
	 8,
	 2,
	 {{GPR, X86_RAX, RW, 8}, {IMM, 0, R, 8}},
	 {0},
	 0xffffffff80000000},
	{M64, "d1 e0", 4, 2, {{GPR, X86_RAX, RW, 4}, {IMM, 0, R, 1}}, {0}, 1},
	{M64, "d3 20", 4, 2, {{MEM, 0, RW, 4}, {GPR, X86_RCX, R, 1}}, {X86_DS, X86_RAX, NO, 1, 0}},
	{M64, "6a ff", 8, 1, {{IMM, 0, R, 8}}, {0}, UINT64_MAX},
	{M64, "66 6a ff", 2, 1, {{IMM, 0, R, 2}}, {0}, UINT64_MAX},
	{M64, "41 57", 8, 1, {{GPR, X86_R15, R, 8}}},
	{M64, "66 5f", 2, 1, {{GPR, X86_RDI, W, 2}}},
	{M64, "0f a0", 8, 1, {{X86_OPK_SEG, X86_FS, R, 2}}},
	{M64, "8c d8", 4, 2, {{GPR, X86_RAX, W, 4}, {X86_OPK_SEG, X86_DS, R, 2}}},
	{M64,
	 "48 8c 18",
	 8,
	 2,
	 {{MEM, 0, W, 2}, {X86_OPK_SEG, X86_DS, R, 2}},
	 {X86_DS, X86_RAX, NO, 1, 0}},
	{M64, "0f 22 d8", 4, 2, {{X86_OPK_CR, 3, W, 8}, {GPR, X86_RAX, R, 8}}},
	{M32, "0f 22 d8", 4, 2, {{X86_OPK_CR, 3, W, 4}, {GPR, X86_RAX, R, 4}}},
	{M64,
	 "0f b6 40 01",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, R, 1}},
	 {X86_DS, X86_RAX, NO, 1, 1}},
	{M64, "48 63 c1", 8, 2, {{GPR, X86_RAX, W, 8}, {GPR, X86_RCX, R, 4}}},
	{M64,
	 "8d 40 01",
	 4,
	 2,
	 {{GPR, X86_RAX, W, 4}, {MEM, 0, 0, 0}},
	 {X86_DS, X86_RAX, NO, 1, 1}},
	{M64, "f3 48 a5", 8, 1, {{MEM, 0, R, 8}}, {X86_DS, X86_RSI, NO, 1, 0}},
	{M64, "64 ac", 4, 1, {{MEM, 0, R, 1}}, {X86_FS, X86_RSI, NO, 1, 0}},
	{M64, "64 aa", 4, 1, {{MEM, 0, W, 1}}, {X86_ES, X86_RDI, NO, 1, 0}},
	{M32, "6d", 4, 1, {{MEM, 0, W, 4}}, {X86_ES, X86_RDI, NO, 1, 0}},
	{M64, "d7", 4, 0, {{0}}, {X86_DS, X86_RBX, NO, 1, 0}},
	{M64, "ed", 4, 2, {{GPR, X86_RAX, W, 4}, {GPR, X86_RDX, R, 2}}},
	{M64, "48 0f c7 08", 8, 1, {{MEM, 0, RW, 16}}, {X86_DS, X86_RAX, NO, 1, 0}},
	{M64, "0f 01 10", 4, 1, {{MEM, 0, R, 10}}, {X86_DS, X86_RAX, NO, 1, 0}},
	{M32, "0f 01 10", 4, 1, {{MEM, 0, R, 6}}, {X86_DS, X86_RAX, NO, 1, 0}},
	{M64, "48 ff 28", 8, 1, {{MEM, 0, R, 10}}, {X86_DS, X86_RAX, NO, 1, 0}},
	{M32, "ff 28", 4, 1, {{MEM, 0, R, 6}}, {X86_DS, X86_RAX, NO, 1, 0}},
	{M16, "9a 34 12 78 56", 2, 1, {{X86_OPK_FAR, 0, R, 4}}, {0}, 0x1234},
	{M64, "eb fe", 8, 1, {{X86_OPK_REL, 0, R, 1}}, {0}, (uint64_t)-2},
	{M64,
	 "dd 00",
	 4,
	 2,
	 {{X86_OPK_X87, 0, W, 10}, {MEM, 0, R, 8}},
	 {X86_DS, X86_RAX, NO, 1, 0}},
	{M64,
	 "db 28",
	 4,
	 2,
	 {{X86_OPK_X87, 0, W, 10}, {MEM, 0, R, 10}},
	 {X86_DS, X86_RAX, NO, 1, 0}},
	{M16, "d9 30", 2, 1, {{MEM, 0, W, 14}}, {X86_DS, X86_RBX, X86_RSI, 1, 0}},
	{M64,
	 "f3 44 0f 10 48 04",
	 4,
	 2,
	 {{VEC, 9, W, 16}, {MEM, 0, R, 4}},
	 {X86_DS, X86_RAX, NO, 1, 4}},
	{M64, "f3 0f 10 c1", 4, 2, {{VEC, 0, W, 4}, {VEC, 1, R, 4}}},
	{M64, "66 48 0f 6e c1", 8, 2, {{VEC, 0, W, 16}, {GPR, X86_RCX, R, 8}}},
	{M64,
	 "0f 6f 08",
	 4,
	 2,
	 {{X86_OPK_MMX, 1, W, 8}, {MEM, 0, R, 8}},
	 {X86_DS, X86_RAX, NO, 1, 0}},
	{M64,
	 "66 0f 3a 14 00 03",
	 4,
	 3,
	 {{MEM, 0, W, 1}, {VEC, 0, R, 16}, {IMM, 0, R, 1}},
	 {X86_DS, X86_RAX, NO, 1, 0},
	 3},
	{M64, "66 0f 38 10 c1", 4, 3, {{VEC, 0, RW, 16}, {VEC, 1, R, 16}, {VEC, 0, R, 16}}},
	{M64,
	 "c5 dc 58 08",
	 4,
	 3,
	 {{VEC, 1, W, 32}, {VEC, 4, R, 32}, {MEM, 0, R, 32}},
	 {X86_DS, X86_RAX, NO, 1, 0}},
	{M64,
	 "c4 e3 75 4a c2 30",
	 4,
	 4,
	 {{VEC, 0, W, 32}, {VEC, 1, R, 32}, {VEC, 2, R, 32}, {VEC, 3, R, 32}},
	 {0},
	 0x30},
	{M64,
	 "c4 e2 69 92 0c 85 00 00 00 00",
	 4,
	 3,
	 {{VEC, 1, RW, 16}, {MEM, 0, R, 4}, {VEC, 2, RW, 16}},
	 {X86_DS, NO, 0, 4, 0}},
	{M64,
	 "c4 e2 f3 f6 c3",
	 8,
	 3,
	 {{GPR, X86_RAX, W, 8}, {GPR, X86_RCX, W, 8}, {GPR, X86_RBX, R, 8}}},
};

static bool same_operand(const struct x86_operand *a, const struct x86_operand *b)
{
	return a->kind == b->kind && a->reg == b->reg && a->access == b->access &&
	       a->size == b->size;
}

static bool same_memory(const struct x86_insn *in, const struct operand_row *r)
{
	if (!r->mem.scale)
		return true;
	return in->mem.seg == r->mem.seg && in->mem.base == r->mem.base &&
	       in->mem.index == r->mem.index && in->mem.scale == r->mem.scale &&
	       in->mem.disp == r->mem.disp;
}

static void test_operands(void **state)
{
	uint8_t code[32];
	struct x86_insn in;
	size_t i;
	unsigned k;

	(void)state;
	for (i = 0; i < sizeof(operands) / sizeof(operands[0]); i++) {
		const struct operand_row *r = &operands[i];
		int n = parse_bytes(r->bytes, code);

		if (x86_decode(code, n, r->mode, &in) != n || in.nops != r->nops ||
		    in.opsize != r->opsize)
			fail_msg("%d-bit %s: %s, length %u, %u operands, size %u", 16 << r->mode,
				 r->bytes, x86_op_name(in.op), in.len, in.nops, in.opsize);
		for (k = 0; k < in.nops; k++)
			if (!same_operand(&in.opnd[k], &r->opnd[k]))
				fail_msg("%s: operand %u: kind %u, register %u, access %u, size %u",
					 r->bytes, k, in.opnd[k].kind, in.opnd[k].reg,
					 in.opnd[k].access, in.opnd[k].size);
		if (!same_memory(&in, r))
			fail_msg("%s: memory %u: %u %u %u %lld", r->bytes, in.mem.seg, in.mem.base,
				 in.mem.index, in.mem.scale, (long long)in.mem.disp);
		if (in.imm != r->imm)
			fail_msg("%s: immediate %llx", r->bytes, (unsigned long long)in.imm);
	}
}

/* ---- where the parts lie ------------------------------------------------------------------------
 */

static const struct {
	const char *bytes;
	uint8_t opcode_off, modrm_off, disp_off, disp_len, imm_off, imm_len;
} offsets[] = {
	{"90", 0, 0, 0, 0, 0, 0},
	{"48 c7 05 01 02 03 04 05 06 07 08", 1, 2, 3, 4, 7, 4},
	{"66 0f 3a 0f 44 24 7f 05", 3, 4, 6, 1, 7, 1},
	{"c5 f8 28 80 01 02 03 04", 2, 3, 4, 4, 0, 0},
	{"c4 e3 79 0f 40 7f 05", 3, 4, 5, 1, 6, 1},
	{"e9 01 02 03 04", 0, 0, 0, 0, 1, 4},
	{"0f 84 01 02 03 04", 1, 0, 0, 0, 2, 4},
	{"c8 01 02 03", 0, 0, 0, 0, 1, 3},
	{"a1 01 02 03 04 05 06 07 08", 0, 0, 1, 8, 0, 0},
};

static void test_offsets(void **state)
{
	uint8_t code[32];
	struct x86_insn in;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		x86_decode(code, parse_bytes(offsets[i].bytes, code), M64, &in);
		assert_int_equal(in.opcode_off, offsets[i].opcode_off);
		assert_int_equal(in.modrm_off, offsets[i].modrm_off);
		assert_int_equal(in.disp_off, offsets[i].disp_off);
		assert_int_equal(in.disp_len, offsets[i].disp_len);
		assert_int_equal(in.imm_off, offsets[i].imm_off);
		assert_int_equal(in.imm_len, offsets[i].imm_len);
	}
}

/* ---- flags and attributes -----------------------------------------------------------------------
 */

#define CF X86_F_CF
#define PF X86_F_PF
#define AF X86_F_AF
#define ZF X86_F_ZF
#define SF X86_F_SF
#define OF X86_F_OF

static const struct {
	const char *bytes;
	uint16_t read, write, undef, attr;
} flags[] = {
	{"01 c0", 0, X86_F_STATUS, 0, X86_AT_LOCK},
	{"11 c0", CF, X86_F_STATUS, 0, X86_AT_LOCK},
	{"21 c0", 0, CF | PF | ZF | SF | OF, AF, X86_AT_LOCK},
	{"ff c0", 0, PF | AF | ZF | SF | OF, 0, X86_AT_LOCK},
	{"f7 d0", 0, 0, 0, X86_AT_LOCK},
	{"f7 e0", 0, CF | OF, PF | AF | ZF | SF, 0},
	{"f7 f0", 0, 0, X86_F_STATUS, 0},
	{"0f a3 c0", 0, CF, PF | AF | SF | OF, 0},
	/* a count of 0 leaves the flags alone; 1 defines OF */
	{"c1 e0 00", 0, CF | PF | ZF | SF, AF | OF, X86_AT_COND},
	{"c1 e0 20", 0, CF | PF | ZF | SF, AF | OF, X86_AT_COND},
	{"48 c1 e0 20", 0, CF | PF | ZF | SF, AF | OF, 0},
	{"48 c0 e0 20", 0, CF | PF | ZF | SF, AF | OF, X86_AT_COND},
	{"c1 e0 03", 0, CF | PF | ZF | SF, AF | OF, 0},
	{"d1 e0", 0, CF | PF | ZF | SF | OF, AF, 0},
	{"d3 e0", 0, CF | PF | ZF | SF, AF | OF, X86_AT_COND},
	{"d1 c0", 0, CF | OF, 0, 0},
	{"d1 d0", CF, CF | OF, 0, 0},
	{"0f a4 c0 03", 0, CF | PF | ZF | SF, AF | OF, 0},
	{"0f a5 c0", 0, CF | PF | ZF | SF, AF | OF, X86_AT_COND},
	/* conditions read just what they test */
	{"70 00", OF, 0, 0, X86_AT_D64},
	{"72 00", CF, 0, 0, X86_AT_D64},
	{"75 00", ZF, 0, 0, X86_AT_D64},
	{"76 00", CF | ZF, 0, 0, X86_AT_D64},
	{"0f 4c c0", SF | OF, 0, 0, 0},
	{"0f 9f c0", ZF | SF | OF, 0, 0, 0},
	{"0f bc c0", 0, ZF, CF | PF | AF | SF | OF, 0},
	{"f3 0f bc c0", 0, CF | ZF, PF | AF | SF | OF, 0},
	{"f3 0f b8 c0", 0, X86_F_STATUS, 0, 0},
	{"66 0f 38 f6 c0", CF, CF, 0, 0},
	{"f3 0f 38 f6 c0", OF, OF, 0, 0},
	{"f3 a6", X86_F_DF, X86_F_STATUS, 0, X86_AT_COND},
	{"fd", 0, X86_F_DF, 0, 0},
	{"9e", 0, CF | PF | AF | ZF | SF, 0, 0},
	{"9f", CF | PF | AF | ZF | SF, 0, 0, 0},
	{"f4", 0, 0, 0, X86_AT_PRIV},
};

static void test_flags(void **state)
{
	uint8_t code[32];
	struct x86_insn in;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		x86_decode(code, parse_bytes(flags[i].bytes, code), M64, &in);
		if (in.desc->flags_read != flags[i].read ||
		    in.desc->flags_write != flags[i].write ||
		    in.desc->flags_undef != flags[i].undef || in.desc->attr != flags[i].attr)
			fail_msg("%s: read %x, written %x, undefined %x, attributes %x",
				 flags[i].bytes, in.desc->flags_read, in.desc->flags_write,
				 in.desc->flags_undef, in.desc->attr);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(x86_op_name(X86_OP_VPADDD), "vpaddd");
	assert_string_equal(x86_op_name(X86_OP_JCC), "jcc");
	assert_string_equal(x86_op_name(X86_NOPS), "invalid");
}

/* ---- text ---------------------------------------------------------------------------------------
 */

static const struct {
	enum x86_mode mode;
	const char *bytes, *text; /* at address 1000h */
} texts[] = {
	{M64, "48 8b 43 10", "mov rax, qword ptr [rbx+0x10]"},
	{M64, "8b 84 8d 00 ff ff ff", "mov eax, dword ptr [rbp+rcx*4-0x100]"},
	{M64, "64 48 8b 04 25 28 00 00 00", "mov rax, qword ptr fs:[0x28]"},
	{M64, "48 8d 3d f9 0f 00 00", "lea rdi, [rip:0x2000]"},
	{M64, "41 88 e0", "mov r8b, spl"},
	{M64, "88 e0", "mov al, ah"},
	{M64, "66 41 89 c7", "mov r15w, ax"},
	{M64, "f0 0f c1 03", "lock xadd dword ptr [rbx], eax"},
	{M64, "83 c0 ff", "add eax, 0xffffffff"},
	{M64, "0f 8e fa 0f 00 00", "jle 0x2000"},
	{M16, "eb fe", "jmp 0x1000"},
	{M64, "0f 94 c1", "sete cl"},
	{M64, "4c 0f 42 c0", "cmovb r8, rax"},
	{M64, "f3 48 a5", "rep movsq qword ptr ds:[rsi]"},
	{M64, "f2 ae", "repne scasb byte ptr es:[rdi]"},
	{M64, "48 98", "cdqe"},
	{M16, "98", "cbw"},
	{M64, "48 99", "cqo"},
	{M32, "e3 00", "jecxz 0x1002"},
	{M64, "48 0f c7 0f", "cmpxchg16b xmmword ptr [rdi]"},
	{M16, "ea 34 12 78 56", "jmp far 0x5678:0x1234"},
	{M64, "ff 13", "call qword ptr [rbx]"},
	{M64, "0f 22 d8", "mov cr3, rax"},
	{M64, "8e d8", "mov ds, ax"},
	{M64, "c8 10 00 01", "enter 0x10, 0x1"},
	{M64, "d8 c1", "fadd st0, st1"},
	{M64, "0f 6f 08", "movq mm1, qword ptr [rax]"},
	{M64, "c5 dc 58 08", "vaddps ymm1, ymm4, ymmword ptr [rax]"},
	{M64, "c4 e2 ed 92 0c c5 00 00 00 00", "vgatherdpd ymm1, qword ptr [xmm0*8], ymm2"},
	{M64, "62 f1 7c c9 58 c1", "vaddps zmm0{k1}{z}, zmm0, zmm1"},
	{M64, "62 f1 7c 58 58 40 02", "vaddps zmm0, zmm0, dword ptr [rax+0x8]{bcst}"},
	{M64, "62 f2 fd 49 92 0c c5 00 00 00 00", "vgatherdpd zmm1{k1}, qword ptr [ymm0*8]"},
	{M16, "8b 42 f0", "mov ax, word ptr [bp+si-0x10]"},
};

static void test_texts(void **state)
{
	uint8_t code[32];
	struct x86_insn in;
	char buf[80];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(x86_decode(code, parse_bytes(texts[i].bytes, code), texts[i].mode,
				       &in) > 0);
		assert_int_equal(x86_format(&in, 0x1000, buf, sizeof(buf)), strlen(texts[i].text));
		assert_string_equal(buf, texts[i].text);
	}
	assert_int_equal(x86_format(&in, 0x1000, buf, 4), 29);
	assert_string_equal(buf, "mov");
	assert_int_equal(x86_format(&in, 0x1000, NULL, 0), 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_operands),
		cmocka_unit_test(test_offsets), cmocka_unit_test(test_flags),
		cmocka_unit_test(test_names),   cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
