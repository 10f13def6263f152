/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against Zydis on random encodings: validity, length, mnemonic, operands, flags.
 *
 * usage: zydis_compare [COUNT [SEED]]
 * Differences are counted by kind, and one example of each is printed; known ones are listed below.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <Zydis/Zydis.h>

#include "tests/unit/x86/zydis_known.h"
#include "x86/cpuid.h"
#include "x86/insn.h"
#include "x86/ops.h"
#include "x86/state.h"

#define DEFAULT_COUNT 300000u
#define DEFAULT_SEED  1u

/* ---- counting -----------------------------------------------------------------------------------
 */

#define MAX_KINDS 2000

struct kind {
	char what[80];
	unsigned long count;
	char example[160];
	long ours, theirs; /* in the example */
};

struct run {
	ZydisDecoder decoder[3];
	struct kind kinds[MAX_KINDS];
	unsigned nkinds;
	unsigned long valid, excused;
	uint64_t random;
};

struct sample {
	uint8_t code[X86_MAX_INSN_LEN];
	unsigned len; /* bytes given */
	enum x86_mode mode;
	int got;
	struct x86_insn in;
	ZyanStatus status;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand zop[ZYDIS_MAX_OPERAND_COUNT];
};

static uint64_t next_random(struct run *r)
{
	/* splitmix64 */
	uint64_t z = r->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static const char *their_name(const struct sample *s)
{
	const char *name = ZYAN_SUCCESS(s->status) ? ZydisMnemonicGetString(s->z.mnemonic) : NULL;

	return name ? name : "-";
}

static bool matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (n && pattern[n - 1] == '*')
		return !strncmp(pattern, name, n - 1);
	return !strcmp(pattern, name);
}

/* The feature of an AVX-512 instruction; *known is false if it is none. */
static enum x86_feature avx512_feature(const struct sample *s, bool *known)
{
	const char *set = ZydisISASetGetString(s->z.meta.isa_set);
	size_t i;

	for (i = 0; i < sizeof(avx512_sets) / sizeof(avx512_sets[0]); i++) {
		*known = set && matches(avx512_sets[i].theirs, set);
		if (*known)
			return avx512_sets[i].feature;
	}
	return X86_FEAT_NONE;
}

static bool is_absent(const struct sample *s)
{
	bool known;
	size_t i;

	if (!ZYAN_SUCCESS(s->status))
		return false;
	for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		if (s->z.meta.isa_ext == absent[i])
			return true;
	return avx512_feature(s, &known) == X86_FEAT_NONE && known;
}

static bool excused(const struct sample *s, unsigned aspect)
{
	const char *name = ZYAN_SUCCESS(s->status) ? their_name(s) : x86_op_name(s->in.op);
	size_t i;

	for (i = 0; i < sizeof(excuses) / sizeof(excuses[0]); i++)
		if (excuses[i].aspects & aspect && matches(excuses[i].theirs, name))
			return true;
	return is_absent(s);
}

static void example(const struct sample *s, char *buf, size_t size)
{
	size_t at = snprintf(buf, size, "%d-bit:", 16 << s->mode);
	unsigned i;

	for (i = 0; i < s->len && at < size; i++)
		at += snprintf(buf + at, size - at, " %02x", s->code[i]);
	if (at < size)
		snprintf(buf + at, size - at, "  ours %d %s, theirs %d %s (%" PRIx32 ")", s->got,
			 x86_op_name(s->in.op), ZYAN_SUCCESS(s->status) ? s->z.length : -1,
			 their_name(s), (uint32_t)s->status);
}

static void differ(struct run *r, const struct sample *s, unsigned aspect, const char *text,
		   long ours, long theirs)
{
	struct kind *k;
	char what[sizeof(k->what)];
	unsigned i;

	if (excused(s, aspect)) {
		r->excused++;
		return;
	}
	snprintf(what, sizeof(what), "%s %s/%s", text, x86_op_name(s->in.op), their_name(s));
	for (i = 0; i < r->nkinds && strcmp(r->kinds[i].what, what); i++)
		;
	if (i == MAX_KINDS)
		return;
	k = &r->kinds[i];
	if (i == r->nkinds) {
		r->nkinds++;
		memcpy(k->what, what, sizeof(what));
		example(s, k->example, sizeof(k->example));
		k->ours = ours;
		k->theirs = theirs;
	}
	k->count++;
}

/* ---- comparison ---------------------------------------------------------------------------------
 */

static bool in_list(const char *list, const char *name)
{
	size_t n = strlen(name);
	const char *p;

	for (p = list; (p = strstr(p, name)); p++)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

static bool same_name(const struct x86_insn *in, const char *theirs)
{
	static const char *const cc[16] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
					   "s", "ns", "p", "np", "l", "nl", "le", "nle"};
	size_t i;

	switch (in->op) {
	case X86_OP_JCC:
		return theirs[0] == 'j' && !strcmp(theirs + 1, cc[in->opcode & 15]);
	case X86_OP_SETCC:
		return !strncmp(theirs, "set", 3) && !strcmp(theirs + 3, cc[in->opcode & 15]);
	case X86_OP_CMOVCC:
		return !strncmp(theirs, "cmov", 4) && !strcmp(theirs + 4, cc[in->opcode & 15]);
	}
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (families[i].op == in->op)
			return in_list(families[i].theirs, theirs);
	return !strcmp(x86_op_name(in->op), theirs);
}

static uint8_t register_kind(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return X86_OPK_GPR;
	case ZYDIS_REGCLASS_X87:
		return X86_OPK_X87;
	case ZYDIS_REGCLASS_MMX:
		return X86_OPK_MMX;
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		return X86_OPK_VEC;
	case ZYDIS_REGCLASS_SEGMENT:
		return X86_OPK_SEG;
	case ZYDIS_REGCLASS_CONTROL:
		return X86_OPK_CR;
	case ZYDIS_REGCLASS_DEBUG:
		return X86_OPK_DR;
	case ZYDIS_REGCLASS_MASK:
		return X86_OPK_MASK;
	default:
		return X86_OPK_NONE;
	}
}

static uint8_t their_kind(const ZydisDecodedOperand *o)
{
	switch (o->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return register_kind(o->reg.value);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return X86_OPK_MEM;
	case ZYDIS_OPERAND_TYPE_POINTER:
		return X86_OPK_FAR;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return o->imm.is_relative ? X86_OPK_REL : X86_OPK_IMM;
	default:
		return X86_OPK_NONE;
	}
}

/* Zydis numbers byte registers AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B..., segments as here. */
static unsigned their_number(ZydisRegister reg)
{
	unsigned id = ZydisRegisterGetId(reg);

	if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8 || id < 4)
		return id;
	return id < 8 ? id + 12 : id - 4;
}

static uint8_t their_gpr(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return X86_REG_NONE;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return X86_REG_RIP;
	return their_number(reg);
}

/*
 * SIB with base 101 and mod 00 has no base register, whatever REX.B (SDM volume 2A table 2-3).
 * Zydis 4.0 says R13D when the address size is 32 bits.
 */
static bool zydis_r13d(const struct x86_insn *in)
{
	return in->mode == X86_MODE_64 && in->addrsize == 4 && (in->modrm & 0xc7) == 4 &&
	       (in->sib & 7) == 5;
}

static void compare_memory(struct run *r, const struct sample *s, const ZydisDecodedOperandMem *m)
{
	const struct x86_insn *in = &s->in;
	uint64_t mask = in->addrsize == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * in->addrsize) - 1;

	if (zydis_r13d(in))
		return;
	if (in->mem.base != their_gpr(m->base))
		differ(r, s, ASPECT_OPERANDS, "memory base", in->mem.base, their_gpr(m->base));
	if (in->mem.index != their_gpr(m->index))
		differ(r, s, ASPECT_OPERANDS, "memory index", in->mem.index, their_gpr(m->index));
	if (m->index != ZYDIS_REGISTER_NONE && in->mem.scale != m->scale && m->scale)
		differ(r, s, ASPECT_OPERANDS, "memory scale", in->mem.scale, m->scale);
	if (in->mem.seg != ZydisRegisterGetId(m->segment))
		differ(r, s, ASPECT_OPERANDS, "memory segment", in->mem.seg,
		       ZydisRegisterGetId(m->segment));
	if ((in->mem.disp ^ (m->disp.has_displacement ? m->disp.value : 0)) & mask)
		differ(r, s, ASPECT_OPERANDS, "memory displacement", in->mem.disp, m->disp.value);
}

static uint8_t their_access(const ZydisDecodedOperand *o)
{
	return (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? X86_ACC_READ : 0) |
	       (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? X86_ACC_WRITE : 0);
}

static void compare_imm(struct run *r, const struct sample *s, unsigned i, uint64_t imm)
{
	uint64_t ours =
		i + 1 < s->in.nops || s->in.nops < 2 || s->in.opnd[i - 1].kind != X86_OPK_IMM
			? s->in.imm
			: s->in.imm2;
	unsigned bits = 8 * s->in.opnd[i].size;
	uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

	if ((ours ^ imm) & mask)
		differ(r, s, ASPECT_OPERANDS, "immediate", ours, imm);
}

/*
 * Zydis tells no size of displacements, 64 bits of every mask register and, in EVEX instructions,
 * the whole XMM register for a part that counts.
 */
static bool has_size(const struct sample *s, const struct x86_operand *o,
		     const ZydisDecodedOperand *z)
{
	uint8_t kind = o->kind;

	if (s->in.is_evex && kind == X86_OPK_VEC && o->size < 16 && z->size == 128)
		return false;
	return kind != X86_OPK_IMM && kind != X86_OPK_REL && kind != X86_OPK_MASK;
}

/* A masked store keeps bytes of its memory, which Zydis does not tell. */
static bool has_access(const struct x86_insn *in, const struct x86_operand *o)
{
	return o->kind != X86_OPK_REL && !(in->evex_aaa && o->kind == X86_OPK_MEM);
}

static void compare_operand(struct run *r, const struct sample *s, unsigned i,
			    const ZydisDecodedOperand *z)
{
	const struct x86_operand *o = &s->in.opnd[i];
	char text[32];

	if (o->kind != their_kind(z)) {
		snprintf(text, sizeof(text), "operand %u kind", i);
		differ(r, s, ASPECT_OPERANDS, text, o->kind, their_kind(z));
		return;
	}
	if (z->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg != their_number(z->reg.value))
		differ(r, s, ASPECT_OPERANDS, "register", o->reg, their_number(z->reg.value));
	if (z->type == ZYDIS_OPERAND_TYPE_MEMORY)
		compare_memory(r, s, &z->mem);
	if (z->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		compare_imm(r, s, i, z->imm.value.u);
	if (o->size * 8 != z->size && has_size(s, o, z)) {
		snprintf(text, sizeof(text), "operand %u size (kind %u)", i, o->kind);
		differ(r, s, ASPECT_SIZE, text, o->size, z->size / 8);
	}
	if (o->access != their_access(z) && has_access(&s->in, o)) {
		snprintf(text, sizeof(text), "operand %u access", i);
		differ(r, s, ASPECT_ACCESS, text, o->access, their_access(z));
	}
}

/* ST0 and XMM0 where Zydis hides them. */
static bool is_hidden(const struct x86_insn *in, unsigned i)
{
	const struct x86_operand *o = &in->opnd[i];

	return o->reg == 0 && (o->kind == X86_OPK_X87 || (o->kind == X86_OPK_VEC && i == 2));
}

/* Zydis lists an EVEX mask as an operand; here it is evex_aaa. */
static unsigned without_mask(struct sample *s)
{
	unsigned i, n = 0;

	for (i = 0; i < s->z.operand_count_visible; i++)
		if (s->zop[i].encoding != ZYDIS_OPERAND_ENCODING_MASK)
			s->zop[n++] = s->zop[i];
	return n;
}

static void compare_operands(struct run *r, struct sample *s)
{
	unsigned theirs = without_mask(s);
	int extra = s->in.nops - theirs;
	unsigned i, j = 0;

	if (s->in.desc->cls == X86_CLS_STRING)
		return;
	for (i = 0; i < s->in.nops; i++) {
		if (extra > 0 && is_hidden(&s->in, i))
			extra--;
		else if (j < theirs)
			compare_operand(r, s, i, &s->zop[j++]);
	}
	if (extra)
		differ(r, s, ASPECT_OPERANDS, "operand count", s->in.nops, theirs);
}

static void compare_flags(struct run *r, const struct sample *s)
{
	const unsigned status = X86_F_STATUS | X86_F_DF;
	const struct x86_desc *d = s->in.desc;
	const ZydisAccessedFlags *f = s->z.cpu_flags;
	unsigned read = f ? f->tested & status : 0;
	unsigned undef = f ? f->undefined & status : 0;
	unsigned write = f ? (f->modified | f->set_0 | f->set_1) & status : 0;

	if ((d->flags_read & status) != read)
		differ(r, s, ASPECT_FLAGS, "flags read", d->flags_read, read);
	if ((d->flags_write & status) != write)
		differ(r, s, ASPECT_FLAGS, "flags written", d->flags_write, write);
	if ((d->flags_undef & status) != undef)
		differ(r, s, ASPECT_FLAGS, "flags undefined", d->flags_undef, undef);
}

static void compare_feature(struct run *r, const struct sample *s)
{
	bool known;
	enum x86_feature theirs = avx512_feature(s, &known);
	size_t i;

	if (known && theirs != s->in.desc->feature)
		differ(r, s, ASPECT_FEATURE, "feature", s->in.desc->feature, theirs);

	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].ext == s->z.meta.isa_ext &&
		    features[i].feature != s->in.desc->feature)
			differ(r, s, ASPECT_FEATURE, "feature", s->in.desc->feature,
			       features[i].feature);
}

/* Fewer bytes of a valid instruction are a part of it, and never something else. */
static void check_parts(struct run *r, const struct sample *s)
{
	struct x86_insn in;
	int n;

	for (n = 0; n < s->got; n++)
		if (x86_decode(s->code, n, s->mode, &in) != X86_DECODE_PARTIAL)
			differ(r, s, 0, "not PARTIAL", n, s->got);
}

static void compare(struct run *r, struct sample *s)
{
	bool valid;

	s->got = x86_decode(s->code, s->len, s->mode, &s->in);
	s->status = ZydisDecoderDecodeFull(&r->decoder[s->mode], s->code, s->len, &s->z, s->zop);
	valid = ZYAN_SUCCESS(s->status);
	if ((s->got > 0) != valid) {
		differ(r, s, ASPECT_VALID, s->got > 0 ? "valid only here" : "valid only there", 0,
		       0);
		return;
	}
	if (!valid)
		return;
	r->valid++;
	check_parts(r, s);
	if (s->got != s->z.length)
		differ(r, s, ASPECT_LEN, "length", s->got, s->z.length);
	else if (!same_name(&s->in, their_name(s)))
		differ(r, s, ASPECT_NAME, "mnemonic", 0, 0);
	else {
		compare_operands(r, s);
		compare_flags(r, s);
		compare_feature(r, s);
	}
}

/* ---- samples ------------------------------------------------------------------------------------
 */

/* What follows C4 and 62 such that it is seldom undefined: bytes written. */
static unsigned vector_prefix(struct run *r, uint8_t escape, uint8_t *out)
{
	uint64_t bits = next_random(r);
	uint8_t map = 1 + (bits >> 8) % 3;

	if (escape != 0xc4 && escape != 0x62)
		return 0;
	out[0] = (bits & 0xe0) | map;
	if (escape == 0xc4)
		return 1;
	out[0] |= bits & 0x10;
	out[1] = (bits >> 16) | (bits >> 24 & 7 ? 4 : 0);
	out[2] = bits >> 32;
	if (bits >> 40 & 1)
		out[2] &= 0x68;
	if (bits >> 41 & 1)
		out[1] |= 0x78;
	return 3;
}

/* Up to two legacy prefixes and REX; vector prefixes may not follow some of them, so mostly none.
 */
static unsigned legacy_prefixes(struct run *r, bool vector, struct sample *s)
{
	static const uint8_t prefixes[16] = {0x66, 0x66, 0xf2, 0xf3, 0xf2, 0xf3, 0x66, 0x67,
					     0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66};
	uint64_t bits = next_random(r);
	unsigned at = 0, i;

	if (vector && bits >> 40 & 7)
		return 0;
	for (i = bits & 3; i > 1; i--)
		s->code[at++] = prefixes[bits >> (4 * i) & 15];
	if (s->mode == X86_MODE_64 && bits >> 16 & 1)
		s->code[at++] = 0x40 | (bits >> 17 & 15);
	return at;
}

static void random_bytes(struct run *r, uint8_t *out, unsigned n)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < n; i++, v >>= 8) {
		if (i % 8 == 0)
			v = next_random(r);
		out[i] = v;
	}
}

/* Prefixes, an opcode map (some more often than others), then random bytes. */
static void make_sample(struct run *r, struct sample *s)
{
	static const uint8_t escapes[16][2] = {
		{0},    {0},    {0},    {0x0f}, {0x0f}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a},
		{0xc5}, {0xc5}, {0xc4}, {0xc4}, {0xc4}, {0x62}, {0x62},       {0x62},
	};
	uint64_t bits = next_random(r);
	const uint8_t *escape = escapes[bits >> 2 & 15];
	unsigned at, i;

	memset(s, 0, sizeof(*s));
	s->mode = bits % 4 == 3 ? X86_MODE_64 : bits % 4;
	s->len = bits >> 6 & 15 ? X86_MAX_INSN_LEN : 1 + (bits >> 10) % X86_MAX_INSN_LEN;
	at = legacy_prefixes(r, escape[0] >= 0x62, s);
	for (i = 0; i < 2 && escape[i]; i++)
		s->code[at++] = escape[i];
	at += vector_prefix(r, escape[0], s->code + at);
	random_bytes(r, s->code + at, X86_MAX_INSN_LEN - at);
}

static void init_decoder(ZydisDecoder *d, enum x86_mode mode)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth width;
	} modes[] = {
		{ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
		{ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
		{ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	};

	ZydisDecoderInit(d, modes[mode].mode, modes[mode].width);
	/* These execute as NOP or as the instruction without the prefix where they are missing. */
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_FALSE);
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
}

static struct run run;

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_COUNT;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : DEFAULT_SEED;
	struct sample s;
	unsigned long i;
	unsigned m;

	for (m = X86_MODE_16; m <= X86_MODE_64; m++)
		init_decoder(&run.decoder[m], m);
	run.random = seed;
	for (i = 0; i < count; i++) {
		make_sample(&run, &s);
		compare(&run, &s);
	}
	for (m = 0; m < run.nkinds; m++)
		printf("%8lu %s: %lx, Zydis %lx\n         %s\n", run.kinds[m].count,
		       run.kinds[m].what, run.kinds[m].ours, run.kinds[m].theirs,
		       run.kinds[m].example);
	printf("%lu encodings (seed %" PRIu64 "), %lu valid, %lu known differences, %u kinds of "
	       "unknown ones\n",
	       count, seed, run.valid, run.excused, run.nkinds);
	return run.nkinds != 0;
}
