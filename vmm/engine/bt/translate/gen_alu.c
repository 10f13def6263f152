/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer instructions: copied with the registers of regs.h. Operands that live in the context
 * block pass through a scratch register, or stand in for ModRM.rm where they are only read.
 */
#include "vmm/engine/bt/translate/build.h"

/* ---- where operands are encoded
 * ------------------------------------------------------------------ */

/* Indexes into opnd[] of the operands in ModRM.reg, ModRM.rm and VEX.vvvv; -1: not a register. */
struct fields {
	int reg, rm, vvvv;
};

static bool is_group(const struct x86_insn *in)
{
	unsigned o = in->opcode;

	if (in->map == X86_MAP_1)
		return (o >= 0x80 && o <= 0x83) || (o >= 0xc0 && o <= 0xc1) || o == 0xc6 ||
		       o == 0xc7 || (o >= 0xd0 && o <= 0xd3) || o == 0xf6 || o == 0xf7 ||
		       o == 0xfe || o == 0xff || o == 0x8f;
	if (in->map == X86_MAP_0F)
		return o == 0xba || o == 0xc7 || (o & 0xf0) == 0x90;
	return false;
}

/* ModRM.rm is the first operand. */
static bool rm_first(const struct x86_insn *in)
{
	unsigned o = in->opcode;

	if (in->map == X86_MAP_1)
		return o < 0x40 ? !(o & 2) : o >= 0x84 && o <= 0x89;
	if (in->map == X86_MAP_0F)
		return o == 0xa3 || o == 0xab || o == 0xb3 || o == 0xbb || (o & 0xf6) == 0xa4 ||
		       o == 0xb0 || o == 0xb1 || o == 0xc0 || o == 0xc1 || o == 0xc3;
	return in->map == X86_MAP_0F38 && o == 0xf1 && in->op == X86_OP_MOVBE;
}

static struct fields vex_fields(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_BLSR:
	case X86_OP_BLSMSK:
	case X86_OP_BLSI:
		return (struct fields){-1, 1, 0};
	case X86_OP_BEXTR:
	case X86_OP_BZHI:
	case X86_OP_SHLX:
	case X86_OP_SARX:
	case X86_OP_SHRX:
		return (struct fields){0, 1, 2};
	case X86_OP_RORX:
		return (struct fields){0, 1, -1};
	default:
		return (struct fields){0, 2, 1};
	}
}

static struct fields fields_of(const struct x86_insn *in)
{
	if (in->prefixes & X86_PFX_VEX)
		return vex_fields(in);
	if (is_group(in))
		return (struct fields){-1, 0, -1};
	if (rm_first(in))
		return (struct fields){1, 0, -1};
	return (struct fields){0, 1, -1};
}

static const struct x86_operand *operand(const struct x86_insn *in, int i)
{
	return i >= 0 && i < in->nops ? &in->opnd[i] : NULL;
}

static bool is_gpr(const struct x86_operand *o)
{
	return o && o->kind == X86_OPK_GPR;
}

static enum bt_access access_of(const struct x86_operand *o)
{
	if (!(o->access & X86_ACC_WRITE))
		return BT_READ;
	return o->access & X86_ACC_READ ? BT_RMW : BT_WRITE;
}

/* ---- scratch registers ----------------------------------------------------------------------- */

struct temps {
	unsigned used; /* bit per host register */
	bool failed;
};

static unsigned temp_take(struct temps *t)
{
	static const uint8_t order[] = {H_T1, H_T0, H_T2};

	for (unsigned i = 0; i < sizeof(order); i++) {
		if (t->used & 1u << order[i])
			continue;
		t->used |= 1u << order[i];
		return order[i];
	}
	t->failed = true;
	return H_T0;
}

/* One that holds the guest register already, if there is. */
static unsigned temp_with(const struct tr_build *b, struct temps *t, unsigned guest)
{
	unsigned h = emit_holder(&b->e, CTX_GPR(guest));

	if (h == H_NONE || (t->used & 1u << h))
		return temp_take(t);
	t->used |= 1u << h;
	return h;
}

/* What a memory operand is made of. */
static void temps_keep(struct temps *t, const struct hmem *m)
{
	for (unsigned reg = H_T0; reg <= H_T2; reg++)
		if (hmem_uses(m, reg))
			t->used |= 1u << reg;
}

/* A register operand: its host register, and what to do after the instruction. */
struct placed {
	int host;
	int guest;   /* where it lives in the context block, -1: it does not */
	bool stores; /* to there */
};

static const struct placed nowhere = {.host = -1, .guest = -1};

static bool needs_old(const struct x86_insn *in, const struct x86_operand *o)
{
	bool is_move = in->op == X86_OP_MOV || in->op == X86_OP_MOVZX || in->op == X86_OP_MOVSX ||
		       in->op == X86_OP_MOVSXD || in->op == X86_OP_LEA;

	return (o->access & X86_ACC_READ) || o->size < 4 || !is_move;
}

static struct placed place(struct tr_build *b, const struct x86_operand *o, struct temps *t)
{
	struct placed p = nowhere;

	if (!is_gpr(o))
		return p;
	if (reg_host(o->reg) != H_NONE) {
		p.host = (int)reg_host(o->reg);
		return p;
	}
	p.host = (int)temp_with(b, t, o->reg);
	if (t->failed)
		return p;
	if (needs_old(cur_insn(b), o))
		emit_load(&b->e, 8, (unsigned)p.host, hmem_ctx(CTX_GPR(o->reg)));
	p.guest = o->reg;
	p.stores = o->access & X86_ACC_WRITE;
	return p;
}

/* In its place in the context block, too: SHRD R10, R10 reads it from a register and writes there.
 */
static bool writes(const struct x86_insn *in, int guest)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (is_gpr(&in->opnd[i]) && in->opnd[i].reg == guest &&
		    (in->opnd[i].access & X86_ACC_WRITE))
			return true;
	return false;
}

/* Behind the instruction: what was only read is still there, unless it was written as well. */
static void put_back(struct tr_build *b, const struct placed *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i].guest >= 0 && !p[i].stores && !writes(cur_insn(b), p[i].guest))
			b->e.holds[p[i].host] = CTX_GPR(p[i].guest);
	for (unsigned i = 0; i < n; i++)
		if (p[i].stores)
			emit_store(&b->e, 8, hmem_ctx(CTX_GPR(p[i].guest)), (unsigned)p[i].host);
}

/* ---- AH, CH, DH, BH
 * ------------------------------------------------------------------------------ */

static bool has_high_byte(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_GPR && in->opnd[i].reg >= 16)
			return true;
	return false;
}

/* Does any explicit operand use RCX or a part of it? */
static bool uses_rcx(const struct x86_insn *in, unsigned access)
{
	for (unsigned i = 0; i < in->nops; i++) {
		const struct x86_operand *o = &in->opnd[i];

		if (o->kind == X86_OPK_GPR && (o->access & access) &&
		    (o->reg == X86_RCX || o->reg == 16 + X86_RCX))
			return true;
	}
	return false;
}

/*
 * No REX prefix may be there, so the registers keep their numbers: those operands are in host
 * registers of the same name except RCX, which is copied to its own place and back.
 */
static void gen_high_byte(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	bool rcx = uses_rcx(in, X86_ACC_READ | X86_ACC_WRITE);
	struct copy c = {-1, -1, -1, NULL, true};
	struct hmem m;

	for (unsigned i = 0; i < in->nops; i++) {
		if (in->opnd[i].kind != X86_OPK_MEM)
			continue;
		if (rcx) {
			gen_interp(b);
			return;
		}
		m = mem_operand(b, 1, access_of(&in->opnd[i]));
		emit_lea(&b->e, 8, H_RCX, m);
		m = hmem_base(H_RCX, 0);
		c.mem = &m;
	}
	if (rcx)
		emit_mov(&b->e, 8, H_RCX, reg_host(X86_RCX));
	copy_insn(b, &c);
	if (uses_rcx(in, X86_ACC_WRITE))
		emit_mov(&b->e, 8, reg_host(X86_RCX), H_RCX);
}

/* ---- the general case
 * ---------------------------------------------------------------------------- */

/* A register in the context block that is only read can be the memory operand itself. */
static bool can_be_memory(const struct x86_insn *in, const struct x86_operand *o)
{
	if (!is_gpr(o) || reg_host(o->reg) != H_NONE || in->op == X86_OP_LEA)
		return false;
	switch (in->op) {
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		return in->map == X86_MAP_0F && in->opcode == 0xba && o->size == 8;
	case X86_OP_XCHG: /* would be locked */
		return false;
	default:
		return !(o->access & X86_ACC_WRITE) || o->size == 8;
	}
}

/* XADD and MULX with one destination twice: which result stays is lost when it has two copies. */
static bool one_destination(const struct x86_insn *in)
{
	return (in->op == X86_OP_XADD || in->op == X86_OP_MULX) && is_gpr(&in->opnd[0]) &&
	       in->opnd[0].reg == in->opnd[1].reg && reg_host(in->opnd[0].reg) == H_NONE;
}

static void copy_general(struct tr_build *b, struct temps *t)
{
	const struct x86_insn *in = cur_insn(b);
	struct fields f = fields_of(in);
	const struct x86_operand *rm = operand(in, f.rm);
	struct placed p[] = {nowhere, nowhere, nowhere};
	struct hmem m;
	struct copy c = {-1, -1, -1, NULL, false};

	if (one_destination(in)) {
		gen_interp(b);
		return;
	}
	if (rm && rm->kind == X86_OPK_MEM) {
		m = mem_operand(b, rm->size, access_of(rm));
		c.mem = &m;
		temps_keep(t, &m);
	} else if (can_be_memory(in, rm)) {
		m = hmem_ctx(CTX_GPR(rm->reg));
		c.mem = &m;
	} else {
		p[0] = place(b, rm, t);
	}
	p[1] = place(b, operand(in, f.reg), t);
	p[2] = place(b, operand(in, f.vvvv), t);
	if (t->failed) {
		gen_interp(b);
		return;
	}
	c.rm = p[0].host;
	c.reg = p[1].host;
	c.vvvv = p[2].host;
	copy_insn(b, &c);
	put_back(b, p, 3);
}

void gen_generic(struct tr_build *b)
{
	struct temps t = {.used = b->open ? 1u << H_T2 : 0};

	if (has_high_byte(cur_insn(b)))
		gen_high_byte(b);
	else
		copy_general(b, &t);
}

/* Shifts and rotates by CL, SHLD and SHRD by CL: the count is where the host wants it. */
void gen_shift_cl(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	struct temps t = {.used = 1u << H_RCX | (b->open ? 1u << H_T2 : 0)};
	const struct x86_operand *rm = &in->opnd[0];
	struct placed p[] = {nowhere, nowhere};
	struct copy c = {-1, -1, -1, NULL, false};
	struct hmem m;

	if (rm->kind == X86_OPK_GPR && rm->reg >= 16) {
		gen_interp(b);
		return;
	}
	if (rm->kind == X86_OPK_MEM) {
		m = mem_operand(b, rm->size, BT_RMW);
		c.mem = &m;
		temps_keep(&t, &m);
	} else {
		p[0] = place(b, rm, &t);
	}
	if (in->nops == 3) /* SHLD, SHRD */
		p[1] = place(b, &in->opnd[1], &t);
	if (t.failed) {
		gen_interp(b);
		return;
	}
	emit_mov(&b->e, 4, H_RCX, reg_host(X86_RCX));
	c.rm = p[0].host;
	c.reg = p[1].host;
	copy_insn(b, &c);
	put_back(b, p, 2);
}

/* No operands but the accumulator, RDX, an immediate: as it is. */
void gen_plain(struct tr_build *b)
{
	struct copy c = {-1, -1, -1, NULL, false};

	copy_insn(b, &c);
}

void gen_nothing(struct tr_build *b)
{
	(void)b;
}

void gen_lea(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	unsigned guest = in->opnd[0].reg, h = reg_host(guest);

	if (in->opsize == 2) {
		gen_interp(b);
		return;
	}
	if (h == H_NONE)
		h = H_T0;
	mem_effective(b, h, false);
	if (reg_host(guest) == H_NONE)
		emit_store(&b->e, 8, hmem_ctx(CTX_GPR(guest)), h);
}

/* MOV reg, imm with the register in the opcode. */
void gen_mov_imm(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	const struct x86_operand *o = &in->opnd[0];
	unsigned h = reg_host(o->reg & 15);

	if (o->size >= 4) {
		uint64_t imm = o->size == 4 ? (uint32_t)in->imm : in->imm;

		emit_mov_imm(&b->e, h == H_NONE ? H_T0 : h, imm);
		if (h == H_NONE)
			emit_store(&b->e, 8, hmem_ctx(CTX_GPR(o->reg)), H_T0);
	} else if (o->reg >= 16 && h != H_R15) {
		gen_plain(b);
	} else if (o->reg >= 16) {
		emit_store(&b->e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL)), h);
		emit_store_imm(&b->e, 1, hmem_ctx(CTX_SCRATCH(SCR_SPILL) + 1), (uint32_t)in->imm);
		emit_load(&b->e, 8, h, hmem_ctx(CTX_SCRATCH(SCR_SPILL)));
	} else if (h == H_NONE) {
		emit_store_imm(&b->e, o->size, hmem_ctx(CTX_GPR(o->reg)), (uint32_t)in->imm);
	} else {
		emit_rr(&b->e, o->size == 1 ? OPC(0xc6) : OPC(0xc7), o->size, 0, h);
		if (o->size == 1)
			emit_u8(&b->e, in->imm & 0xff);
		else
			emit_u16(&b->e, in->imm & 0xffff);
	}
}

/* XCHG rAX, reg with the register in the opcode. */
void gen_xchg_rax(struct tr_build *b)
{
	const struct x86_operand *o = &cur_insn(b)->opnd[0];
	struct temps t = {.used = b->open ? 1u << H_T2 : 0};
	struct placed p = place(b, o, &t);

	if (t.failed) {
		gen_interp(b);
		return;
	}
	emit_rr(&b->e, OPC(0x87), o->size, H_RAX, (unsigned)p.host);
	put_back(b, &p, 1);
}

static void one_register(struct tr_build *b, unsigned opc, unsigned digit, bool digit_is_opcode)
{
	const struct x86_operand *o = &cur_insn(b)->opnd[0];
	struct temps t = {.used = b->open ? 1u << H_T2 : 0};
	struct placed p = place(b, o, &t);
	unsigned h = (unsigned)p.host;

	if (t.failed) {
		gen_interp(b);
		return;
	}
	if (digit_is_opcode) {
		emit_rr(&b->e, opc, o->size, digit, h);
	} else {
		if (o->size == 2)
			emit_u8(&b->e, 0x66);
		emit_u8(&b->e, 0x40 | (o->size == 8 ? 8 : 0) | (h >= 8 ? 1 : 0));
		emit_u8(&b->e, 0x0f);
		emit_u8(&b->e, opc | (h & 7));
	}
	put_back(b, &p, 1);
}

void gen_bswap(struct tr_build *b)
{
	one_register(b, 0xc8, 0, false);
}

/* INC and DEC by the one-byte opcodes that are REX prefixes on the host. */
void gen_incdec_short(struct tr_build *b)
{
	one_register(b, OPC(0xff), cur_insn(b)->op == X86_OP_DEC, true);
}

/* MOV between the accumulator and an absolute address. */
void gen_moffs(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	bool store = in->opnd[0].kind == X86_OPK_MEM;
	unsigned size = in->opnd[0].size;
	struct hmem m = mem_operand(b, size, store ? BT_WRITE : BT_READ);

	if (store)
		emit_store(&b->e, size, m, H_RAX);
	else
		emit_load(&b->e, size, H_RAX, m);
}

/* CMPXCHG8B/16B: RCX is an implicit operand. */
void gen_cmpxchg8b(struct tr_build *b)
{
	struct hmem m = mem_operand(b, cur_insn(b)->opnd[0].size, BT_RMW);
	struct copy c = {-1, -1, -1, &m, false};

	emit_mov(&b->e, 8, H_RCX, reg_host(X86_RCX));
	copy_insn(b, &c);
}

/*
 * BT and its kin on memory with the index in a register: the index reaches beyond the operand. The
 * word with the bit is addressed first (SARX leaves flags alone), then only the index within it is
 * used.
 */
void gen_bit_reg(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	unsigned size = in->opnd[0].size, index = reg_host(in->opnd[1].reg);
	struct hmem word = {.base = H_T0, .index = H_T1, .scale = (uint8_t)size}, m;
	struct copy c = {H_T1, -1, -1, NULL, false};

	mem_effective(b, H_T0, true);
	if (index == H_NONE)
		emit_load(&b->e, 8, index = H_T2, hmem_ctx(CTX_GPR(in->opnd[1].reg)));
	emit_mov_imm(&b->e, H_T1, size == 8 ? 6 : 5);
	emit_shift_by(&b->e, EMIT_SARX, size, H_T1, index, H_T1);
	if (size == 4)
		emit_rr(&b->e, OPC(0x63), 8, H_T1, H_T1); /* MOVSXD */
	emit_lea(&b->e, 8, H_T0, word);
	m = mem_in_one(b, mem_check(b, size, access_of(&in->opnd[0])));
	if (index == H_T2)
		emit_load(&b->e, 8, index, hmem_ctx(CTX_GPR(in->opnd[1].reg)));
	emit_pext_mem(&b->e, H_T1, index,
		      hmem_ctx(CTX_SCRATCH(size == 8 ? SCR_MASK_63 : SCR_MASK_31)));
	c.mem = &m;
	copy_insn(b, &c);
}
