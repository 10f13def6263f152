/* SPDX-License-Identifier: Apache-2.0 */
/* Vector instructions that touch memory element by element: gathers, scatters, masked moves. */
#include <string.h>

#include "vmm/engine/bt/interp/interp.h"
#include "vmm/engine/bt/vector.h"

struct gather {
	unsigned data_reg, mask, index; /* registers */
	unsigned esize, isize, count;
	uint8_t data[VECTOR_SIZE], bits[VECTOR_SIZE], idx[VECTOR_SIZE]; /* bits: as VEX masks */
	uint64_t k;                                                     /* EVEX: mask register */
};

/*
 * Intel SDM volume 2 "VGATHERDPS": 90h and 92h have doubleword indices, 91h and 93h quadwords;
 * "VPSCATTERDD": A0h to A3h alike.
 */
static void gather_describe(const struct x86_insn *in, struct gather *g)
{
	unsigned size = 16u << in->vex_l, wider;
	bool store = in->opnd[0].kind == X86_OPK_MEM;

	g->data_reg = in->opnd[store ? 1 : 0].reg;
	g->mask = in->is_evex ? in->evex_aaa : vector_vvvv(in);
	g->index = in->mem.index;
	g->esize = in->vex_w ? 8 : 4;
	g->isize = in->opcode & 1 ? 8 : 4;
	wider = g->esize > g->isize ? g->esize : g->isize;
	g->count = size / wider;
}

static bool chosen(const struct gather *g, unsigned i)
{
	return g->bits[(i + 1) * g->esize - 1] & 0x80;
}

static void gather_load(struct bt_vcpu *v, const struct x86_insn *in, struct gather *g)
{
	gather_describe(in, g);
	vector_get(v, g->data_reg, g->data);
	vector_get(v, g->index, g->idx);
	if (!in->is_evex) {
		vector_get(v, g->mask, g->bits);
		return;
	}
	g->k = vector_get_mask(v, g->mask);
	for (unsigned i = 0; i < g->count; i++)
		memset(g->bits + i * g->esize, g->k >> i & 1 ? 0xff : 0, g->esize);
}

/* The mask tells which elements are still to be done; all of it is clear at the end. */
static void gather_store_mask(struct bt_vcpu *v, const struct x86_insn *in, struct gather *g,
			      bool done)
{
	for (unsigned i = 0; i < g->count; i++)
		if (!chosen(g, i))
			g->k &= ~(1ull << i);
	if (done) {
		g->k = 0;
		memset(g->bits, 0, VECTOR_SIZE);
	}
	if (in->is_evex)
		vector_put_mask(v, g->mask, g->k);
	else
		vector_put(v, g->mask, g->bits);
}

static uint64_t element_offset(const struct bt_vcpu *v, const struct x86_insn *in,
			       const struct gather *g, unsigned i)
{
	uint64_t base = in->mem.base == X86_REG_NONE ? 0 : v->gpr[in->mem.base];
	int64_t index;
	int32_t index32;

	if (g->isize == 8) {
		memcpy(&index, g->idx + i * 8, 8);
	} else {
		memcpy(&index32, g->idx + i * 4, 4);
		index = index32;
	}
	base += (uint64_t)index * in->mem.scale + (uint64_t)in->mem.disp;
	return in->addrsize == 4 ? (uint32_t)base : base;
}

static bool gather_element(struct bt_vcpu *v, struct x86_insn *at, const struct x86_insn *in,
			   struct gather *g, unsigned i)
{
	gva_t gva;

	/* bt_linear() checks one plain address at a time. */
	at->mem.disp = (int64_t)element_offset(v, in, g, i);
	return bt_linear(v, at, g->esize, BT_READ, &gva) &&
	       bt_read(v, gva, g->data + i * g->esize, g->esize);
}

/*
 * Elements below a faulting one are done and their mask elements clear: architectural progress.
 * Those above keep their masks as they are (Intel's manual lets VEX masks become all ones).
 */
bool vector_gather(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct x86_insn at = *in;
	struct gather g;
	bool ok = true;

	gather_load(v, in, &g);
	if (!in->is_evex && (g.data_reg == g.mask || g.data_reg == g.index || g.mask == g.index))
		return bt_raise(v, EXC_UD);
	at.mem.base = X86_REG_NONE;
	at.mem.index = X86_REG_NONE;
	for (unsigned i = 0; i < g.count && ok; i++) {
		if (chosen(&g, i))
			ok = gather_element(v, &at, in, &g, i);
		if (ok)
			memset(g.bits + i * g.esize, 0, g.esize);
	}
	if (ok)
		memset(g.data + g.count * g.esize, 0, VECTOR_SIZE - g.count * g.esize);
	vector_put(v, g.data_reg, g.data);
	gather_store_mask(v, in, &g, ok);
	return ok;
}

bool vector_scatter(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct x86_insn at = *in;
	struct gather g;
	bool ok = true;

	gather_load(v, in, &g);
	at.mem.base = X86_REG_NONE;
	at.mem.index = X86_REG_NONE;
	for (unsigned i = 0; i < g.count && ok; i++) {
		gva_t gva;

		at.mem.disp = (int64_t)element_offset(v, in, &g, i);
		if (chosen(&g, i))
			ok = bt_linear(v, &at, g.esize, BT_WRITE, &gva) &&
			     bt_write(v, gva, g.data + i * g.esize, g.esize);
		if (ok)
			memset(g.bits + i * g.esize, 0, g.esize);
	}
	gather_store_mask(v, in, &g, ok);
	return ok;
}

/* ---- masked moves --------------------------------------------------------------------------- */

struct elements {
	uint8_t data[VECTOR_SIZE], bits[VECTOR_SIZE];
	unsigned esize, count;
	gva_t gva[32]; /* of the chosen ones */
};

static bool element_chosen(const struct elements *s, unsigned i)
{
	return s->bits[(i + 1) * s->esize - 1] & 0x80;
}

/* Addresses of elements that are not chosen do not matter. Only the first one's wraps to its size.
 */
static bool locate_elements(struct bt_vcpu *v, const struct x86_insn *in, struct elements *s,
			    enum bt_access a)
{
	struct x86_insn at = *in;

	at.mem.disp = (int64_t)bt_offset(v, in);
	at.mem.base = X86_REG_NONE;
	at.mem.index = X86_REG_NONE;
	at.addrsize = 8;
	for (unsigned i = 0; i < s->count; i++, at.mem.disp += s->esize)
		if (element_chosen(s, i) && !bt_linear(v, &at, s->esize, a, &s->gva[i]))
			return false;
	return true;
}

static bool store_elements(struct bt_vcpu *v, const struct elements *s)
{
	for (unsigned i = 0; i < s->count; i++)
		if (element_chosen(s, i) && !vector_probe_write(v, s->gva[i], s->esize))
			return false;
	for (unsigned i = 0; i < s->count; i++)
		if (element_chosen(s, i) &&
		    !bt_write(v, s->gva[i], s->data + i * s->esize, s->esize))
			return false;
	return true;
}

static bool load_elements(struct bt_vcpu *v, struct elements *s)
{
	for (unsigned i = 0; i < s->count; i++)
		if (element_chosen(s, i) &&
		    !bt_read(v, s->gva[i], s->data + i * s->esize, s->esize))
			return false;
	return true;
}

/* (V)MASKMOVDQU xmm, xmm and MASKMOVQ mm, mm: bytes to DS:[rDI]. */
bool vector_maskmov(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool mmx = !(in->prefixes & (X86_PFX_VEX | X86_PFX_OPSZ));
	unsigned src = in->modrm >> 3 & 7, mask = in->modrm & 7;
	struct elements s = {.esize = 1, .count = mmx ? 8 : 16};
	gva_t gva;

	if (mmx) {
		vector_get_mmx(v, src, s.data);
		vector_get_mmx(v, mask, s.bits);
	} else {
		vector_get(v, src | (in->ext & 4 ? 8 : 0), s.data);
		vector_get(v, mask | (in->ext & 1 ? 8 : 0), s.bits);
	}
	/* Bytes that are not chosen may fault as well (Intel SDM: implementation-dependent). */
	return bt_linear(v, in, s.count, BT_WRITE, &gva) && vector_probe_write(v, gva, s.count) &&
	       locate_elements(v, in, &s, BT_WRITE) && store_elements(v, &s);
}

/* VMASKMOVPS/PD, VPMASKMOVD/Q: mask in vvvv. Loads run as themselves on a copy of the elements. */
bool vector_vmaskmov(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool store = in->opcode == 0x8e || in->opcode == 0x2e || in->opcode == 0x2f;
	bool quad = in->opcode >= 0x8c ? in->vex_w : in->opcode & 1;
	_Alignas(64) struct elements s = {.esize = quad ? 8 : 4};

	s.count = (16u << in->vex_l) / s.esize;
	vector_get(v, vector_vvvv(in), s.bits);
	if (!locate_elements(v, in, &s, store ? BT_WRITE : BT_READ))
		return false;
	if (!store)
		return load_elements(v, &s) && vector_run(v, in, s.data);
	vector_get(v, (in->modrm >> 3 & 7) | (in->ext & 4 ? 8 : 0), s.data);
	return store_elements(v, &s);
}
