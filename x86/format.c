/* SPDX-License-Identifier: Apache-2.0 */
/* Intel syntax of decoded instructions, without libc. */
#include "x86/format.h"
#include "x86/insn.h"
#include "x86/ops.h"
#include "x86/state.h"

struct text {
	char *buf;
	size_t size, len;
};

static void put_char(struct text *t, char c)
{
	if (t->len + 1 < t->size)
		t->buf[t->len] = c;
	t->len++;
}

static void put(struct text *t, const char *s)
{
	while (*s)
		put_char(t, *s++);
}

static void put_decimal(struct text *t, unsigned v)
{
	if (v >= 10)
		put_decimal(t, v / 10);
	put_char(t, '0' + v % 10);
}

static void put_hex(struct text *t, uint64_t v)
{
	int shift = 60;

	put(t, "0x");
	while (shift && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put_char(t, "0123456789abcdef"[v >> shift & 15]);
}

/* ---- mnemonics ----------------------------------------------------------------------------------
 */

/* Operations whose mnemonic is not their name here. */
static const struct {
	uint16_t op;
	const char *name;
} renamed[] = {
	{X86_OP_CALL_IND, "call"}, {X86_OP_CALLF, "call far"}, {X86_OP_JMP_IND, "jmp"},
	{X86_OP_JMPF, "jmp far"},  {X86_OP_MOV_CR, "mov"},     {X86_OP_MOV_DR, "mov"},
	{X86_OP_MOV_SEG, "mov"},
};

static const char *const conditions[16] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
					   "s", "ns", "p", "np", "l", "ge", "le", "g"};

/* Suffix of string instructions and of R8 to R15. */
static char size_letter(unsigned size)
{
	switch (size) {
	case 1:
		return 'b';
	case 2:
		return 'w';
	case 4:
		return 'd';
	default:
		return 'q';
	}
}

static const char *by_size(unsigned size, const char *w, const char *d, const char *q)
{
	return size == 2 ? w : size == 4 ? d : q;
}

static void put_name(struct text *t, const struct x86_insn *in)
{
	size_t i;

	for (i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
		if (renamed[i].op == in->op) {
			put(t, renamed[i].name);
			return;
		}
	}
	put(t, x86_op_name(in->op));
}

static void put_mnemonic(struct text *t, const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_JCC:
		put(t, "j");
		put(t, conditions[in->opcode & 15]);
		return;
	case X86_OP_SETCC:
		put(t, "set");
		put(t, conditions[in->opcode & 15]);
		return;
	case X86_OP_CMOVCC:
		put(t, "cmov");
		put(t, conditions[in->opcode & 15]);
		return;
	case X86_OP_CBW:
		put(t, by_size(in->opsize, "cbw", "cwde", "cdqe"));
		return;
	case X86_OP_CWD:
		put(t, by_size(in->opsize, "cwd", "cdq", "cqo"));
		return;
	case X86_OP_JRCXZ:
		put(t, by_size(in->addrsize, "jcxz", "jecxz", "jrcxz"));
		return;
	case X86_OP_CMPXCHG8B:
		put(t, in->opnd[0].size == 16 ? "cmpxchg16b" : "cmpxchg8b");
		return;
	}
	put_name(t, in);
	if (in->desc->cls == X86_CLS_STRING)
		put_char(t, size_letter(in->opnd[0].size));
}

static void put_prefixes(struct text *t, const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_LOCK)
		put(t, "lock ");
	if (in->desc->cls != X86_CLS_STRING)
		return;
	if (in->prefixes & X86_PFX_REP)
		put(t, in->op == X86_OP_CMPS || in->op == X86_OP_SCAS ? "repe " : "rep ");
	if (in->prefixes & X86_PFX_REPN)
		put(t, "repne ");
}

/* ---- operands -----------------------------------------------------------------------------------
 */

static const char segments[X86_NSEG][3] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void put_gpr(struct text *t, unsigned reg, unsigned size)
{
	static const char names[8][3] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
	static const char bytes[20][4] = {"al",  "cl", "dl", "bl", "spl", "bpl", "sil",
					  "dil", "",   "",   "",   "",    "",    "",
					  "",    "",   "ah", "ch", "dh",  "bh"};

	if (reg >= 8 && reg < X86_NGPR) {
		put_char(t, 'r');
		put_decimal(t, reg);
		if (size < 8)
			put_char(t, size_letter(size));
		return;
	}
	if (size == 1) {
		put(t, bytes[reg]);
		return;
	}
	if (size > 2)
		put_char(t, size == 4 ? 'e' : 'r');
	put(t, names[reg]);
}

static void put_numbered(struct text *t, const char *file, unsigned reg)
{
	put(t, file);
	put_decimal(t, reg);
}

static void put_vector(struct text *t, unsigned reg, unsigned size)
{
	put_numbered(t, size > 32 ? "zmm" : size > 16 ? "ymm" : "xmm", reg);
}

/* The width of a gather's or scatter's index: as many elements as there are data elements. */
static unsigned index_size(const struct x86_insn *in)
{
	unsigned width = 16u << in->vex_l;

	switch (in->op) {
	case X86_OP_VGATHERDPD:
	case X86_OP_VPGATHERDQ:
	case X86_OP_VSCATTERDPD:
	case X86_OP_VPSCATTERDQ:
		return width / 2;
	default:
		return width;
	}
}

/* Gathers are 90 to 93, scatters A0 to A3. */
static bool vector_index(const struct x86_insn *in)
{
	return in->desc->cls == X86_CLS_AVX && in->map == X86_MAP_0F38 &&
	       ((in->opcode & 0xfc) == 0x90 || (in->opcode & 0xfc) == 0xa0);
}

static void put_size(struct text *t, unsigned size)
{
	switch (size) {
	case 1:
		put(t, "byte ptr ");
		break;
	case 2:
		put(t, "word ptr ");
		break;
	case 4:
		put(t, "dword ptr ");
		break;
	case 6:
		put(t, "fword ptr ");
		break;
	case 8:
		put(t, "qword ptr ");
		break;
	case 10:
		put(t, "tbyte ptr ");
		break;
	case 16:
		put(t, "xmmword ptr ");
		break;
	case 32:
		put(t, "ymmword ptr ");
		break;
	case 64:
		put(t, "zmmword ptr ");
		break;
	}
}

static uint64_t truncated(uint64_t v, unsigned size)
{
	return size >= 8 ? v : v & ((UINT64_C(1) << 8 * size) - 1);
}

static void put_displacement(struct text *t, const struct x86_insn *in, bool first)
{
	int64_t disp = in->mem.disp;

	if (first) {
		put_hex(t, truncated(disp, in->addrsize));
	} else if (disp) {
		put_char(t, disp < 0 ? '-' : '+');
		put_hex(t, disp < 0 ? -(uint64_t)disp : (uint64_t)disp);
	}
}

static void put_address(struct text *t, const struct x86_insn *in, uint64_t rip)
{
	bool first = in->mem.base == X86_REG_NONE;

	if (in->mem.base == X86_REG_RIP) {
		put(t, "rip:");
		put_hex(t, truncated(rip + in->len + in->mem.disp, in->addrsize));
		return;
	}
	if (!first)
		put_gpr(t, in->mem.base, in->addrsize);
	if (in->mem.index != X86_REG_NONE) {
		if (!first)
			put_char(t, '+');
		first = false;
		if (vector_index(in))
			put_vector(t, in->mem.index, index_size(in));
		else
			put_gpr(t, in->mem.index, in->addrsize);
		if (in->mem.scale > 1)
			put_numbered(t, "*", in->mem.scale);
	}
	put_displacement(t, in, first);
}

static void put_memory(struct text *t, const struct x86_insn *in, unsigned size, uint64_t rip)
{
	put_size(t, size);
	if (in->prefixes & X86_PFX_SEG || in->desc->cls == X86_CLS_STRING) {
		put(t, segments[in->mem.seg]);
		put_char(t, ':');
	}
	put_char(t, '[');
	put_address(t, in, rip);
	put_char(t, ']');
}

static void put_operand(struct text *t, const struct x86_insn *in, unsigned i, uint64_t rip)
{
	const struct x86_operand *o = &in->opnd[i];
	bool second = i > 0 && in->opnd[i - 1].kind == X86_OPK_IMM;

	switch ((enum x86_opkind)o->kind) {
	case X86_OPK_NONE:
		break;
	case X86_OPK_GPR:
		put_gpr(t, o->reg, o->size);
		break;
	case X86_OPK_SEG:
		put(t, segments[o->reg]);
		break;
	case X86_OPK_CR:
		put_numbered(t, "cr", o->reg);
		break;
	case X86_OPK_DR:
		put_numbered(t, "dr", o->reg);
		break;
	case X86_OPK_MMX:
		put_numbered(t, "mm", o->reg);
		break;
	case X86_OPK_VEC:
		put_vector(t, o->reg, o->size);
		break;
	case X86_OPK_X87:
		put_numbered(t, "st", o->reg);
		break;
	case X86_OPK_MASK:
		put_numbered(t, "k", o->reg);
		break;
	case X86_OPK_MEM:
		put_memory(t, in, o->size, rip);
		break;
	case X86_OPK_IMM:
		put_hex(t, truncated(second ? in->imm2 : in->imm, o->size));
		break;
	case X86_OPK_REL:
		put_hex(t, truncated(rip + in->len + in->imm, in->opsize));
		break;
	case X86_OPK_FAR:
		put_hex(t, in->imm2);
		put_char(t, ':');
		put_hex(t, in->imm);
		break;
	}
}

/* "{k1}{z}" behind the destination, "{bcst}" behind a memory operand. */
static void put_decoration(struct text *t, const struct x86_insn *in, unsigned i)
{
	if (i == 0 && in->evex_aaa) {
		put_numbered(t, "{k", in->evex_aaa);
		put(t, in->evex_z ? "}{z}" : "}");
	}
	if (in->evex_b && in->opnd[i].kind == X86_OPK_MEM)
		put(t, "{bcst}");
}

size_t x86_format(const struct x86_insn *in, uint64_t rip, char *buf, size_t size)
{
	struct text t = {.buf = buf, .size = size};
	unsigned i;

	put_prefixes(&t, in);
	put_mnemonic(&t, in);
	for (i = 0; i < in->nops; i++) {
		put(&t, i ? ", " : " ");
		put_operand(&t, in, i, rip);
		put_decoration(&t, in, i);
	}
	if (size)
		buf[t.len < size ? t.len : size - 1] = 0;
	return t.len;
}
