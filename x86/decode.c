/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoder: prefixes and opcode, and the row of the instruction table that they lead to.
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

/* Answers to TEST_PREFIX. */
enum {
	PP_NONE,
	PP_66,
	PP_F3,
	PP_F2
};

#define NODE_LEAF 0x8000u

#include "x86/decode_tables.inc"

static void fail(struct decoder *d, int error)
{
	if (!d->error)
		d->error = error;
}

static bool have(struct decoder *d, unsigned n)
{
	if (d->avail - d->pos >= (int)n)
		return true;
	fail(d, d->cut ? X86_DECODE_PARTIAL : X86_DECODE_TOO_LONG);
	return false;
}

uint64_t decode_fetch(struct decoder *d, unsigned n)
{
	uint64_t v = 0;
	unsigned i;

	if (!have(d, n))
		return 0;
	for (i = 0; i < n; i++)
		v |= (uint64_t)d->code[d->pos + i] << (8 * i);
	d->pos += n;
	return v;
}

static uint8_t peek(struct decoder *d)
{
	return have(d, 1) ? d->code[d->pos] : 0;
}

/* 64-bit mode ignores the segment overrides but FS and GS. */
static void segment_prefix(struct decoder *d, enum x86_segreg seg)
{
	if (d->in->mode == X86_MODE_64 && seg < X86_FS)
		return;
	d->override = seg;
	d->in->prefixes |= X86_PFX_SEG;
}

/* Of several F2 and F3 the last counts. */
static void repeat_prefix(struct decoder *d, unsigned bit)
{
	d->in->prefixes &= ~(X86_PFX_REP | X86_PFX_REPN);
	d->in->prefixes |= bit;
}

static bool legacy_prefix(struct decoder *d, uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		segment_prefix(d, (enum x86_segreg)(byte >> 3 & 3));
		return true;
	case 0x64:
	case 0x65:
		segment_prefix(d, byte == 0x64 ? X86_FS : X86_GS);
		return true;
	case 0x66:
		d->in->prefixes |= X86_PFX_OPSZ;
		return true;
	case 0x67:
		d->in->prefixes |= X86_PFX_ADSZ;
		return true;
	case 0xf0:
		d->in->prefixes |= X86_PFX_LOCK;
		return true;
	case 0xf2:
		repeat_prefix(d, X86_PFX_REPN);
		return true;
	case 0xf3:
		repeat_prefix(d, X86_PFX_REP);
		return true;
	}
	return false;
}

/* A REX prefix counts only if the opcode follows it. */
static void read_prefixes(struct decoder *d)
{
	uint8_t byte;

	for (byte = peek(d); !d->error; byte = peek(d)) {
		if (d->in->mode == X86_MODE_64 && (byte & 0xf0) == 0x40)
			d->in->rex = byte;
		else if (legacy_prefix(d, byte))
			d->in->rex = 0;
		else
			break;
		d->pos++;
	}
	if (!d->in->rex)
		return;
	d->in->prefixes |= X86_PFX_REX;
	d->w = d->in->rex & 8;
	d->r = d->in->rex & 4;
	d->x = d->in->rex & 2;
	d->b = d->in->rex & 1;
}

static unsigned mandatory_prefix(const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_REPN)
		return PP_F2;
	if (in->prefixes & X86_PFX_REP)
		return PP_F3;
	return in->prefixes & X86_PFX_OPSZ ? PP_66 : PP_NONE;
}

/* Outside 64-bit mode C4 and C5 are LES and LDS if a memory form of ModRM follows. */
static bool is_vex(struct decoder *d, uint8_t byte)
{
	if (byte != 0xc4 && byte != 0xc5)
		return false;
	d->pos++;
	if (d->in->mode == X86_MODE_64 || peek(d) >= 0xc0)
		return true;
	d->pos--;
	return false;
}

static void vex_last_byte(struct decoder *d, uint8_t byte)
{
	struct x86_insn *in = d->in;

	in->vex_vvvv = byte >> 3 & 15;
	in->vex_l = byte >> 2 & 1;
	in->vex_pp = byte & 3;
	d->vvvv = in->vex_vvvv ^ 15;
	if (in->mode != X86_MODE_64)
		d->vvvv &= 7;
}

static void read_vex(struct decoder *d, uint8_t first)
{
	struct x86_insn *in = d->in;
	uint8_t byte = decode_fetch(d, 1);

	if (in->prefixes & (X86_PFX_LOCK | X86_PFX_REP | X86_PFX_REPN | X86_PFX_OPSZ | X86_PFX_REX))
		fail(d, X86_DECODE_UNDEFINED);
	in->prefixes |= X86_PFX_VEX;
	d->space = SPACE_VEX;
	d->r = !(byte & 0x80);
	in->map = X86_MAP_0F;
	if (first == 0xc4) {
		d->x = !(byte & 0x40);
		d->b = in->mode == X86_MODE_64 && !(byte & 0x20);
		in->map = byte & 0x1f;
		if (in->map < X86_MAP_0F || in->map > X86_MAP_0F3A)
			fail(d, X86_DECODE_UNDEFINED);
		byte = decode_fetch(d, 1);
		in->vex_w = byte >> 7;
		d->w = in->vex_w;
	}
	vex_last_byte(d, byte);
}

static void read_opcode(struct decoder *d)
{
	struct x86_insn *in = d->in;
	uint8_t byte = peek(d);

	if (is_vex(d, byte)) {
		read_vex(d, byte);
		byte = decode_fetch(d, 1);
	} else {
		in->vex_pp = mandatory_prefix(in);
		byte = decode_fetch(d, 1);
		if (byte == 0x0f) {
			in->map = X86_MAP_0F;
			byte = decode_fetch(d, 1);
			if (byte == 0x38 || byte == 0x3a) {
				in->map = byte == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
				byte = decode_fetch(d, 1);
			}
		}
	}
	in->opcode = byte;
	in->opcode_off = d->pos - 1;
}

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
		fail(d, X86_DECODE_UNDEFINED);
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
	return in->opnd[0].reg == in->opnd[2].reg || in->opnd[0].reg == in->mem.index ||
	       in->opnd[2].reg == in->mem.index;
}

/* Encodings that the tree lets pass and the processor does not. */
static void check(struct decoder *d)
{
	const struct x86_insn *in = d->in;

	if (in->prefixes & X86_PFX_LOCK &&
	    (!(in->desc->attr & X86_AT_LOCK) || in->opnd[0].kind != X86_OPK_MEM))
		fail(d, X86_DECODE_UNDEFINED);
	if (d->space != SPACE_LEGACY && !(d->flags & ROW_VVVV) && in->vex_vvvv != 15)
		fail(d, X86_DECODE_UNDEFINED);
	if (d->flags & ROW_DISTINCT && gather_overlaps(in))
		fail(d, X86_DECODE_UNDEFINED);
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
		if (in->modrm < 0xc0 && !(row->flags & ROW_NOMOD))
			decode_memory(d);
	}
	if (row->mem)
		decode_implicit_memory(d, row->mem);
	for (i = 0; i < X86_MAX_OPERANDS && row->spec[i]; i++)
		decode_operand(d, &specs[row->spec[i]], &in->opnd[i]);
	in->nops = i;
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
	in->evex_aaa = in->evex_z = in->evex_b = 0;
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
	read_prefixes(&d);
	out->addrsize = address_size(out);
	read_opcode(&d);
	out->ext = d.w << 3 | d.r << 2 | d.x << 1 | d.b;
	row = d.error ? NULL : find_row(&d);
	if (row)
		read_operands(&d, row);
	if (d.error)
		return d.error;
	out->len = d.pos;
	return d.pos;
}
