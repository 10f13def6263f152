/* SPDX-License-Identifier: Apache-2.0 */
/* The registers' order and description, and their way to and from the engine-neutral state. */
#include "vmm/gdb/regs.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Offsets in the vector image (Intel SDM volume 1, sections 10.5.1 and 13.4). */
#define IMG_FCW   0
#define IMG_FSW   2
#define IMG_FTW   4
#define IMG_FOP   6
#define IMG_FIP   8
#define IMG_FDP   16
#define IMG_MXCSR 24
#define IMG_ST    32
#define IMG_XMM   160
#define IMG_BV    512
#define IMG_YMM   576

enum reg_kind {
	PLAIN,    /* little-endian bytes of a field of the state */
	SELECTOR, /* 16 bits of the state shown as 32 */
	X87,      /* the same for bytes of the image; using it marks its component as in use */
	SSE,
	AVX,
	OPMASK,
	ZMM_HIGH,
	ZMM16,
	X87_16, /* 16 bits of the image shown as 32 */
	X87_TAG /* the image has one bit a register, gdb wants two: 0 valid, 3 empty */
};

struct builder {
	struct gdb_regs *r;
	FILE *xml;
	uint16_t part; /* of the component being described */
};

static void add(struct builder *b, const char *name, unsigned bits, const char *type,
		enum reg_kind kind, size_t offset)
{
	struct gdb_reg *g = &b->r->reg[b->r->n++];

	snprintf(g->name, sizeof(g->name), "%s", name);
	g->bits = (uint16_t)bits;
	g->kind = kind;
	g->offset = (uint16_t)offset;
	g->part = b->part;
	fprintf(b->xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>\n", name, bits, type);
}

/* A row of registers: numbers from `first`, `stride` bytes from one to the next. */
struct row {
	const char *format, *type;
	unsigned first, n, bits, stride;
	enum reg_kind kind;
};

static void add_row(struct builder *b, const struct row *row, size_t offset)
{
	char name[12];

	for (unsigned i = 0; i < row->n; i++) {
		snprintf(name, sizeof(name), row->format, row->first + i);
		add(b, name, row->bits, row->type, row->kind, offset + row->stride * i);
	}
}

#define FIELD(name) offsetof(struct x86_cpu_state, name)
#define GPR(n)      (FIELD(gpr) + 8 * (n))

static void open_feature(struct builder *b, const char *name)
{
	fprintf(b->xml, "<feature name=\"%s\">\n", name);
}

static void close_feature(struct builder *b)
{
	fputs("</feature>\n", b->xml);
}

/* ---- gdb's i386.core ------------------------------------------------------------------------ */

static void define_flags(struct builder *b)
{
	static const struct {
		const char *name;
		unsigned bit;
	} flags[] = {{"CF", 0},  {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},  {"TF", 8},
		     {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16}, {"VM", 17},
		     {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}};

	fputs("<flags id=\"eflags\" size=\"4\">\n", b->xml);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		fprintf(b->xml, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n", flags[i].name,
			flags[i].bit, flags[i].bit);
	fputs("</flags>\n", b->xml);
}

static void add_general(struct builder *b, bool i386)
{
	static const struct {
		const char *name;
		uint8_t reg;
	} wide[] = {{"ax", X86_RAX}, {"bx", X86_RBX}, {"cx", X86_RCX}, {"dx", X86_RDX},
		    {"si", X86_RSI}, {"di", X86_RDI}, {"bp", X86_RBP}, {"sp", X86_RSP}},
	  narrow[] = {{"ax", X86_RAX}, {"cx", X86_RCX}, {"dx", X86_RDX}, {"bx", X86_RBX},
		      {"sp", X86_RSP}, {"bp", X86_RBP}, {"si", X86_RSI}, {"di", X86_RDI}};
	char name[4];

	for (unsigned i = 0; i < 8; i++) {
		bool is_pointer = (i386 ? narrow : wide)[i].reg == X86_RSP ||
				  (i386 ? narrow : wide)[i].reg == X86_RBP;

		snprintf(name, sizeof(name), "%c%s", i386 ? 'e' : 'r',
			 (i386 ? narrow : wide)[i].name);
		add(b, name, i386 ? 32 : 64,
		    is_pointer ? "data_ptr"
		    : i386     ? "int32"
			       : "int64",
		    PLAIN, GPR((i386 ? narrow : wide)[i].reg));
	}
	for (unsigned i = 8; i < 16 && !i386; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		add(b, name, 64, "int64", PLAIN, GPR(i));
	}
	add(b, i386 ? "eip" : "rip", i386 ? 32 : 64, "code_ptr", PLAIN, FIELD(rip));
	add(b, "eflags", 32, "eflags", PLAIN, FIELD(rflags));
}

static void add_selectors(struct builder *b)
{
	static const struct {
		const char *name;
		uint8_t seg;
	} order[] = {{"cs", X86_CS}, {"ss", X86_SS}, {"ds", X86_DS},
		     {"es", X86_ES}, {"fs", X86_FS}, {"gs", X86_GS}};

	for (unsigned i = 0; i < 6; i++)
		add(b, order[i].name, 32, "int32", SELECTOR,
		    FIELD(seg) + order[i].seg * sizeof(struct x86_segment) +
			    offsetof(struct x86_segment, selector));
}

static void add_x87(struct builder *b)
{
	static const struct {
		const char *name;
		uint8_t kind, offset;
	} control[] = {{"fctrl", X87_16, IMG_FCW}, {"fstat", X87_16, IMG_FSW},
		       {"ftag", X87_TAG, IMG_FTW}, {"fiseg", X87_16, IMG_FIP + 4},
		       {"fioff", X87, IMG_FIP},    {"foseg", X87_16, IMG_FDP + 4},
		       {"fooff", X87, IMG_FDP},    {"fop", X87_16, IMG_FOP}};

	add_row(b, &(struct row){"st%u", "i387_ext", 0, 8, 80, 16, X87}, IMG_ST);
	for (unsigned i = 0; i < sizeof(control) / sizeof(control[0]); i++)
		add(b, control[i].name, 32, "int", control[i].kind, control[i].offset);
}

static void add_core(struct builder *b, bool i386)
{
	open_feature(b, "org.gnu.gdb.i386.core");
	define_flags(b);
	add_general(b, i386);
	add_selectors(b);
	add_x87(b);
	close_feature(b);
}

/* ---- vectors, bases, system registers ------------------------------------------------------- */

static void define_vectors(struct builder *b)
{
	static const struct {
		const char *id, *type, *field;
		unsigned count;
	} v[] = {{"v4f", "ieee_single", "v4_float", 4}, {"v2d", "ieee_double", "v2_double", 2},
		 {"v16i8", "int8", "v16_int8", 16},     {"v8i16", "int16", "v8_int16", 8},
		 {"v4i32", "int32", "v4_int32", 4},     {"v2i64", "int64", "v2_int64", 2}};

	for (unsigned i = 0; i < 6; i++)
		fprintf(b->xml, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>\n", v[i].id,
			v[i].type, v[i].count);
	fputs("<union id=\"vec128\">\n", b->xml);
	for (unsigned i = 0; i < 6; i++)
		fprintf(b->xml, "<field name=\"%s\" type=\"%s\"/>\n", v[i].field, v[i].id);
	fputs("<field name=\"uint128\" type=\"uint128\"/>\n</union>\n", b->xml);
}

static void add_sse(struct builder *b, unsigned n)
{
	open_feature(b, "org.gnu.gdb.i386.sse");
	define_vectors(b);
	b->part = IMG_XMM;
	add_row(b, &(struct row){"xmm%u", "vec128", 0, n, 128, 16, SSE}, IMG_XMM);
	add(b, "mxcsr", 32, "int", SSE, IMG_MXCSR);
	close_feature(b);
}

static void add_avx(struct builder *b, unsigned n)
{
	open_feature(b, "org.gnu.gdb.i386.avx");
	b->part = IMG_YMM;
	add_row(b, &(struct row){"ymm%uh", "uint128", 0, n, 128, 16, AVX}, IMG_YMM);
	close_feature(b);
}

/* Registers 16 to 31 lie whole in a component of their own, 64 bytes each. */
static void add_avx512(struct builder *b, const struct gdb_vectors *v)
{
	open_feature(b, "org.gnu.gdb.i386.avx512");
	fputs("<vector id=\"v2u128\" type=\"uint128\" count=\"2\"/>\n", b->xml);
	b->part = v->zmm16;
	add_row(b, &(struct row){"xmm%u", "uint128", 16, 16, 128, 64, ZMM16}, v->zmm16);
	add_row(b, &(struct row){"ymm%uh", "uint128", 16, 16, 128, 64, ZMM16}, v->zmm16 + 16u);
	b->part = v->opmask;
	add_row(b, &(struct row){"k%u", "uint64", 0, 8, 64, 8, OPMASK}, v->opmask);
	b->part = v->zmm_high;
	add_row(b, &(struct row){"zmm%uh", "v2u128", 0, 16, 256, 32, ZMM_HIGH}, v->zmm_high);
	b->part = v->zmm16;
	add_row(b, &(struct row){"zmm%uh", "v2u128", 16, 16, 256, 64, ZMM16}, v->zmm16 + 32u);
	close_feature(b);
}

static void add_vectors(struct builder *b, bool i386, const struct gdb_vectors *v)
{
	add_sse(b, i386 ? 8 : 16);
	if (v->avx)
		add_avx(b, i386 ? 8 : 16);
	if (v->avx && v->zmm16 && !i386)
		add_avx512(b, v);
}

static void add_bases(struct builder *b)
{
	open_feature(b, "org.gnu.gdb.i386.segments");
	add(b, "fs_base", 64, "int", PLAIN, FIELD(seg[X86_FS].base));
	add(b, "gs_base", 64, "int", PLAIN, FIELD(seg[X86_GS].base));
	close_feature(b);
}

static void add_system(struct builder *b, bool i386)
{
	static const struct {
		const char *name;
		uint16_t offset;
	} regs[] = {{"cr0", FIELD(cr0)},
		    {"cr2", FIELD(cr2)},
		    {"cr3", FIELD(cr3)},
		    {"cr4", FIELD(cr4)},
		    {"cr8", FIELD(cr8)},
		    {"efer", FIELD(efer)},
		    {"k_gs_base", FIELD(kernel_gs_base)}};

	open_feature(b, "org.baton.i386.system");
	for (unsigned i = 0; i < (i386 ? 4 : sizeof(regs) / sizeof(regs[0])); i++)
		add(b, regs[i].name, i386 ? 32 : 64, i386 ? "int32" : "int64", PLAIN,
		    regs[i].offset);
	close_feature(b);
}

int gdb_regs_init(struct gdb_regs *r, bool i386, const struct gdb_vectors *vectors, struct err *e)
{
	size_t size;
	struct builder b = {.r = r};

	r->n = 0;
	r->xml = NULL;
	b.xml = open_memstream(&r->xml, &size);
	if (!b.xml)
		return err_set(e, -ENOMEM, "no memory for the debugger");
	fprintf(b.xml,
		"<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
		"<target version=\"1.0\">\n<architecture>%s</architecture>\n",
		i386 ? "i386" : "i386:x86-64");
	add_core(&b, i386);
	add_vectors(&b, i386, vectors);
	if (!i386)
		add_bases(&b);
	add_system(&b, i386);
	fputs("</target>\n", b.xml);
	return fclose(b.xml) ? err_set(e, -ENOMEM, "no memory for the debugger") : 0;
}

void gdb_regs_fini(struct gdb_regs *r)
{
	free(r->xml);
	r->xml = NULL;
}

/* ---- values --------------------------------------------------------------------------------- */

static bool is_in_image(const struct gdb_reg *r)
{
	return r->kind != PLAIN && r->kind != SELECTOR;
}

/* Its bit in XSTATE_BV. */
static uint64_t component(const struct gdb_reg *r)
{
	static const uint8_t bits[] = {
		[X87] = 0x01,      [SSE] = 0x02,   [AVX] = 0x04,    [OPMASK] = 0x20,
		[ZMM_HIGH] = 0x40, [ZMM16] = 0x80, [X87_16] = 0x01, [X87_TAG] = 0x01};

	return bits[r->kind];
}

/* A component that the image says is in its initial state need not have its bytes filled in. */
static bool is_initial(const struct gdb_reg *r, const struct x86_cpu_state *s)
{
	uint64_t in_use;

	memcpy(&in_use, s->xsave + IMG_BV, 8);
	return is_in_image(r) && r->offset != IMG_MXCSR && !(in_use & component(r));
}

static void tags_to_gdb(uint8_t abridged, uint8_t *bytes)
{
	uint16_t full = 0;

	for (unsigned i = 0; i < 8; i++)
		full |= (uint16_t)((abridged >> i & 1 ? 0 : 3) << (2 * i));
	memcpy(bytes, &full, 2);
}

static uint8_t tags_from_gdb(const uint8_t *bytes)
{
	uint8_t abridged = 0;
	uint16_t full;

	memcpy(&full, bytes, 2);
	for (unsigned i = 0; i < 8; i++)
		abridged |= (uint8_t)(((full >> (2 * i) & 3) != 3) << i);
	return abridged;
}

static void initial_value(const struct gdb_reg *r, uint8_t *bytes)
{
	const uint16_t fcw = 0x37f;

	if (r->kind == X87_TAG)
		tags_to_gdb(0, bytes);
	else if (r->kind == X87_16 && r->offset == IMG_FCW)
		memcpy(bytes, &fcw, 2);
}

unsigned gdb_reg_get(const struct gdb_reg *r, const struct x86_cpu_state *s, uint8_t *bytes)
{
	const uint8_t *from = (is_in_image(r) ? s->xsave : (const uint8_t *)s) + r->offset;
	unsigned size = r->bits / 8;

	memset(bytes, 0, size);
	if (is_initial(r, s))
		initial_value(r, bytes);
	else if (r->kind == X87_TAG)
		tags_to_gdb(*from, bytes);
	else
		memcpy(bytes, from, r->kind == SELECTOR || r->kind == X87_16 ? 2 : size);
	return size;
}

/* The other bytes of a component that was in its initial state become what that state is. */
static void take_into_use(const struct gdb_reg *r, struct x86_cpu_state *s)
{
	static const uint16_t sizes[] = {
		[SSE] = 256, [AVX] = 256, [OPMASK] = 64, [ZMM_HIGH] = 512, [ZMM16] = 1024};
	const uint16_t fcw = 0x37f;
	uint64_t in_use;

	if (!is_initial(r, s))
		return;
	if (component(r) == 1) {
		memset(s->xsave, 0, IMG_MXCSR);
		memset(s->xsave + IMG_ST, 0, IMG_XMM - IMG_ST);
		memcpy(s->xsave + IMG_FCW, &fcw, 2);
	} else {
		memset(s->xsave + r->part, 0, sizes[r->kind]);
	}
	memcpy(&in_use, s->xsave + IMG_BV, 8);
	in_use |= component(r);
	memcpy(s->xsave + IMG_BV, &in_use, 8);
}

static void set_real_base(struct x86_cpu_state *s, size_t offset)
{
	for (unsigned i = 0; i < X86_NSEG; i++)
		if ((uint8_t *)&s->seg[i].selector == (uint8_t *)s + offset)
			s->seg[i].base = (uint64_t)s->seg[i].selector << 4;
}

void gdb_reg_set(const struct gdb_reg *r, struct x86_cpu_state *s, const uint8_t *bytes)
{
	uint8_t *to = (is_in_image(r) ? s->xsave : (uint8_t *)s) + r->offset;

	take_into_use(r, s);
	if (r->kind == X87_TAG)
		*to = tags_from_gdb(bytes);
	else
		memcpy(to, bytes, r->kind == SELECTOR || r->kind == X87_16 ? 2 : r->bits / 8);
	if (r->kind == SELECTOR && !(s->cr0 & 1)) /* real mode: the base follows */
		set_real_base(s, r->offset);
}
