/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, MMX, SSE and AVX: as themselves, since their registers are the host's own. Only a memory
 * operand or a general register is replaced. Host exceptions (alignment, unmasked floating-point
 * ones) come back through signal.c.
 */
#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/translate/build.h"

/* The general register of a vector instruction is in ModRM.reg if it is the destination, but here.
 */
static bool gpr_dest_in_rm(const struct x86_insn *in)
{
	return (in->map == X86_MAP_0F && in->opcode == 0x7e) ||
	       (in->map == X86_MAP_0F3A && in->opcode >= 0x14 && in->opcode <= 0x17);
}

static enum bt_access access_of(const struct x86_operand *o)
{
	if (!(o->access & X86_ACC_WRITE))
		return BT_READ;
	return o->access & X86_ACC_READ ? BT_RMW : BT_WRITE;
}

/* ---- what FNSTENV tells of the last x87 instruction ---------------------------------------------
 */

/* Control instructions do not count (Intel SDM volume 1 section 8.1.8). */
static bool x87_counts(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_FWAIT:
	case X86_OP_FLDCW:
	case X86_OP_FNSTCW:
	case X86_OP_FNSTSW:
	case X86_OP_FNCLEX:
	case X86_OP_FNENI:
	case X86_OP_FNDISI:
	case X86_OP_FNSETPM:
		return false;
	default:
		return in->desc->cls == X86_CLS_X87;
	}
}

#define LAST(field) ((int32_t)(CTX(x87) + offsetof(struct bt_x87_last, field)))

static void note_selector(struct tr_build *b, unsigned seg, int32_t to)
{
	emit_load(&b->e, 2, H_T0,
		  hmem_ctx(CTX(seg) + (int32_t)(seg * sizeof(struct x86_segment) +
						offsetof(struct x86_segment, selector))));
	emit_store(&b->e, 2, hmem_ctx(to), H_T0);
}

/* What stays the same until the interpreter comes is noted once. */
static void note_x87(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	struct emit *e = &b->e;

	if (!x87_counts(in))
		return;
	if (in->modrm < 0xc0) {
		mem_effective(b, H_T0, false);
		emit_store(e, 8, hmem_ctx(LAST(dp)), H_T0);
		if (b->x87.data != in->mem.seg + 1u)
			note_selector(b, in->mem.seg, LAST(ds));
		b->x87.data = (uint8_t)(in->mem.seg + 1);
	}
	if (!b->x87.code) {
		emit_store_imm(e, 4, hmem_ctx(LAST(ip) + 4), (uint32_t)(cur_rip(b) >> 32));
		note_selector(b, X86_CS, LAST(cs));
	}
	b->x87.code = true;
	emit_store_imm(e, 4, hmem_ctx(LAST(ip)), (uint32_t)cur_rip(b));
	emit_store_imm(e, 4, hmem_ctx(LAST(op)), (in->opcode & 7u) << 8 | in->modrm);
}

/* ---- copies
 * -------------------------------------------------------------------------------------- */

struct vector_operands {
	int gpr; /* index in opnd[], -1: none */
	int mem;
	unsigned gprs;
};

static struct vector_operands operands_of(const struct x86_insn *in)
{
	struct vector_operands v = {-1, -1, 0};

	for (unsigned i = 0; i < in->nops; i++) {
		if (in->opnd[i].kind == X86_OPK_MEM)
			v.mem = (int)i;
		if (in->opnd[i].kind == X86_OPK_GPR) {
			v.gpr = (int)i;
			v.gprs++;
		}
	}
	return v;
}

void gen_vector(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	struct vector_operands v = operands_of(in);
	struct copy c = {-1, -1, -1, NULL, false};
	const struct x86_operand *g = v.gpr >= 0 ? &in->opnd[v.gpr] : NULL;
	bool in_rm;
	unsigned host = H_NONE;
	struct hmem m;

	if (in->map == X86_MAP_1) /* FNSTSW AX: in no field, and in the host's RAX anyway */
		g = NULL;
	in_rm = g && (v.gpr > 0 || gpr_dest_in_rm(in));
	if (v.mem >= 0) {
		m = mem_operand(b, in->opnd[v.mem].size, access_of(&in->opnd[v.mem]));
		c.mem = &m;
		in_rm = false;
	}
	if (g) {
		host = reg_host(g->reg);
		if (host == H_NONE) {
			host = H_T1;
			if (g->access & X86_ACC_READ)
				emit_load(&b->e, 8, host, hmem_ctx(CTX_GPR(g->reg)));
		}
		*(in_rm ? &c.rm : &c.reg) = (int)host;
	}
	copy_insn(b, &c);
	if (g && host == H_T1 && (g->access & X86_ACC_WRITE))
		emit_store(&b->e, 8, hmem_ctx(CTX_GPR(g->reg)), host);
	note_x87(b);
}

/* PCMPISTRI, PCMPESTRI: the index goes to RCX, which is kept elsewhere. */
void gen_string_index(struct tr_build *b)
{
	gen_vector(b);
	emit_mov(&b->e, 4, reg_host(X86_RCX), H_RCX);
}
