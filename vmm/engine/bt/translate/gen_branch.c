/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jumps, calls and returns, and how a block is left.
 *
 * Inside a page a jump is patched to its target. To another page it goes through the jump cache of
 * the current view, as indirect jumps do, until it may be patched: links.c.
 */
#include "vmm/engine/bt/translate/build.h"

/* ---- exits
 * --------------------------------------------------------------------------------------- */

/*
 * The code at `code` looks whether the address in H_T0 is its own. The site tells a helper which
 * instruction jumps, should the address not be canonical.
 */
void exit_indirect(struct tr_build *b)
{
	emit_pext_mem(&b->e, H_T1, H_T0, hmem_ctx(CTX(jump_mask)));
	emit_mov_imm(&b->e, H_T2, site_new(b, 0, BT_EXEC));
	emit_jmp_mem(&b->e, hmem_view_array(H_T1, b->t->jc));
}

static void exit_to(struct tr_build *b, uint64_t target, uint8_t *at, bool far)
{
	if (!at)
		at = emit_jmp_far(&b->e);
	b->exit[b->nexits++] = (struct tr_exit){at, target, far};
}

void exit_direct(struct tr_build *b, uint64_t target, uint8_t *at)
{
	exit_to(b, target, at, (target ^ b->va) & BT_PAGE_MASK);
}

/* What crosses into the next page depends on its mapping, too. */
void exit_next(struct tr_build *b)
{
	uint64_t next = next_rip(b);

	exit_to(b, next, NULL, b->next_crosses || (next ^ b->va) & BT_PAGE_MASK);
}

/* The jump goes to what is emitted next until it is patched. Returns the link's number. */
static uint32_t link_new(struct tr_build *b, uint8_t *jump, int32_t delta)
{
	struct translator *t = b->t;
	uint32_t i = t->nlinks++;

	emit_patch32(jump, b->e.p);
	t->link[i] = (struct tr_link){.jump = (uint32_t)(jump - t->rw),
				      .stub = (uint32_t)(b->e.p - t->rw),
				      .block = b->block,
				      .delta = delta};
	t->block[b->block].nlinks++;
	return i;
}

void exit_link(struct tr_build *b, uint8_t *jump, int32_t delta, const uint8_t *stub)
{
	emit_mov_imm(&b->e, H_RCX, link_new(b, jump, delta));
	emit_jmp(&b->e, stub);
}

/* To another page, through the jump cache until it is patched; past it when in a hurry. */
static void exit_far(struct tr_build *b, const struct tr_exit *x)
{
	uint32_t link = link_new(b, x->jump, (int32_t)(x->target - b->va));
	uint8_t *none;

	emit_mov_imm(&b->e, H_T0, x->target);
	emit_mov_imm(&b->e, H_T2, link | TR_DIRECT);
	emit_load(&b->e, 4, H_RCX, hmem_ctx(CTX(hurry)));
	none = emit_jrcxz(&b->e);
	emit_jmp(&b->e, b->t->stub_second);
	if (!b->e.full)
		emit_patch8(none, b->e.p);
	emit_jmp_mem(&b->e, hmem_view(b->t->jc + 8 * (int32_t)BT_JC_DIRECT(x->target)));
}

void exit_stubs(struct tr_build *b)
{
	for (unsigned i = 0; i < b->nexits && !b->e.full; i++) {
		const struct tr_exit *x = &b->exit[i];

		if (x->far)
			exit_far(b, x);
		else
			exit_link(b, x->jump, (int32_t)(x->target - b->va), b->t->stub_link);
	}
}

/* ---- jumps
 * --------------------------------------------------------------------------------------- */

static uint64_t target_of(const struct tr_build *b)
{
	uint64_t t = next_rip(b) + cur_insn(b)->imm;

	if (b->x86_mode == X86_MODE_64)
		return t;
	return cur_insn(b)->opsize == 2 ? (uint16_t)t : (uint32_t)t;
}

/* Others fault, or are further away than a link can tell: for the interpreter. */
static bool is_reachable(const struct tr_build *b)
{
	uint64_t target = target_of(b);
	int64_t delta = (int64_t)(target - b->va);

	return b->x86_mode != X86_MODE_64 || (bt_canonical(target) && delta == (int32_t)delta);
}

void gen_jmp(struct tr_build *b)
{
	if (is_reachable(b))
		exit_direct(b, target_of(b), NULL);
	else
		gen_interp(b);
}

void gen_jcc(struct tr_build *b)
{
	unsigned cc = cur_insn(b)->opcode & 15;

	if (b->insn[b->cur].turns)
		exit_direct(b, next_rip(b), emit_jcc(&b->e, cc ^ 1));
	else if (is_reachable(b))
		exit_direct(b, target_of(b), emit_jcc(&b->e, cc));
	else
		gen_interp(b);
}

/* JRCXZ and LOOP: the short jump that the host has goes round a long one. */
void gen_loop(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	unsigned rcx = reg_host(X86_RCX), size = in->addrsize;
	struct emit *e = &b->e;
	uint8_t *zero, *over;

	if (!is_reachable(b)) {
		gen_interp(b);
		return;
	}
	if (in->op == X86_OP_JRCXZ) {
		emit_mov(e, size, H_RCX, rcx);
		zero = emit_jrcxz(e);
		over = emit_jmp_short(e);
		if (!e->full)
			emit_patch8(zero, e->p);
		exit_direct(b, target_of(b), emit_jmp_far(e));
		if (!e->full)
			emit_patch8(over, e->p);
		return;
	}
	emit_lea(e, size, rcx, hmem_base(rcx, -1));
	emit_mov(e, size, H_RCX, rcx);
	zero = emit_jrcxz(e);
	if (in->op != X86_OP_LOOP) {
		emit_u8(e, in->op == X86_OP_LOOPE ? 0x75 : 0x74);
		emit_u8(e, 5);
	}
	exit_direct(b, target_of(b), emit_jmp_far(e));
	if (!e->full)
		emit_patch8(zero, e->p);
}

/* ---- indirect jumps, calls, returns ------------------------------------------------------------
 */

/* The target operand into `dst`. */
static void load_target(struct tr_build *b, unsigned dst)
{
	const struct x86_operand *o = &cur_insn(b)->opnd[0];

	if (o->kind == X86_OPK_MEM)
		emit_load(&b->e, o->size, dst, mem_operand(b, o->size, BT_READ));
	else if (reg_host(o->reg) == H_NONE)
		emit_load(&b->e, o->size, dst, hmem_ctx(CTX_GPR(o->reg)));
	else
		emit_mov(&b->e, o->size, dst, reg_host(o->reg));
}

void gen_jmp_ind(struct tr_build *b)
{
	load_target(b, H_T0);
	exit_indirect(b);
}

/* A call whose target turns out not to be canonical must not have pushed: the helper puts back what
 * was there. */
static void save_under(struct tr_build *b, struct hmem m)
{
	if (cur_insn(b)->op != X86_OP_CALL_IND || b->x86_mode != X86_MODE_64)
		return;
	emit_load(&b->e, cur_insn(b)->opsize, H_T1, m);
	emit_store(&b->e, 8, hmem_ctx(CTX_SCRATCH(SCR_UNDER)), H_T1);
}

static void push_return(struct tr_build *b)
{
	unsigned size = cur_insn(b)->opsize;
	uint64_t ret = next_rip(b);
	struct hmem m = stack_operand(b, -(int32_t)size, size, BT_WRITE);

	save_under(b, m);
	if (size == 4 || ret == (uint64_t)(int32_t)ret) {
		emit_store_imm(&b->e, size, m, (uint32_t)ret);
	} else {
		emit_mov_imm(&b->e, H_T1, ret);
		emit_store(&b->e, size, m, H_T1);
	}
	stack_move(b, -(int32_t)size);
}

void gen_call(struct tr_build *b)
{
	if (!is_reachable(b)) {
		stack_move(b, 0); /* what pushes before it have left to do */
		gen_interp(b);
		return;
	}
	push_return(b);
	exit_direct(b, target_of(b), NULL);
}

/* A check of the stack needs H_T0; in a window whose addend is in H_T2, or can be, there is none.
 */
bool call_keeps_target(const struct tr_build *b)
{
	unsigned window = b->insn[b->cur].window;

	return cur_insn(b)->op == X86_OP_CALL_IND && window && (!b->open || window == b->open);
}

void gen_call_ind(struct tr_build *b)
{
	bool keeps = call_keeps_target(b);

	load_target(b, H_T0);
	if (!keeps)
		emit_store(&b->e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL2)), H_T0);
	push_return(b);
	if (!keeps)
		emit_load(&b->e, 8, H_T0, hmem_ctx(CTX_SCRATCH(SCR_SPILL2)));
	exit_indirect(b);
}

void gen_ret(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	unsigned size = in->opsize;
	int32_t pops = (int32_t)size + (in->imm_len ? (int32_t)(in->imm & 0xffff) : 0);

	emit_load(&b->e, size, H_T0, stack_operand(b, 0, size, BT_READ));
	stack_move(b, pops);
	park_end(b);
	exit_indirect(b);
}
