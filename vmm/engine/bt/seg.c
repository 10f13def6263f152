/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, segment registers, the TSS and stacks. See seg.h. */
#include "vmm/engine/bt/seg.h"

#define TYPE_CODE       8
#define TYPE_CONFORMING 4 /* code */
#define TYPE_DOWN       4 /* data: expands down */
#define TYPE_RW         2 /* code: readable; data: writable */

/* ---- descriptors ----------------------------------------------------------------------------- */

static bool desc_address(struct bt_vcpu *v, uint16_t sel, unsigned size, gva_t *gva)
{
	uint32_t off = sel & ~7u;

	if (sel & 4) {
		if ((v->ldt.attr & X86_ATTR_UNUSABLE) || off + size - 1 > v->ldt.limit)
			return false;
		*gva = v->ldt.base + off;
		return true;
	}
	*gva = v->gdt.base + off;
	return off + size - 1 <= v->gdt.limit;
}

bool bt_desc_read(struct bt_vcpu *v, uint16_t sel, unsigned ext, unsigned vector, struct bt_desc *d)
{
	gva_t gva;

	*d = (struct bt_desc){0};
	if (!desc_address(v, sel, 8, &gva))
		return bt_raise_error(v, vector, (sel & ~3u) | ext);
	return bt_read_sys(v, gva, d, 8);
}

bool bt_desc_read_high(struct bt_vcpu *v, uint16_t sel, unsigned vector, struct bt_desc *d)
{
	gva_t gva;
	uint32_t high[2];

	if (!desc_address(v, sel, 16, &gva))
		return bt_raise_error(v, vector, sel & ~3u);
	if (!bt_read_sys(v, gva + 8, high, sizeof(high)))
		return false;
	if (high[1] & 0x1f00)
		return bt_raise_error(v, vector, sel & ~3u);
	d->base_high = high[0];
	return true;
}

bool bt_desc_touch(struct bt_vcpu *v, uint16_t sel, struct bt_desc *d)
{
	gva_t gva;
	uint8_t access;

	if (d->hi & 0x100)
		return true;
	d->hi |= 0x100;
	access = (uint8_t)(d->hi >> 8);
	return !desc_address(v, sel, 8, &gva) || bt_write_sys(v, gva + 5, &access, 1);
}

void bt_desc_segment(const struct bt_desc *d, uint16_t sel, struct x86_segment *s)
{
	uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

	s->selector = sel;
	s->base = (d->lo >> 16) | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
	s->base |= (uint64_t)d->base_high << 32;
	s->limit = d->hi & 0x800000 ? limit << 12 | 0xfff : limit;
	s->attr = d->hi >> 8 & 0xf0ff;
}

/* ---- segment registers ----------------------------------------------------------------------- */

void bt_seg_set(struct bt_vcpu *v, unsigned i, const struct x86_segment *s)
{
	v->seg[i] = *s;
	v->segbase[i] = s->base;
}

void bt_seg_real(struct bt_vcpu *v, unsigned i, uint16_t sel)
{
	v->seg[i].selector = sel;
	v->seg[i].base = v->segbase[i] = (uint64_t)sel << 4;
	if (i == X86_CS) /* code is always writable data's twin there; the limit stays ("unreal") */
		v->seg[i].attr = 0x9b;
}

void bt_seg_v86(struct bt_vcpu *v, unsigned i, uint16_t sel)
{
	struct x86_segment s = {
		.base = (uint64_t)sel << 4, .limit = 0xffff, .attr = 0xf3, .selector = sel};

	bt_seg_set(v, i, &s);
}

void bt_seg_null(struct bt_vcpu *v, unsigned i, unsigned rpl)
{
	struct x86_segment s = {.selector = (uint16_t)rpl, .attr = X86_ATTR_UNUSABLE | rpl << 5};

	bt_seg_set(v, i, &s);
}

/* A null selector: SS may have one in 64-bit mode below ring 3, data registers always. */
static bool load_null(struct bt_vcpu *v, unsigned i, uint16_t sel)
{
	if (i == X86_SS && (!(v->mode & BT_MODE_CODE64) || v->cpl == 3 || (sel & 3) != v->cpl))
		return bt_raise_error(v, EXC_GP, 0);
	bt_seg_null(v, i, i == X86_SS ? v->cpl : 0);
	v->seg[i].selector = sel;
	bt_mode_changed(v);
	return true;
}

static bool check_stack_segment(struct bt_vcpu *v, uint16_t sel, const struct bt_desc *d)
{
	bool writable =
		!bt_desc_is_system(d) && (bt_desc_type(d) & (TYPE_CODE | TYPE_RW)) == TYPE_RW;

	if ((sel & 3) != v->cpl || !writable || bt_desc_dpl(d) != v->cpl)
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	return bt_desc_present(d) || bt_raise_error(v, EXC_SS, sel & ~3u);
}

static bool check_data_segment(struct bt_vcpu *v, uint16_t sel, const struct bt_desc *d)
{
	unsigned type = bt_desc_type(d), rpl = sel & 3;
	bool conforming = (type & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);

	if (bt_desc_is_system(d) || (type & (TYPE_CODE | TYPE_RW)) == TYPE_CODE)
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (!conforming && (rpl > bt_desc_dpl(d) || v->cpl > bt_desc_dpl(d)))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	return bt_desc_present(d) || bt_raise_error(v, EXC_NP, sel & ~3u);
}

bool bt_seg_load(struct bt_vcpu *v, unsigned i, uint16_t sel)
{
	struct bt_desc d;
	struct x86_segment s;

	if (!bt_protected(v)) {
		if (v->mode & BT_MODE_V86)
			bt_seg_v86(v, i, sel);
		else
			bt_seg_real(v, i, sel);
		bt_mode_changed(v);
		return true;
	}
	if (!(sel & ~3u))
		return load_null(v, i, sel);
	if (!bt_desc_read(v, sel, 0, EXC_GP, &d))
		return false;
	if (!(i == X86_SS ? check_stack_segment : check_data_segment)(v, sel, &d))
		return false;
	if (!bt_desc_touch(v, sel, &d))
		return false;
	bt_desc_segment(&d, sel, &s);
	bt_seg_set(v, i, &s);
	bt_mode_changed(v);
	return true;
}

/* ---- limits ---------------------------------------------------------------------------------- */

static bool in_limit(const struct x86_segment *s, uint64_t off, unsigned size)
{
	uint64_t last = off + size - 1;

	if ((s->attr & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN)
		return off > s->limit && last <= (s->attr & X86_ATTR_DB ? 0xffffffffu : 0xffffu);
	return last <= s->limit;
}

static bool type_allows(const struct x86_segment *s, enum bt_access a)
{
	if (s->attr & X86_ATTR_UNUSABLE)
		return false;
	if (s->attr & TYPE_CODE)
		return a == BT_READ && (s->attr & TYPE_RW);
	return a == BT_READ || (s->attr & TYPE_RW);
}

bool bt_seg_linear(struct bt_vcpu *v, unsigned seg, uint64_t off, unsigned size, enum bt_access a,
		   gva_t *out)
{
	const struct x86_segment *s = &v->seg[seg];
	unsigned vector = seg == X86_SS ? EXC_SS : EXC_GP;

	if (v->mode & BT_MODE_CODE64) {
		*out = off + (seg == X86_FS || seg == X86_GS ? v->segbase[seg] : 0);
		return (bt_canonical(*out) && bt_canonical(*out + size - 1)) ||
		       bt_raise_error(v, vector, 0);
	}
	if (!in_limit(s, off, size))
		return bt_raise_error(v, vector, 0);
	/* In real mode CS may be written. */
	if ((v->mode & BT_MODE_PE) && !type_allows(s, a))
		return bt_raise_error(v, vector, 0);
	*out = (s->base + off) & 0xffffffff;
	return true;
}

/* ---- the TSS --------------------------------------------------------------------------------- */

bool bt_tss_stack(struct bt_vcpu *v, unsigned cpl, unsigned ext, uint16_t *ss, uint64_t *sp)
{
	bool wide = v->tr.attr & 8; /* 32-bit TSS */
	unsigned size = wide ? 8 : 4, off = wide ? 4 + cpl * 8 : 2 + cpl * 4;
	uint8_t b[8] = {0};

	if (off + size - 1 > v->tr.limit)
		return bt_raise_error(v, EXC_TS, (v->tr.selector & ~3u) | ext);
	if (!bt_read_sys(v, v->tr.base + off, b, size))
		return false;
	*sp = (uint64_t)(b[0] | b[1] << 8);
	if (wide)
		*sp |= (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24;
	*ss = (uint16_t)(b[size / 2] | b[size / 2 + 1] << 8);
	return true;
}

bool bt_tss_rsp(struct bt_vcpu *v, unsigned slot, unsigned ext, uint64_t *rsp)
{
	unsigned off = 4 + slot * 8;

	if (off + 7 > v->tr.limit)
		return bt_raise_error(v, EXC_TS, (v->tr.selector & ~3u) | ext);
	if (!bt_read_sys(v, v->tr.base + off, rsp, 8))
		return false;
	return bt_canonical(*rsp) || bt_raise_error(v, EXC_SS, ext);
}

bool bt_check_inner_ss(struct bt_vcpu *v, uint16_t sel, unsigned cpl, unsigned ext,
		       struct x86_segment *ss)
{
	struct bt_desc d;
	uint32_t error = (sel & ~3u) | ext;

	if (!(sel & ~3u))
		return bt_raise_error(v, EXC_TS, ext);
	if (!bt_desc_read(v, sel, ext, EXC_TS, &d))
		return false;
	if ((sel & 3) != cpl || bt_desc_dpl(&d) != cpl || bt_desc_is_system(&d) ||
	    (bt_desc_type(&d) & (TYPE_CODE | TYPE_RW)) != TYPE_RW)
		return bt_raise_error(v, EXC_TS, error);
	if (!bt_desc_present(&d))
		return bt_raise_error(v, EXC_SS, error);
	if (!bt_desc_touch(v, sel, &d))
		return false;
	bt_desc_segment(&d, sel, ss);
	return true;
}

/* I/O permission bitmap: two bytes are read even for one port (Intel SDM volume 1 section 19.5.2).
 */
static bool bitmap_allows(struct bt_vcpu *v, uint16_t port, unsigned size, bool *allowed)
{
	uint16_t base, bits;
	uint32_t at;

	*allowed = false;
	if (!(v->tr.attr & 8) || v->tr.limit < 0x67)
		return true;
	if (!bt_read_sys(v, v->tr.base + 0x66, &base, 2))
		return false;
	at = base + port / 8u;
	if (at + 1 > v->tr.limit)
		return true;
	if (!bt_read_sys(v, v->tr.base + at, &bits, 2))
		return false;
	*allowed = !(bits >> (port & 7) & ((1u << size) - 1));
	return true;
}

bool bt_io_allowed(struct bt_vcpu *v, uint16_t port, unsigned size)
{
	unsigned iopl = v->rflags >> 12 & 3;
	bool allowed;

	if (!(v->mode & BT_MODE_PE) || (!(v->mode & BT_MODE_V86) && v->cpl <= iopl))
		return true;
	if (!bitmap_allows(v, port, size, &allowed))
		return false;
	return allowed || bt_raise_error(v, EXC_GP, 0);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

static void stack_set(struct bt_vcpu *v, struct bt_stack *st, const struct x86_segment *ss,
		      uint64_t sp)
{
	*st = (struct bt_stack){.v = v,
				.sp = sp,
				.base = ss->base,
				.limit = ss->limit,
				.attr = ss->attr,
				.checked = true};
	st->mask = ss->attr & X86_ATTR_DB ? 0xffffffff : 0xffff;
}

void bt_stack_open(struct bt_vcpu *v, struct bt_stack *st)
{
	if (v->mode & BT_MODE_STACK64)
		*st = (struct bt_stack){.v = v, .sp = v->gpr[X86_RSP], .mask = ~0ull};
	else
		stack_set(v, st, &v->seg[X86_SS], v->gpr[X86_RSP]);
}

void bt_stack_inner(struct bt_vcpu *v, struct bt_stack *st, const struct x86_segment *ss,
		    uint64_t sp, unsigned ext)
{
	stack_set(v, st, ss, sp);
	st->system = true;
	st->error = (ss->selector & ~3u) | ext;
}

void bt_stack_long(struct bt_vcpu *v, struct bt_stack *st, uint64_t sp)
{
	*st = (struct bt_stack){.v = v, .sp = sp, .mask = ~0ull, .system = true};
}

static bool stack_linear(struct bt_stack *st, uint64_t sp, unsigned size, gva_t *out)
{
	struct x86_segment s = {.base = st->base, .limit = st->limit, .attr = st->attr};

	if (!st->checked) {
		*out = sp;
		return (bt_canonical(sp) && bt_canonical(sp + size - 1)) ||
		       bt_raise_error(st->v, EXC_SS, st->error);
	}
	*out = (st->base + sp) & 0xffffffff;
	return (in_limit(&s, sp, size) && !(st->attr & X86_ATTR_UNUSABLE)) ||
	       bt_raise_error(st->v, EXC_SS, st->error);
}

static uint64_t stack_moved(const struct bt_stack *st, int64_t by)
{
	return (st->sp & ~st->mask) | ((st->sp + (uint64_t)by) & st->mask);
}

bool bt_push(struct bt_stack *st, unsigned size, uint64_t val)
{
	uint64_t sp = stack_moved(st, -(int64_t)size);
	gva_t gva;

	if (!stack_linear(st, sp & st->mask, size, &gva))
		return false;
	if (!(st->system ? bt_write_sys(st->v, gva, &val, size) : bt_store(st->v, gva, size, val)))
		return false;
	st->sp = sp;
	return true;
}

bool bt_pop(struct bt_stack *st, unsigned size, uint64_t *val)
{
	gva_t gva;

	if (!stack_linear(st, st->sp & st->mask, size, &gva) || !bt_load(st->v, gva, size, val))
		return false;
	st->sp = stack_moved(st, size);
	return true;
}

void bt_stack_commit(struct bt_stack *st)
{
	uint64_t *rsp = &st->v->gpr[X86_RSP];

	*rsp = st->mask == 0xffff ? (*rsp & ~0xffffull) | (st->sp & 0xffff) : st->sp & st->mask;
}
