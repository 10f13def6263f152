/* SPDX-License-Identifier: Apache-2.0 */
/* Decoder: ModRM memory forms and operands. */
#include "x86/decode_int.h"
#include "x86/state.h"

static int64_t sign_extend(uint64_t v, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return (int64_t)(v << shift) >> shift;
}

static void read_disp(struct decoder *d, unsigned bytes)
{
	d->in->disp_off = d->pos;
	d->in->disp_len = bytes;
	d->in->mem.disp = sign_extend(decode_fetch(d, bytes), bytes);
}

/* Segment of a memory operand that has no override: SS with rSP or rBP as base. */
static void set_segment(struct decoder *d)
{
	uint8_t base = d->in->mem.base;

	if (d->override != X86_REG_NONE)
		d->in->mem.seg = d->override;
	else
		d->in->mem.seg = base == X86_RSP || base == X86_RBP ? X86_SS : X86_DS;
}

/* SDM volume 2A table 2-1. */
static void memory16(struct decoder *d)
{
	static const uint8_t base[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP,
					X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const uint8_t index[4] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI};
	unsigned mod = d->in->modrm >> 6, rm = d->in->modrm & 7;

	if (mod == 0 && rm == 6) {
		read_disp(d, 2);
		return;
	}
	d->in->mem.base = base[rm];
	if (rm < 4)
		d->in->mem.index = index[rm];
	if (mod)
		read_disp(d, mod);
}

static void read_sib(struct decoder *d)
{
	struct x86_insn *in = d->in;
	unsigned index;

	in->sib = decode_fetch(d, 1);
	in->mem.scale = 1 << (in->sib >> 6);
	index = (in->sib >> 3 & 7) | d->x << 3;
	if (d->flags & ROW_VSIB)
		in->mem.index = index | d->v2 << 4;
	else if (index != 4)
		in->mem.index = index;
}

/* SDM volume 2A tables 2-2 and 2-3, section 2.2.1.6 for RIP. */
static void memory32(struct decoder *d)
{
	struct x86_insn *in = d->in;
	unsigned mod = in->modrm >> 6, rm = in->modrm & 7;

	if (rm == 4) {
		read_sib(d);
		rm = in->sib & 7;
	} else if (mod == 0 && rm == 5 && in->mode == X86_MODE_64) {
		in->mem.base = X86_REG_RIP;
	}
	if (mod == 0 && rm == 5) {
		read_disp(d, 4);
		return;
	}
	in->mem.base = rm | d->b << 3;
	if (mod)
		read_disp(d, mod == 1 ? 1 : 4);
}

void decode_memory(struct decoder *d)
{
	if (d->flags & ROW_VSIB && (d->in->addrsize == 2 || (d->in->modrm & 7) != 4)) {
		decode_fail(d, X86_DECODE_UNDEFINED);
		return;
	}
	if (d->in->addrsize == 2)
		memory16(d);
	else
		memory32(d);
	set_segment(d);
}

void decode_implicit_memory(struct decoder *d, enum implicit_mem mem)
{
	static const uint8_t base[] = {
		[IMPL_SI] = X86_RSI, [IMPL_DI] = X86_RDI, [IMPL_ES_DI] = X86_RDI,
		[IMPL_BX] = X86_RBX, [IMPL_AX] = X86_RAX,
	};

	d->in->mem.base = base[mem];
	set_segment(d);
	if (mem == IMPL_ES_DI)
		d->in->mem.seg = X86_ES;
}

/* Bytes of an operand. */
static unsigned size_of(const struct decoder *d, enum opnd_size size)
{
	static const uint8_t fixed[] = {
		[SIZE_n] = 0,  [SIZE_b] = 1,  [SIZE_w] = 2,  [SIZE_d] = 4,  [SIZE_q] = 8,
		[SIZE_t] = 10, [SIZE_o] = 16, [SIZE_h] = 32, [SIZE_u] = 64,
	};
	const struct x86_insn *in = d->in;
	bool is64 = in->mode == X86_MODE_64;
	bool w = d->w && is64;

	switch (size) {
	case SIZE_v:
	case SIZE_sb:
		return in->opsize;
	case SIZE_z:
		return in->opsize == 2 ? 2 : 4;
	case SIZE_y:
		return w ? 8 : 4;
	case SIZE_Q:
		return w ? 16 : 8;
	case SIZE_m:
		return is64 ? 8 : 4;
	case SIZE_p:
		return in->opsize + 2;
	case SIZE_s:
		return is64 ? 10 : 6;
	case SIZE_a:
		return 2 * in->opsize;
	case SIZE_e: /* SDM volume 1 figures 8-9 to 8-12 */
		return in->opsize == 2 ? 14 : 28;
	case SIZE_f:
		return in->opsize == 2 ? 94 : 108;
	case SIZE_x:
		return 16u << in->vex_l;
	case SIZE_hx:
		return 8u << in->vex_l;
	case SIZE_qx:
		return 4u << in->vex_l;
	case SIZE_ex:
		return 2u << in->vex_l;
	case SIZE_hv:
		return in->vex_l == 2 ? 32 : 16;
	default:
		return fixed[size];
	}
}

static void set_register(const struct decoder *d, const struct spec *spec, unsigned reg,
			 struct x86_operand *o)
{
	o->kind = spec->kind;
	o->size = size_of(d, spec->regsize);
	/* Without REX byte registers 4 to 7 are AH, CH, DH, BH. */
	if (o->kind == X86_OPK_GPR && o->size == 1 && reg >= 4 && reg < 8 && !d->in->rex)
		reg += 12;
	o->reg = reg;
}

static void set_memory(const struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	o->kind = X86_OPK_MEM;
	if (d->in->evex_b)
		o->size = d->flags & ROW_BC4 ? 4 : 8;
	else
		o->size = size_of(d, spec->memsize);
}

/* A register number from three bits of ModRM or opcode and up to two bits of a prefix. */
static unsigned extended(const struct spec *spec, unsigned low, bool bit3, bool bit4)
{
	switch (spec->kind) {
	case X86_OPK_VEC:
		return low | bit3 << 3 | bit4 << 4;
	case X86_OPK_GPR:
	case X86_OPK_CR:
	case X86_OPK_DR:
		return low | bit3 << 3;
	default:
		return low;
	}
}

static void set_modrm_reg(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	unsigned low = d->in->modrm >> 3 & 7;

	if ((spec->kind == X86_OPK_MASK && d->r) || (spec->kind != X86_OPK_VEC && d->r2))
		decode_fail(d, X86_DECODE_UNDEFINED);
	set_register(d, spec, extended(spec, low, d->r, d->r2), o);
}

static void set_modrm_rm(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	const struct x86_insn *in = d->in;

	if (in->modrm < 0xc0 && !(d->flags & ROW_NOMOD))
		set_memory(d, spec, o);
	else
		set_register(d, spec, extended(spec, in->modrm & 7, d->b, in->is_evex && d->x), o);
}

static void set_vvvv_register(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	if (spec->kind == X86_OPK_MASK && d->vvvv > 7)
		decode_fail(d, X86_DECODE_UNDEFINED);
	set_register(d, spec, d->vvvv | (spec->kind == X86_OPK_VEC ? d->v2 << 4 : 0), o);
}

/* The bytes of an immediate follow each other; the first operand's value is `imm`, the second's
 * `imm2`. */
static void read_imm(struct decoder *d, unsigned bytes, bool sign)
{
	struct x86_insn *in = d->in;
	bool first = in->imm_len == 0;
	uint8_t at = d->pos;
	uint64_t v = decode_fetch(d, bytes);

	if (sign)
		v = sign_extend(v, bytes);
	if (first) {
		in->imm_off = at;
		in->imm = v;
	} else {
		in->imm2 = v;
	}
	in->imm_len += bytes;
}

static void set_imm(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	unsigned size = size_of(d, spec->regsize);

	switch (spec->regsize) {
	case SIZE_sb:
		read_imm(d, 1, true);
		break;
	case SIZE_z: /* four bytes are sign-extended to a 64-bit operand */
		read_imm(d, size, true);
		size = d->in->opsize;
		break;
	default:
		read_imm(d, size, false);
	}
	o->kind = X86_OPK_IMM;
	o->size = size;
}

static void set_rel(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	unsigned size = size_of(d, spec->regsize);

	read_imm(d, size, true);
	o->kind = X86_OPK_REL;
	o->size = size;
}

static void set_far(struct decoder *d, struct x86_operand *o)
{
	read_imm(d, d->in->opsize, false);
	read_imm(d, 2, false);
	o->kind = X86_OPK_FAR;
	o->size = d->in->opsize + 2;
}

static void set_moffs(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	struct x86_insn *in = d->in;

	in->disp_off = d->pos;
	in->disp_len = in->addrsize;
	in->mem.disp = decode_fetch(d, in->addrsize);
	set_segment(d);
	set_memory(d, spec, o);
}

static void set_is4(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	read_imm(d, 1, false);
	set_register(d, spec, d->in->imm >> 4 & (d->in->mode == X86_MODE_64 ? 15 : 7), o);
}

static void set_fixed(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	o->kind = spec->kind;
	o->size = size_of(d, spec->regsize);
	if (spec->kind == X86_OPK_IMM)
		d->in->imm = spec->reg;
	else
		o->reg = spec->reg;
}

void decode_operand(struct decoder *d, const struct spec *spec, struct x86_operand *o)
{
	const struct x86_insn *in = d->in;

	o->access = spec->access;
	switch ((enum place)spec->place) {
	case PLACE_NONE:
		break;
	case PLACE_RM:
		set_modrm_rm(d, spec, o);
		break;
	case PLACE_REG:
		set_modrm_reg(d, spec, o);
		break;
	case PLACE_VVVV:
		set_vvvv_register(d, spec, o);
		break;
	case PLACE_OPREG:
		set_register(d, spec, extended(spec, in->opcode & 7, d->b, false), o);
		break;
	case PLACE_IS4:
		set_is4(d, spec, o);
		break;
	case PLACE_FIXED:
		set_fixed(d, spec, o);
		break;
	case PLACE_IMM:
		set_imm(d, spec, o);
		break;
	case PLACE_REL:
		set_rel(d, spec, o);
		break;
	case PLACE_FAR:
		set_far(d, o);
		break;
	case PLACE_MOFFS:
		set_moffs(d, spec, o);
		break;
	case PLACE_STRING:
		set_memory(d, spec, o);
		break;
	}
}
