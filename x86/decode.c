/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoder: the row of the instruction table that an opcode leads to, and what the row demands.
 *
 * A row is found by a decision tree per opcode, generated from x86/insn.def: each node asks one
 * question (mandatory prefix, ModRM.reg, REX.W, ...) and is indexed by the answer.
 */
#include "x86/cpuid.h"
#include "x86/decode_int.h"
#include "x86/ops.h"
#include "x86/state.h"

/* What a node of the decision tree asks, in the order of TESTS in gen_insn.py. */
enum tree_test {
	TEST_PREFIX,
	TEST_LONG,
	TEST_MOD,
	TEST_REG,
	TEST_RM,
	TEST_W,
	TEST_L,
	TEST_R,
	TEST_B
};

#define NODE_LEAF 0x8000u

#include "x86/decode_tables.inc"

static void read_modrm(struct decoder *d)
{
	if (d->in->has_modrm)
		return;
	d->in->modrm_off = d->pos;
	d->in->modrm = decode_fetch(d, 1);
	d->in->has_modrm = true;
}

static unsigned answer(struct decoder *d, enum tree_test test)
{
	const struct x86_insn *in = d->in;

	switch (test) {
	case TEST_PREFIX:
		return in->vex_pp;
	case TEST_LONG:
		return in->mode == X86_MODE_64;
	case TEST_MOD:
		read_modrm(d);
		return in->modrm >= 0xc0;
	case TEST_REG:
		read_modrm(d);
		return in->modrm >> 3 & 7;
	case TEST_RM:
		read_modrm(d);
		return in->modrm & 7;
	case TEST_W:
		return d->w;
	case TEST_L:
		return in->vex_l;
	case TEST_R:
		return d->r;
	case TEST_B:
		return d->b;
	}
	return 0;
}

static const struct row *find_row(struct decoder *d)
{
	unsigned n = roots[d->space][d->in->map][d->in->opcode];

	while (n && !(n & NODE_LEAF)) {
		n = nodes[n + 1 + answer(d, nodes[n])];
		if (d->error)
			return NULL;
	}
	if (!n) {
		decode_fail(d, X86_DECODE_UNDEFINED);
		return NULL;
	}
	return &rows[n & ~NODE_LEAF];
}

static unsigned operand_size(const struct decoder *d)
{
	const struct x86_insn *in = d->in;
	bool other = in->prefixes & X86_PFX_OPSZ && !(d->flags & ROW_PREFIX66);

	if (in->mode != X86_MODE_64)
		return (in->mode == X86_MODE_16) != other ? 2 : 4;
	if (d->w || d->flags & ROW_F64)
		return 8;
	if (other)
		return 2;
	return d->flags & ROW_D64 ? 8 : 4;
}

static unsigned address_size(const struct x86_insn *in)
{
	bool other = in->prefixes & X86_PFX_ADSZ;

	if (in->mode == X86_MODE_64)
		return other ? 4 : 8;
	return (in->mode == X86_MODE_16) != other ? 2 : 4;
}

static bool gather_overlaps(const struct x86_insn *in)
{
	uint8_t dest = in->opnd[0].reg, index = in->mem.index;

	if (in->is_evex)
		return dest == index;
	return dest == in->opnd[2].reg || dest == index || in->opnd[2].reg == index;
}

/* EVEX.b is broadcast in memory forms; in register forms it makes L'L a rounding mode, length 512.
 */
static void check_evex_b(struct decoder *d)
{
	bool memory = d->in->modrm < 0xc0;
	unsigned allowed = memory ? ROW_BC4 | ROW_BC8 : ROW_ER | ROW_SAE;

	if (d->in->evex_b && !(d->flags & allowed))
		decode_fail(d, X86_DECODE_UNDEFINED);
	if (d->in->evex_b && !memory)
		d->in->vex_l = 2;
	else if (d->in->vex_l == 3)
		decode_fail(d, X86_DECODE_UNDEFINED);
}

/* Before the operands, because it sets the vector length. SDM volume 2A section 2.7.11. */
static void check_evex(struct decoder *d)
{
	const struct x86_insn *in = d->in;

	check_evex_b(d);
	if (in->evex_aaa ? !(d->flags & (ROW_MASK | ROW_NEEDK)) : d->flags & ROW_NEEDK)
		decode_fail(d, X86_DECODE_UNDEFINED);
	if (in->evex_z && (!in->evex_aaa || !(d->flags & ROW_ZERO)))
		decode_fail(d, X86_DECODE_UNDEFINED);
}

/* VEX.vvvv and EVEX.V' must be all ones where no operand is there. */
static bool vvvv_fits(const struct decoder *d)
{
	bool v2 = d->v2 && !(d->flags & ROW_VSIB);

	return d->flags & ROW_VVVV || (d->in->vex_vvvv == 15 && !v2);
}

/* Encodings that the tree lets pass and the processor does not. */
static void check(struct decoder *d)
{
	const struct x86_insn *in = d->in;
	bool memory = in->opnd[0].kind == X86_OPK_MEM;

	if (in->prefixes & X86_PFX_LOCK && (!(in->desc->attr & X86_AT_LOCK) || !memory))
		decode_fail(d, X86_DECODE_UNDEFINED);
	if (d->space != SPACE_LEGACY && !vvvv_fits(d))
		decode_fail(d, X86_DECODE_UNDEFINED);
	if (d->flags & ROW_DISTINCT && gather_overlaps(in))
		decode_fail(d, X86_DECODE_UNDEFINED);
	if (in->evex_z && memory)
		decode_fail(d, X86_DECODE_UNDEFINED);
}

/* With a merging mask the destination keeps what the mask leaves out. */
static void set_merge_access(struct x86_insn *in)
{
	if (in->evex_aaa && !in->evex_z && in->opnd[0].kind != X86_OPK_MASK)
		in->opnd[0].access |= X86_ACC_READ;
}

/* EVEX displacements of one byte count in units of the memory operand. */
static void scale_disp8(struct decoder *d, const struct row *row)
{
	struct x86_insn *in = d->in;
	unsigned i;

	if (!in->is_evex || in->disp_len != 1)
		return;
	for (i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_MEM)
			in->mem.disp *= row->scale ? row->scale : in->opnd[i].size;
}

static void read_operands(struct decoder *d, const struct row *row)
{
	struct x86_insn *in = d->in;
	unsigned i;

	d->flags = row->flags;
	in->desc = &descs[row->desc];
	in->op = in->desc->op;
	in->opsize = operand_size(d);
	if (row->flags & ROW_MODRM) {
		read_modrm(d);
		if (in->is_evex)
			check_evex(d);
		if (in->modrm < 0xc0 && !(row->flags & ROW_NOMOD))
			decode_memory(d);
	}
	if (row->mem)
		decode_implicit_memory(d, row->mem);
	for (i = 0; i < X86_MAX_OPERANDS && row->spec[i]; i++)
		decode_operand(d, &specs[row->spec[i]], &in->opnd[i]);
	in->nops = i;
	set_merge_access(in);
	scale_disp8(d, row);
	/* SDM volume 2, SHL: the count is masked to 5 bits, to 6 for 64-bit operands. */
	if (row->flags & ROW_ICOUNT && in->imm & (in->opnd[0].size == 8 ? 0x3f : 0x1f))
		in->desc++;
	check(d);
}

/* Not an aggregate assignment: that may become a call of memset, which is libc's. */
static void clear(struct x86_insn *in, enum x86_mode mode)
{
	unsigned i;

	in->desc = NULL;
	in->op = X86_OP_INVALID;
	in->len = 0;
	in->mode = mode;
	in->nops = in->opsize = in->addrsize = in->prefixes = in->rex = 0;
	in->map = X86_MAP_1;
	in->opcode = in->modrm = in->sib = 0;
	in->has_modrm = in->is_evex = false;
	in->vex_l = in->vex_w = in->vex_vvvv = in->vex_pp = 0;
	in->evex_aaa = in->evex_z = in->evex_b = in->evex_r2 = in->evex_p2 = 0;
	in->opcode_off = in->modrm_off = in->disp_off = in->disp_len = 0;
	in->imm_off = in->imm_len = 0;
	in->mem.seg = X86_DS;
	in->mem.base = in->mem.index = X86_REG_NONE;
	in->mem.scale = 1;
	in->mem.disp = 0;
	in->imm = in->imm2 = 0;
	for (i = 0; i < X86_MAX_OPERANDS; i++) {
		in->opnd[i].kind = X86_OPK_NONE;
		in->opnd[i].reg = in->opnd[i].access = 0;
		in->opnd[i].size = 0;
	}
}

int x86_decode(const uint8_t *code, size_t len, enum x86_mode mode, struct x86_insn *out)
{
	struct decoder d = {
		.code = code,
		.avail = len < X86_MAX_INSN_LEN ? len : X86_MAX_INSN_LEN,
		.cut = len < X86_MAX_INSN_LEN,
		.override = X86_REG_NONE,
		.in = out,
	};
	const struct row *row;

	clear(out, mode);
	decode_opcode(&d);
	out->addrsize = address_size(out);
	out->ext = d.w << 3 | d.r << 2 | d.x << 1 | d.b;
	row = d.error ? NULL : find_row(&d);
	if (row)
		read_operands(&d, row);
	if (d.error)
		return d.error;
	out->len = d.pos;
	return d.pos;
}
