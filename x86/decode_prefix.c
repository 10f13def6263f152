/* SPDX-License-Identifier: Apache-2.0 */
/* Decoder: the bytes, and what they say before ModRM: prefixes (REX, VEX, EVEX too) and opcode. */
#include "x86/decode_int.h"
#include "x86/state.h"

/* Mandatory prefixes, as VEX.pp and the decision tree number them. */
enum {
	PP_NONE,
	PP_66,
	PP_F3,
	PP_F2
};

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

	for (byte = decode_peek(d); !d->error; byte = decode_peek(d)) {
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

/* Outside 64-bit mode C4, C5 and 62 are LES, LDS and BOUND if a memory form of ModRM follows. */
static bool vector_prefix(struct decoder *d, uint8_t byte)
{
	if (byte != 0xc4 && byte != 0xc5 && byte != 0x62)
		return false;
	d->pos++;
	if (d->in->mode == X86_MODE_64 || decode_peek(d) >= 0xc0)
		return true;
	d->pos--;
	return false;
}

/* W, vvvv and pp lie alike in VEX and EVEX. */
static void set_vvvv(struct decoder *d, uint8_t byte)
{
	struct x86_insn *in = d->in;

	in->vex_vvvv = byte >> 3 & 15;
	in->vex_pp = byte & 3;
	d->vvvv = in->vex_vvvv ^ 15;
	if (in->mode != X86_MODE_64)
		d->vvvv &= 7;
}

static void set_w(struct decoder *d, uint8_t byte)
{
	d->in->vex_w = byte >> 7;
	d->w = d->in->vex_w;
}

static void set_map(struct decoder *d, unsigned map)
{
	if (map < X86_MAP_0F || map > X86_MAP_0F3A)
		decode_fail(d, X86_DECODE_UNDEFINED);
	else
		d->in->map = map;
}

static void read_vex(struct decoder *d, uint8_t first)
{
	struct x86_insn *in = d->in;
	uint8_t byte = decode_fetch(d, 1);

	d->space = SPACE_VEX;
	d->r = !(byte & 0x80);
	in->map = X86_MAP_0F;
	if (first == 0xc4) {
		d->x = !(byte & 0x40);
		d->b = in->mode == X86_MODE_64 && !(byte & 0x20);
		set_map(d, byte & 0x1f);
		byte = decode_fetch(d, 1);
		set_w(d, byte);
	}
	in->vex_l = byte >> 2 & 1;
	set_vvvv(d, byte);
}

/* SDM volume 2A section 2.7.1. */
static void read_evex(struct decoder *d)
{
	struct x86_insn *in = d->in;
	bool is64 = in->mode == X86_MODE_64;
	uint8_t p0 = decode_fetch(d, 1), p1 = decode_fetch(d, 1), p2 = decode_fetch(d, 1);

	d->space = SPACE_EVEX;
	in->is_evex = true;
	d->r = !(p0 & 0x80);
	d->x = !(p0 & 0x40);
	d->b = is64 && !(p0 & 0x20);
	d->r2 = is64 && !(p0 & 0x10);
	d->v2 = !(p2 & 0x08);
	set_map(d, p0 & 0xf);
	set_w(d, p1);
	set_vvvv(d, p1);
	in->evex_z = p2 >> 7;
	in->vex_l = p2 >> 5 & 3;
	in->evex_b = p2 >> 4 & 1;
	in->evex_aaa = p2 & 7;
	in->evex_r2 = d->r2;
	in->evex_p2 = p2;
	if (!(p1 & 4) || (d->v2 && !is64))
		decode_fail(d, X86_DECODE_UNDEFINED);
}

static void read_vector_prefix(struct decoder *d, uint8_t first)
{
	unsigned bad = X86_PFX_LOCK | X86_PFX_REP | X86_PFX_REPN | X86_PFX_OPSZ | X86_PFX_REX;

	if (d->in->prefixes & bad)
		decode_fail(d, X86_DECODE_UNDEFINED);
	d->in->prefixes |= X86_PFX_VEX;
	if (first == 0x62)
		read_evex(d);
	else
		read_vex(d, first);
}

static void read_escapes(struct decoder *d)
{
	uint8_t byte;

	d->in->vex_pp = mandatory_prefix(d->in);
	if (decode_peek(d) != 0x0f)
		return;
	d->pos++;
	d->in->map = X86_MAP_0F;
	byte = decode_peek(d);
	if (byte != 0x38 && byte != 0x3a)
		return;
	d->pos++;
	d->in->map = byte == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
}

void decode_opcode(struct decoder *d)
{
	uint8_t first;

	read_prefixes(d);
	first = decode_peek(d);
	if (vector_prefix(d, first))
		read_vector_prefix(d, first);
	else
		read_escapes(d);
	d->in->opcode = decode_fetch(d, 1);
	d->in->opcode_off = d->pos - 1;
}
