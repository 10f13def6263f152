/* SPDX-License-Identifier: Apache-2.0 */
/* Which generator an instruction has. What has none is done by the interpreter, from inside the
 * block. */
#include "vmm/engine/bt/translate/build.h"

#define R(reg) (1u << X86_##reg)

static const struct tr_gen interp = {gen_interp, 0, GEN_BARRIER};
static const struct tr_gen interp_end = {gen_interp, 0, GEN_BARRIER | GEN_END};
static const struct tr_gen vector = {gen_vector, 0, 0};
static const struct tr_gen string_index = {gen_string_index, R(RCX), 0};
static const struct tr_gen shift_cl = {gen_shift_cl, 0, 0};
static const struct tr_gen plain = {gen_plain, 0, 0};
static const struct tr_gen moffs = {gen_moffs, R(RAX), GEN_NOMEM};
static const struct tr_gen mov_imm = {gen_mov_imm, 0, 0};
static const struct tr_gen xchg_rax = {gen_xchg_rax, R(RAX), 0};
static const struct tr_gen bit_reg = {gen_bit_reg, 0, GEN_BARRIER};
static const struct tr_gen incdec_short = {gen_incdec_short, 0, 0};

#define GENERIC(op)     [X86_OP_##op] = {gen_generic, 0, 0}
#define GENERIC_RAX(op) [X86_OP_##op] = {gen_generic, R(RAX) | R(RDX), 0}
#define NOTHING(op)     [X86_OP_##op] = {gen_nothing, 0, GEN_NOMEM}

static const struct tr_gen table[] = {
	GENERIC(ADD),
	GENERIC(OR),
	GENERIC(ADC),
	GENERIC(SBB),
	GENERIC(AND),
	GENERIC(SUB),
	GENERIC(XOR),
	GENERIC(CMP),
	GENERIC(TEST),
	GENERIC(MOV),
	GENERIC(MOVZX),
	GENERIC(MOVSX),
	GENERIC(MOVSXD),
	GENERIC(XCHG),
	GENERIC(INC),
	GENERIC(DEC),
	GENERIC(NOT),
	GENERIC(NEG),
	GENERIC(ROL),
	GENERIC(ROR),
	GENERIC(RCL),
	GENERIC(RCR),
	GENERIC(SHL),
	GENERIC(SHR),
	GENERIC(SAR),
	GENERIC(SHLD),
	GENERIC(SHRD),
	GENERIC(BSF),
	GENERIC(BSR),
	GENERIC(TZCNT),
	GENERIC(LZCNT),
	GENERIC(POPCNT),
	GENERIC(CMOVCC),
	GENERIC(SETCC),
	GENERIC(XADD),
	GENERIC(MOVNTI),
	GENERIC(MOVBE),
	GENERIC(CRC32),
	GENERIC(ADCX),
	GENERIC(ADOX),
	GENERIC(ANDN),
	GENERIC(BLSR),
	GENERIC(BLSMSK),
	GENERIC(BLSI),
	GENERIC(BEXTR),
	GENERIC(BZHI),
	GENERIC(PEXT),
	GENERIC(PDEP),
	GENERIC(SHLX),
	GENERIC(SARX),
	GENERIC(SHRX),
	GENERIC(RORX),
	GENERIC(BT),
	GENERIC(BTS),
	GENERIC(BTR),
	GENERIC(BTC),
	GENERIC_RAX(MUL),
	GENERIC_RAX(IMUL),
	GENERIC_RAX(DIV),
	GENERIC_RAX(IDIV),
	GENERIC_RAX(CMPXCHG),
	GENERIC_RAX(MULX),
	[X86_OP_CMPXCHG8B] = {gen_cmpxchg8b, R(RAX) | R(RDX), 0},
	[X86_OP_BSWAP] = {gen_bswap, 0, 0},
	[X86_OP_LEA] = {gen_lea, 0, GEN_NOMEM},
	[X86_OP_CBW] = {gen_plain, R(RAX), 0},
	[X86_OP_CWD] = {gen_plain, R(RDX), 0},
	[X86_OP_LAHF] = {gen_plain, R(RAX), 0},
	[X86_OP_SAHF] = {gen_plain, 0, 0},
	[X86_OP_CLC] = {gen_plain, 0, 0},
	[X86_OP_STC] = {gen_plain, 0, 0},
	[X86_OP_CMC] = {gen_plain, 0, 0},
	[X86_OP_PAUSE] = {gen_pause, 0, 0},
	[X86_OP_LFENCE] = {gen_plain, 0, 0},
	[X86_OP_MFENCE] = {gen_plain, 0, 0},
	[X86_OP_SFENCE] = {gen_plain, 0, 0},
	NOTHING(NOP),
	NOTHING(PREFETCH),
	NOTHING(PREFETCHW),
	NOTHING(PREFETCHNTA),
	NOTHING(PREFETCHT0),
	NOTHING(PREFETCHT1),
	NOTHING(PREFETCHT2),
	[X86_OP_CLD] = {gen_cld_std, 0, 0},
	[X86_OP_STD] = {gen_cld_std, 0, 0},
	[X86_OP_PUSHF] = {gen_pushf, 0, GEN_STACK},
	[X86_OP_PUSH] = {gen_push, 0, GEN_STACK},
	[X86_OP_POP] = {gen_pop, 0, GEN_STACK},
	[X86_OP_LEAVE] = {gen_leave, 0, GEN_STACK},
	[X86_OP_CALL] = {gen_call, 0, GEN_STACK | GEN_END},
	[X86_OP_CALL_IND] = {gen_call_ind, 0, GEN_STACK | GEN_END},
	[X86_OP_RET] = {gen_ret, 0, GEN_STACK | GEN_END},
	[X86_OP_JMP] = {gen_jmp, 0, GEN_END},
	[X86_OP_JMP_IND] = {gen_jmp_ind, 0, GEN_END},
	[X86_OP_JCC] = {gen_jcc, 0, 0},
	[X86_OP_JRCXZ] = {gen_loop, 0, 0},
	[X86_OP_LOOP] = {gen_loop, R(RCX), 0},
	[X86_OP_LOOPE] = {gen_loop, R(RCX), 0},
	[X86_OP_LOOPNE] = {gen_loop, R(RCX), 0},
};

static bool has_feature(const struct tr_build *b, const struct x86_insn *in)
{
	unsigned f = in->desc->feature;

	return f == X86_FEAT_NONE || b->v->vm->cfg.cpu->has[f];
}

/* EVEX, and the VEX instructions on mask registers. */
static bool uses_avx512(const struct x86_insn *in)
{
	return in->is_evex || in->opnd[0].kind == X86_OPK_MASK || in->opnd[1].kind == X86_OPK_MASK;
}

/* Gathers and scatters. */
static bool by_element(const struct x86_insn *in)
{
	unsigned o = in->opcode;

	return in->map == X86_MAP_0F38 && in->desc->cls == X86_CLS_AVX &&
	       ((o >= 0x90 && o <= 0x93) || (in->is_evex && o >= 0xa0 && o <= 0xa3));
}

static const struct tr_gen *element_gen(const struct x86_insn *in)
{
	static const struct tr_gen gather = {gen_gather, 0, GEN_BARRIER};

	return in->is_evex || in->mem.seg == X86_FS || in->mem.seg == X86_GS ? &interp : &gather;
}

static const struct tr_gen *vector_gen(const struct tr_build *b, const struct x86_insn *in)
{
	unsigned off = in->desc->cls == X86_CLS_AVX ? BT_MODE_NOFPU | BT_MODE_NOSSE | BT_MODE_NOAVX
		       : in->desc->cls == X86_CLS_SSE ? BT_MODE_NOFPU | BT_MODE_NOSSE
						      : BT_MODE_NOFPU;

	if (uses_avx512(in))
		off |= BT_MODE_NO512;
	if (b->mode & off)
		return &interp;
	switch (in->op) {
	case X86_OP_FNSTENV: /* the environment and odd addresses: nothing to gain */
	case X86_OP_FLDENV:
	case X86_OP_FNSAVE:
	case X86_OP_FNINIT:
	case X86_OP_FRSTOR:
	case X86_OP_LDMXCSR:
	case X86_OP_MASKMOVQ:
	case X86_OP_MASKMOVDQU:
	case X86_OP_VMASKMOVDQU:
		return &interp;
	case X86_OP_PCMPISTRI:
	case X86_OP_PCMPESTRI:
	case X86_OP_VPCMPISTRI:
	case X86_OP_VPCMPESTRI:
		return &string_index;
	default:
		break;
	}
	return by_element(in) ? element_gen(in) : &vector;
}

static bool count_in_cl(const struct x86_insn *in)
{
	if (in->map == X86_MAP_1)
		return in->opcode == 0xd2 || in->opcode == 0xd3;
	return in->map == X86_MAP_0F && (in->opcode == 0xa5 || in->opcode == 0xad);
}

/* BT and its kin with a register index reach beyond the operand. */
static bool bit_beyond(const struct x86_insn *in)
{
	return (in->op == X86_OP_BT || in->op == X86_OP_BTS || in->op == X86_OP_BTR ||
		in->op == X86_OP_BTC) &&
	       in->opnd[0].kind == X86_OPK_MEM && in->opcode != 0xba;
}

static const struct tr_gen *integer_gen(const struct x86_insn *in)
{
	unsigned o = in->opcode;

	if (in->map == X86_MAP_1) {
		if (o >= 0xa0 && o <= 0xa3)
			return &moffs;
		if (o >= 0xb0 && o <= 0xbf)
			return &mov_imm;
		if (o >= 0x90 && o <= 0x97 && in->op == X86_OP_XCHG)
			return &xchg_rax;
		if (o >= 0x40 && o <= 0x4f)
			return &incdec_short;
		/* ALU AL/eAX, imm; their neighbours (DAA, ...) are not for a 64-bit host */
		if (!in->has_modrm && ((o < 0x40 && (o & 6) == 4) || o == 0xa8 || o == 0xa9))
			return &plain;
	}
	if (count_in_cl(in))
		return &shift_cl;
	if (bit_beyond(in))
		return in->addrsize == 8 && in->opnd[0].size >= 4 ? &bit_reg : &interp;
	return in->op < sizeof(table) / sizeof(table[0]) && table[in->op].fn ? &table[in->op]
									     : &interp;
}

static const struct tr_gen *string_gen(const struct tr_build *b, const struct x86_insn *in)
{
	static const struct tr_gen string = {gen_string, 0, GEN_BARRIER};

	if (in->addrsize != (b->x86_mode == X86_MODE_64 ? 8 : 4) || in->mem.seg == X86_FS ||
	    in->mem.seg == X86_GS)
		return &interp;
	switch (in->op) {
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_CMPS:
	case X86_OP_SCAS:
		return &string;
	case X86_OP_LODS:
		return in->prefixes & (X86_PFX_REP | X86_PFX_REPN) ? &interp : &string;
	default: /* INS, OUTS */
		return &interp;
	}
}

static const struct tr_gen *system_gen(const struct tr_build *b, const struct x86_insn *in)
{
	static const struct tr_gen cli = {gen_cli, 0, 0}, sti = {gen_sti, 0, 0},
				   swapgs = {gen_swapgs, 0, 0},
				   mov_from_seg = {gen_mov_from_seg, 0, 0},
				   rdtsc = {gen_rdtsc, R(RAX) | R(RDX) | R(RCX), 0};
	bool is_ring0 = !(b->mode & (BT_MODE_USER | TR_MODE_INNER));

	switch (in->op) {
	case X86_OP_CLI:
		return is_ring0 ? &cli : &interp;
	case X86_OP_STI:
		return is_ring0 ? &sti : &interp;
	case X86_OP_SWAPGS:
		return is_ring0 && b->x86_mode == X86_MODE_64 ? &swapgs : &interp;
	case X86_OP_MOV_SEG:
		return in->opnd[0].kind == X86_OPK_GPR && in->opnd[0].size >= 4 ? &mov_from_seg
										: &interp;
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
		return b->t->one_block ? &interp : &rdtsc; /* lockstep logs it */
	default:
		return &interp;
	}
}

static bool is_odd(const struct tr_build *b, const struct x86_insn *in, const struct tr_gen *g)
{
	unsigned width = b->x86_mode == X86_MODE_64 ? 8 : 4;

	if (in->addrsize == 2)
		return true;
	/* Leave YMM8-15 alone. */
	if (width == 4 && (in->op == X86_OP_VZEROUPPER || in->op == X86_OP_VZEROALL))
		return true;
	if ((g->flags & (GEN_STACK | GEN_END)) && in->opsize != width)
		return true;
	for (unsigned i = 0; i < in->nops; i++) {
		const struct x86_operand *o = &in->opnd[i];

		if (o->kind == X86_OPK_MEM && !(g->flags & GEN_NOMEM) &&
		    (o->size == 0 || o->size > 64 || in->mem.seg == X86_CS))
			return true;
		if ((o->kind == X86_OPK_SEG && g->fn != gen_mov_from_seg) ||
		    o->kind == X86_OPK_CR || o->kind == X86_OPK_DR)
			return true;
	}
	return false;
}

const struct tr_gen *gen_find(struct tr_build *b, const struct x86_insn *in)
{
	const struct tr_gen *g = NULL;

	if (!has_feature(b, in))
		return in->desc->cls == X86_CLS_BRANCH ? &interp_end : &interp;
	switch (in->desc->cls) {
	case X86_CLS_INT:
	case X86_CLS_BRANCH:
		g = integer_gen(in);
		break;
	case X86_CLS_X87:
	case X86_CLS_MMX:
	case X86_CLS_SSE:
	case X86_CLS_AVX:
		g = vector_gen(b, in);
		break;
	case X86_CLS_STRING:
		g = string_gen(b, in);
		break;
	case X86_CLS_SYSTEM:
		g = system_gen(b, in);
		break;
	default:
		g = &interp;
		break;
	}
	if (g != &interp && is_odd(b, in, g))
		g = &interp;
	return g == &interp && in->desc->cls == X86_CLS_BRANCH ? &interp_end : g;
}

/* Calls the interpreter for the current instruction and goes on behind it if nothing else happened.
 */
void gen_interp(struct tr_build *b)
{
	uint32_t site = site_new(b, 0, BT_READ);

	park_end(b);
	b->x87.code = false;
	b->x87.data = 0;
	emit_mov_imm(&b->e, H_RCX, site);
	emit_jmp(&b->e, b->t->stub_interp);
}
