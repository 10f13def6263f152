/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Re-encoding of a guest instruction for the host: same opcode and immediate, other registers or
 * another memory operand (Intel SDM volume 2A chapter 2).
 */
#include "vmm/engine/bt/translate/build.h"

static void mandatory_prefixes(struct word *w, const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_LOCK)
		word_add(w, 0xf0);
	if (in->prefixes & X86_PFX_OPSZ)
		word_add(w, 0x66);
	if (in->prefixes & X86_PFX_REP)
		word_add(w, 0xf3);
	if (in->prefixes & X86_PFX_REPN)
		word_add(w, 0xf2);
}

/* REX.R, X, B (4, 2, 1) for the copy. `own` are those of the original. */
static unsigned rex_bits(const struct copy *c, unsigned own)
{
	unsigned rex = own & 5;

	if (c->reg >= 0)
		rex = (rex & ~4u) | (c->reg >= 8 ? 4 : 0);
	if (c->rm >= 0)
		rex = (rex & ~1u) | (c->rm >= 8 ? 1 : 0);
	if (c->mem)
		rex = (rex & ~1u) | hmem_rex(c->mem);
	return rex;
}

static void modrm(struct emit *e, const struct x86_insn *in, const struct copy *c)
{
	unsigned reg = c->reg >= 0 ? (unsigned)c->reg & 7 : in->modrm >> 3 & 7;
	unsigned rm = c->rm >= 0 ? (unsigned)c->rm & 7 : in->modrm & 7;

	if (c->mem)
		emit_modrm_mem(e, reg, c->mem);
	else
		emit_u8(e, 0xc0 | reg << 3 | rm);
}

static void legacy(struct emit *e, const struct x86_insn *in, const struct copy *c)
{
	unsigned rex = (in->rex & 8) | rex_bits(c, in->rex);
	struct word w = {0};

	mandatory_prefixes(&w, in);
	if (!c->no_rex && (rex || in->rex))
		word_add(&w, 0x40 | rex);
	if (in->map != X86_MAP_1)
		word_add(&w, 0x0f);
	if (in->map == X86_MAP_0F38)
		word_add(&w, 0x38);
	else if (in->map == X86_MAP_0F3A)
		word_add(&w, 0x3a);
	/* 82 is 80 again, but not in 64-bit mode, which the copy runs in. */
	word_add(&w, in->map == X86_MAP_1 && in->opcode == 0x82 ? 0x80 : in->opcode);
	emit_word(e, w);
}

/* Outside 64-bit mode VEX.W does not choose 64-bit general registers or integers: it is ignored. */
static bool is_wide(const struct x86_insn *in)
{
	if (!(in->ext & 8) || in->mode == X86_MODE_64)
		return in->ext & 8;
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_GPR)
			return false;
	if (in->map == X86_MAP_0F && in->is_evex && (in->opcode == 0x7b || in->opcode == 0x7e))
		return in->opcode == 0x7b ? in->vex_pp < 2 : in->vex_pp != 1;
	if (in->map == X86_MAP_0F)
		return in->opcode != 0x2a && in->opcode != 0x6e && in->opcode != 0x7e;
	return in->map != X86_MAP_0F3A || (in->opcode != 0x16 && in->opcode != 0x22 &&
					   in->opcode != 0x60 && in->opcode != 0x61);
}

/* The three-byte form whatever the original was. Outside 64-bit mode vvvv has three bits. */
static void vex(struct emit *e, const struct x86_insn *in, const struct copy *c)
{
	unsigned vvvv = in->mode == X86_MODE_64 ? in->vex_vvvv : in->vex_vvvv | 8u;
	struct word w = {0};

	if (c->vvvv >= 0)
		vvvv = ~(unsigned)c->vvvv & 15;
	word_add(&w, 0xc4);
	word_add(&w, (~rex_bits(c, in->ext) & 7) << 5 | in->map);
	word_add(&w, (is_wide(in) ? 0x80 : 0) | vvvv << 3 | in->vex_l << 2 | in->vex_pp);
	word_add(&w, in->opcode);
	emit_word(e, w);
}

/* Outside 64-bit mode register numbers have three bits: what would extend them is ignored. */
static void evex(struct emit *e, const struct x86_insn *in, const struct copy *c)
{
	unsigned vvvv = in->mode == X86_MODE_64 ? in->vex_vvvv : in->vex_vvvv | 8u;
	struct word w = {0};
	unsigned rex = rex_bits(c, in->ext);
	bool r2 = in->evex_r2 && c->reg < 0;

	if (!c->mem && c->rm < 0)
		rex |= in->ext & 2; /* bit 4 of a vector register in ModRM.rm */
	word_add(&w, 0x62);
	word_add(&w, (~rex & 7) << 5 | (r2 ? 0 : 0x10) | in->map);
	word_add(&w, (is_wide(in) ? 0x80 : 0) | vvvv << 3 | 4 | in->vex_pp);
	word_add(&w, in->evex_p2);
	word_add(&w, in->opcode);
	emit_word(e, w);
}

/* VBLENDVPS and its kin: a register in bits 7:4 of the immediate; bit 7 counts in 64-bit mode only.
 */
static bool is4(const struct x86_insn *in)
{
	return in->map == X86_MAP_0F3A && in->opcode >= 0x4a && in->opcode <= 0x4c;
}

/* Whatever the instruction may write to. */
static void note_changes(struct emit *e, const struct copy *c)
{
	if (c->reg >= 0)
		emit_changes(e, (unsigned)c->reg);
	if (c->rm >= 0)
		emit_changes(e, (unsigned)c->rm);
	if (c->vvvv >= 0)
		emit_changes(e, (unsigned)c->vvvv);
	if (c->mem)
		emit_changes_word(e, c->mem);
}

void copy_insn(struct tr_build *b, const struct copy *c)
{
	const struct x86_insn *in = cur_insn(b);
	const uint8_t *raw = b->insn[b->cur].raw;
	struct copy own = *c;
	struct hmem m;

	note_changes(&b->e, c);
	if (c->mem) {
		m = *c->mem;
		m.wide_disp = in->is_evex && m.disp;
		m.imm = in->imm_len;
		own.mem = &m;
		if (m.gs)
			emit_u8(&b->e, 0x65);
	}
	if (in->is_evex)
		evex(&b->e, in, &own);
	else if (in->prefixes & X86_PFX_VEX)
		vex(&b->e, in, &own);
	else
		legacy(&b->e, in, &own);
	if (in->has_modrm)
		modrm(&b->e, in, &own);
	if (in->prefixes & X86_PFX_VEX && in->mode != X86_MODE_64 && is4(in))
		emit_u8(&b->e, in->imm & 0x7f);
	else
		emit_bytes(&b->e, raw + in->imm_off, in->imm_len);
}
