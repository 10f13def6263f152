/* SPDX-License-Identifier: Apache-2.0 */
/* PUSH, POP and LEAVE, of the full stack width (8 bytes, in 32-bit code 4). */
#include "vmm/engine/bt/translate/build.h"

static bool window_opens(const struct tr_build *b, unsigned at)
{
	for (unsigned i = 1; i <= b->nwindows; i++)
		if (b->window[i].open_at == at)
			return true;
	return false;
}

/* Can the next instruction's change of RSP be made together with this one's? It must be in the same
 * window, so that nothing can happen in between, and need RSP for nothing else. */
static bool moves_on(const struct tr_build *b)
{
	const struct tr_insn *now = &b->insn[b->cur], *next = now + 1;
	const struct x86_operand *o = &next->in.opnd[0];

	if (b->cur + 1 == b->n || !now->window || next->window != now->window ||
	    window_opens(b, b->cur + 1))
		return false;
	switch (next->in.op) {
	case X86_OP_PUSH:
		return o->kind == X86_OPK_IMM || (o->kind == X86_OPK_GPR && o->reg != X86_RSP);
	case X86_OP_POP:
		return o->kind == X86_OPK_GPR && o->reg != X86_RSP;
	default:
		return next->in.op == X86_OP_CALL || next->in.op == X86_OP_RET;
	}
}

void stack_move(struct tr_build *b, int32_t n)
{
	unsigned size = b->x86_mode == X86_MODE_64 ? 8 : 4;

	b->late += n;
	if (moves_on(b))
		return;
	if (cur_live(b))
		emit_lea(&b->e, size, H_RSP, hmem_base(H_RSP, b->late));
	else
		emit_alu_imm(&b->e, 0, size, H_RSP, b->late); /* ADD */
	b->late = 0;
}

struct hmem stack_operand(struct tr_build *b, int32_t disp, unsigned size, enum bt_access a)
{
	return mem_base(b, X86_RSP, disp + b->late, size, a);
}

static void push_mem(struct tr_build *b, unsigned size)
{
	struct hmem m;

	emit_load(&b->e, size, H_T0, mem_operand(b, size, BT_READ));
	emit_store(&b->e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL2)), H_T0);
	m = stack_operand(b, -(int32_t)size, size, BT_WRITE);
	emit_load(&b->e, 8, H_T1, hmem_ctx(CTX_SCRATCH(SCR_SPILL2)));
	emit_store(&b->e, size, m, H_T1);
}

void gen_push(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	const struct x86_operand *o = &in->opnd[0];
	unsigned size = in->opsize, h;
	struct hmem m;

	if (o->kind == X86_OPK_MEM) {
		push_mem(b, size);
		stack_move(b, -(int32_t)size);
		return;
	}
	m = stack_operand(b, -(int32_t)size, size, BT_WRITE);
	if (o->kind == X86_OPK_IMM) {
		emit_store_imm(&b->e, size, m, (uint32_t)in->imm);
	} else {
		h = reg_host(o->reg);
		if (h == H_NONE) {
			h = H_T1;
			emit_load(&b->e, 8, h, hmem_ctx(CTX_GPR(o->reg)));
		}
		emit_store(&b->e, size, m, h);
	}
	stack_move(b, -(int32_t)size);
}

void gen_pop(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	const struct x86_operand *o = &in->opnd[0];
	unsigned size = in->opsize, h = reg_host(o->reg);
	struct hmem m;

	if (o->kind != X86_OPK_GPR) {
		gen_interp(b);
		return;
	}
	m = stack_operand(b, 0, size, BT_READ);
	emit_load(&b->e, size, h == H_NONE ? H_T1 : h, m);
	if (h == H_NONE)
		emit_store(&b->e, 8, hmem_ctx(CTX_GPR(o->reg)), H_T1);
	if (o->reg != X86_RSP)
		stack_move(b, (int32_t)size);
}

void gen_leave(struct tr_build *b)
{
	unsigned size = cur_insn(b)->opsize;
	struct hmem m = mem_base(b, X86_RBP, 0, size, BT_READ);

	emit_load(&b->e, size, H_T1, m);
	emit_lea(&b->e, size, H_RSP, hmem_base(H_RBP, (int32_t)size));
	emit_mov(&b->e, size, H_RBP, H_T1);
}
