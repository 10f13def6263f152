/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The code between C and translated code: entering, leaving, and calling helpers.
 *
 * A helper call arrives by a jump with its argument in ECX. Guest registers are put into the
 * context block, the helper runs on the host's stack and returns the address to continue at, or
 * NULL to leave the translated code.
 */
#include "vmm/engine/bt/translate/tr.h"

#define TR_STUBS_SIZE 8192u

static const uint8_t saved_host[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

static void push_pop(struct emit *e, unsigned opcode, unsigned reg)
{
	if (reg >= 8)
		emit_u8(e, 0x41);
	emit_u8(e, opcode | (reg & 7));
}

static void reload(struct emit *e)
{
	emit_load(e, 8, H_RAX, hmem_ctx(CTX_SCRATCH(SCR_FLAGS)));
	emit_flags_from_ax(e);
	for (unsigned g = 0; g < X86_NGPR; g++)
		if (reg_host(g) != H_NONE)
			emit_load(e, 8, reg_host(g), hmem_ctx(CTX_GPR(g)));
	emit_load(e, 8, H_T0, hmem_ctx(CTX_SCRATCH(SCR_T0)));
	emit_load(e, 8, H_T2, hmem_ctx(CTX_SCRATCH(SCR_T2)));
	emit_jmp_mem(e, hmem_ctx(CTX_SCRATCH(SCR_RESUME)));
}

/* void enter(struct bt_vcpu *v, const void *code) */
static const uint8_t *emit_enter(struct emit *e)
{
	const uint8_t *reload_at;

	for (unsigned i = 0; i < sizeof(saved_host); i++)
		push_pop(e, 0x50, saved_host[i]);
	emit_alu_imm(e, 5, 8, H_RSP, 8); /* helpers are called with an aligned stack */
	emit_store(e, 8, hmem_ctx(CTX(host_rsp)), H_RSP);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_RESUME)), H_RSI);
	reload_at = e->p;
	reload(e);
	return reload_at;
}

static const uint8_t *emit_call_helper(struct emit *e, const uint8_t *reload_at)
{
	const uint8_t *at = e->p;
	uint8_t *leave;

	for (unsigned g = 1; g < X86_NGPR; g++) /* RAX is there already */
		if (reg_host(g) != H_NONE)
			emit_store(e, 8, hmem_ctx(CTX_GPR(g)), reg_host(g));
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_T0)), H_T0);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_T2)), H_T2);
	emit_load(e, 8, H_RSP, hmem_ctx(CTX(host_rsp)));
	emit_load(e, 8, H_RDI, hmem_ctx(CTX(self)));
	emit_mov(e, 4, H_RSI, H_RCX);
	emit_call_reg(e, H_RAX);
	emit_rr(e, OPC(0x85), 8, H_RAX, H_RAX);
	leave = emit_jcc(e, CC_E);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_RESUME)), H_RAX);
	emit_jmp(e, reload_at);
	emit_patch32(leave, e->p);
	emit_alu_imm(e, 0, 8, H_RSP, 8);
	for (unsigned i = sizeof(saved_host); i-- > 0;)
		push_pop(e, 0x58, saved_host[i]);
	emit_u8(e, 0xc3);
	return at;
}

typedef const uint8_t *helper_fn(struct bt_vcpu *v, uint32_t arg);

static const uint8_t *emit_stub(struct emit *e, const uint8_t *call, helper_fn *fn)
{
	const uint8_t *at = e->p;

	emit_store(e, 8, hmem_ctx(CTX_GPR(X86_RAX)), H_RAX);
	emit_flags_to_ax(e);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_FLAGS)), H_RAX);
	emit_mov_imm(e, H_RAX, (uint64_t)fn);
	emit_jmp(e, call);
	return at;
}

/* A direct jump, whose link is in H_T2, asks to be linked if the word has TR_DIRECT. */
static void emit_ask(struct emit *e, const struct translator *t, unsigned word)
{
	uint8_t *no;

	emit_pext_mem(e, H_RCX, H_T2, hmem_ctx(CTX_SCRATCH(word)));
	no = emit_jrcxz(e);
	emit_mov(e, 4, H_RCX, H_T2);
	emit_jmp(e, t->stub_far);
	emit_patch8(no, e->p);
}

/*
 * The first level of the jump cache had code of another address than H_T0, or, at stub_none, no
 * code. Its site, or link, is in H_T2.
 */
static void emit_second(struct emit *e, struct translator *t)
{
	int32_t level = t->jc + (int32_t)sizeof(struct bt_jc);
	uint8_t *found;

	t->stub_none = e->p;
	emit_ask(e, t, SCR_DIRECT);
	t->stub_second = e->p;
	emit_ask(e, t, SCR_LINKING);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_SITE)), H_T2);
	emit_rorx(e, 8, H_T2, H_T0, 12);
	emit_lea(e, 8, H_T2, hmem_index(H_T2, H_T0, 0));
	emit_pext_mem(e, H_T2, H_T2, hmem_ctx(CTX_SCRATCH(SCR_MASK_SECOND)));
	emit_load(e, 8, H_T1, hmem_view_array(H_T2, level + (int32_t)offsetof(struct bt_jc, va)));
	emit_not(e, H_T1);
	emit_lea(e, 8, H_T1, hmem_index(H_T1, H_T0, 1));
	found = emit_jrcxz(e);
	emit_load(e, 4, H_RCX, hmem_ctx(CTX_SCRATCH(SCR_SITE)));
	emit_jmp(e, t->stub_jump);
	emit_patch8(found, e->p);
	emit_jmp_mem(e, hmem_view_array(H_T2, level));
}

void tr_stubs_emit(struct translator *t)
{
	struct emit e = tr_emit(t, t->rw, t->rw + TR_STUBS_SIZE);
	const uint8_t *reload_at, *call;

	t->enter = (void (*)(struct bt_vcpu *, const void *))t->rx;
	reload_at = emit_enter(&e);
	call = emit_call_helper(&e, reload_at);
	t->stub_slow = emit_stub(&e, call, tr_help_slow);
	t->stub_interp = emit_stub(&e, call, tr_help_interp);
	t->stub_link = emit_stub(&e, call, tr_help_link);
	t->stub_far = emit_stub(&e, call, tr_help_far);
	t->stub_jump = emit_stub(&e, call, tr_help_jump);
	t->stub_window = emit_stub(&e, call, tr_help_window);
	t->stub_chase = emit_stub(&e, call, tr_help_chase);
	t->stub_plain = emit_stub(&e, call, tr_help_plain);
	t->stub_poll = emit_stub(&e, call, tr_help_poll);
	t->stub_fault = emit_stub(&e, call, tr_help_fault);
	tr_cross_emit(&e, t);
	tr_stack_emit(&e, t);
	emit_second(&e, t);
	t->used = t->stubs_end = TR_STUBS_SIZE;
	t->slow_used = TR_SLOW_AT;
}
