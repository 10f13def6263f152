/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions. With REP, MOVS, STOS and LODS do what lies inside one page at a time by the
 * host's own instruction; the others go element by element. All stop for a pending request and are
 * resumed, since RIP and the registers say how far they came.
 */
#include "vmm/engine/bt/interp/interp.h"
#include "vmm/engine/bt/lockstep/lockstep.h"

#define REP_BATCH 4096 /* elements between looks at `requests` */

struct string {
	struct bt_vcpu *v;
	const struct x86_insn *in;
	unsigned size; /* of an element */
	unsigned addr; /* address size */
	int64_t step;
	bool rep;
	uint64_t count; /* 1 without REP */
};

/* false: a repetition of zero times, nothing to do. */
static bool string_open(struct string *s, struct bt_vcpu *v, const struct x86_insn *in)
{
	s->v = v;
	s->in = in;
	s->size = in->opnd[0].size ? in->opnd[0].size : in->opsize;
	s->addr = in->addrsize;
	s->step = v->rflags & FL_DF ? -(int64_t)s->size : (int64_t)s->size;
	s->rep = in->prefixes & (X86_PFX_REP | X86_PFX_REPN);
	s->count = s->rep ? bt_reg(v, X86_RCX, s->addr) : 1;
	return s->count;
}

static bool source(struct string *s, enum bt_access a, gva_t *gva)
{
	return bt_seg_linear(s->v, s->in->mem.seg, bt_reg(s->v, X86_RSI, s->addr), s->size, a, gva);
}

static bool destination(struct string *s, enum bt_access a, gva_t *gva)
{
	return bt_seg_linear(s->v, X86_ES, bt_reg(s->v, X86_RDI, s->addr), s->size, a, gva);
}

static void advance(struct string *s, unsigned reg, uint64_t n)
{
	bt_reg_set(s->v, reg, s->addr, s->v->gpr[reg] + (uint64_t)s->step * n);
}

static void counted(struct string *s, uint64_t n)
{
	s->count -= n;
	if (s->rep)
		bt_reg_set(s->v, X86_RCX, s->addr, s->count);
}

/*
 * Elements from `gva` on that lie in its page in the direction of DF, at most `count`; and none
 * beyond a wrap of the index register.
 */
static uint64_t in_page(const struct string *s, gva_t gva, uint64_t index)
{
	uint64_t off = gva & (BT_PAGE - 1), n;

	if (s->step > 0) {
		n = (BT_PAGE - off) / s->size;
		if (s->addr < 8) {
			uint64_t room = ((1ull << (s->addr * 8)) - index) / s->size;

			n = n < room ? n : room;
		}
	} else {
		n = off / s->size + 1;
		if (off + s->size > BT_PAGE)
			n = 0;
		if (n > index / s->size + 1)
			n = index / s->size + 1;
	}
	return n < s->count ? n : s->count;
}

/* A whole run is inside the segment when its last element is: limits are checked at both ends. */
static bool run_in_segment(struct string *s, unsigned seg, unsigned reg, uint64_t n,
			   enum bt_access a)
{
	uint64_t last = bt_reg(s->v, reg, s->addr) + (uint64_t)s->step * (n - 1);
	gva_t gva;

	if (s->v->mode & BT_MODE_CODE64)
		return true;
	return bt_seg_linear(s->v, seg, last, s->size, a, &gva);
}

/* The instruction stays current: more to do, but something else first. */
static bool interrupted(struct string *s)
{
	s->v->next_rip = s->v->rip;
	return true;
}

static bool should_stop(const struct string *s, uint64_t done)
{
	if (s->v->db_pending || (s->v->mode & BT_MODE_STEP))
		return true;
	if (s->v->vm->lockstep) /* the twin does it all at once, too */
		return bt_lockstep_is_lost(s->v);
	return done >= REP_BATCH || atomic_load_explicit(&s->v->requests, memory_order_relaxed);
}

/* Of what is interpreted always: in lockstep both stop after the same number of elements. */
static bool should_stop_here(const struct string *s, uint64_t done)
{
	return should_stop(s, done) || (s->v->vm->lockstep && done >= REP_BATCH);
}

/* Single step looks at every iteration; watched pages are not copied in bulk. */
static bool in_bulk(const struct string *s)
{
	return s->rep && !(s->v->mode & BT_MODE_STEP);
}

/* ---- MOVS ------------------------------------------------------------------------------------ */

static void copy_run(void *dst, const void *src, uint64_t n, unsigned size, bool down)
{
	if (down)
		__asm__ volatile("std" ::: "cc");
	switch (size) {
	case 1:
		__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
		break;
	case 2:
		__asm__ volatile("rep movsw" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
		break;
	case 4:
		__asm__ volatile("rep movsl" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
		break;
	default:
		__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
	}
	if (down)
		__asm__ volatile("cld" ::: "cc");
}

/* Does as many as lie in one page of RAM on both sides; 0: do one element the slow way. */
static uint64_t movs_run(struct string *s, gva_t from, gva_t to)
{
	struct bt_vcpu *v = s->v;
	uint64_t n = in_page(s, from, bt_reg(v, X86_RSI, s->addr));
	uint64_t m = in_page(s, to, bt_reg(v, X86_RDI, s->addr));
	void *src, *dst;

	n = n < m ? n : m;
	if (n < 2 || !run_in_segment(s, s->in->mem.seg, X86_RSI, n, BT_READ) ||
	    !run_in_segment(s, X86_ES, X86_RDI, n, BT_WRITE))
		return 0;
	src = bt_host(v, from, s->size, BT_READ);
	dst = src ? bt_host(v, to, s->size, BT_WRITE) : NULL;
	if (!dst)
		return 0;
	copy_run(dst, src, n, s->size, s->step < 0);
	return n;
}

bool bt_op_movs(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct string s;
	uint64_t n, val;
	gva_t from, to;

	if (!string_open(&s, v, in))
		return true;
	for (uint64_t done = 0; s.count; done += n) {
		if (should_stop(&s, done) && done)
			return interrupted(&s);
		if (!source(&s, BT_READ, &from))
			return false;
		if (!destination(&s, BT_WRITE, &to)) /* the source's page fault comes first */
			return bt_load(v, from, s.size, &val) && destination(&s, BT_WRITE, &to);
		n = in_bulk(&s) ? movs_run(&s, from, to) : 0;
		if (!n) {
			if (!bt_load(v, from, s.size, &val) || !bt_store(v, to, s.size, val))
				return false;
			n = 1;
		}
		advance(&s, X86_RSI, n);
		advance(&s, X86_RDI, n);
		counted(&s, n);
	}
	return true;
}

/* ---- STOS ------------------------------------------------------------------------------------ */

static void fill_run(void *dst, uint64_t val, uint64_t n, unsigned size, bool down)
{
	if (down) /* the same elements from their lower end */
		dst = (uint8_t *)dst - (n - 1) * size;
	switch (size) {
	case 1:
		__asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(val) : "memory");
		break;
	case 2:
		__asm__ volatile("rep stosw" : "+D"(dst), "+c"(n) : "a"(val) : "memory");
		break;
	case 4:
		__asm__ volatile("rep stosl" : "+D"(dst), "+c"(n) : "a"(val) : "memory");
		break;
	default:
		__asm__ volatile("rep stosq" : "+D"(dst), "+c"(n) : "a"(val) : "memory");
	}
}

static uint64_t stos_run(struct string *s, gva_t to)
{
	struct bt_vcpu *v = s->v;
	uint64_t n = in_page(s, to, bt_reg(v, X86_RDI, s->addr));
	void *dst;

	if (n < 2 || !run_in_segment(s, X86_ES, X86_RDI, n, BT_WRITE))
		return 0;
	dst = bt_host(v, to, s->size, BT_WRITE);
	if (!dst)
		return 0;
	fill_run(dst, v->gpr[X86_RAX], n, s->size, s->step < 0);
	return n;
}

bool bt_op_stos(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct string s;
	uint64_t n;
	gva_t to;

	if (!string_open(&s, v, in))
		return true;
	for (uint64_t done = 0; s.count; done += n) {
		if (should_stop(&s, done) && done)
			return interrupted(&s);
		if (!destination(&s, BT_WRITE, &to))
			return false;
		n = in_bulk(&s) ? stos_run(&s, to) : 0;
		if (!n) {
			if (!bt_store(v, to, s.size, v->gpr[X86_RAX]))
				return false;
			n = 1;
		}
		advance(&s, X86_RDI, n);
		counted(&s, n);
	}
	return true;
}

/* ---- LODS, CMPS, SCAS ------------------------------------------------------------------------ */

bool bt_op_lods(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct string s;
	uint64_t val;
	gva_t from;

	if (!string_open(&s, v, in))
		return true;
	for (uint64_t done = 0; s.count; done++) {
		if (should_stop_here(&s, done) && done)
			return interrupted(&s);
		if (!source(&s, BT_READ, &from) || !bt_load(v, from, s.size, &val))
			return false;
		bt_reg_set(v, X86_RAX, s.size, val);
		advance(&s, X86_RSI, 1);
		counted(&s, 1);
	}
	return true;
}

X86_ALU(alu_cmp, "cmp")

/* REPE goes on while equal, REPNE while different. */
static bool goes_on(const struct string *s)
{
	bool equal = s->v->rflags & FL_ZF;

	return s->rep && s->count && equal == !(s->in->prefixes & X86_PFX_REPN);
}

bool bt_op_cmps(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct string s;
	uint64_t a, b;
	gva_t left, right;

	if (!string_open(&s, v, in))
		return true;
	for (uint64_t done = 0;; done++) {
		if (should_stop(&s, done) && done)
			return interrupted(&s);
		if (!source(&s, BT_READ, &left) || !bt_load(v, left, s.size, &a) ||
		    !destination(&s, BT_READ, &right) || !bt_load(v, right, s.size, &b))
			return false;
		alu_cmp(s.size, a, b, &v->rflags);
		advance(&s, X86_RSI, 1);
		advance(&s, X86_RDI, 1);
		counted(&s, 1);
		if (!goes_on(&s))
			return true;
	}
}

bool bt_op_scas(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct string s;
	uint64_t val;
	gva_t at;

	if (!string_open(&s, v, in))
		return true;
	for (uint64_t done = 0;; done++) {
		if (should_stop(&s, done) && done)
			return interrupted(&s);
		if (!destination(&s, BT_READ, &at) || !bt_load(v, at, s.size, &val))
			return false;
		alu_cmp(s.size, v->gpr[X86_RAX], val, &v->rflags);
		advance(&s, X86_RDI, 1);
		counted(&s, 1);
		if (!goes_on(&s))
			return true;
	}
}

/* ---- INS, OUTS ------------------------------------------------------------------------------- */

bool bt_op_ins(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct string s;
	uint16_t port = (uint16_t)v->gpr[X86_RDX];
	uint64_t val;
	gva_t to;

	if (!string_open(&s, v, in))
		return true;
	if (!bt_io_allowed(v, port, s.size))
		return false;
	for (uint64_t done = 0; s.count; done++) {
		if (should_stop_here(&s, done) && done)
			return interrupted(&s);
		/* The fault must come before the device is read. */
		if (!destination(&s, BT_WRITE, &to) || !bt_read_intent(v, to, &val, s.size))
			return false;
		if (!bt_store(v, to, s.size, bt_port_read(v, port, s.size)))
			return false;
		advance(&s, X86_RDI, 1);
		counted(&s, 1);
	}
	return true;
}

bool bt_op_outs(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct string s;
	uint16_t port = (uint16_t)v->gpr[X86_RDX];
	uint64_t val;
	gva_t from;

	if (!string_open(&s, v, in))
		return true;
	if (!bt_io_allowed(v, port, s.size))
		return false;
	for (uint64_t done = 0; s.count; done++) {
		if (should_stop_here(&s, done) && done)
			return interrupted(&s);
		if (!source(&s, BT_READ, &from) || !bt_load(v, from, s.size, &val))
			return false;
		bt_port_write(v, port, s.size, (uint32_t)val);
		advance(&s, X86_RSI, 1);
		counted(&s, 1);
	}
	return true;
}
