/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privileged and system instructions that kernels execute all the time. Bits of RFLAGS other than
 * status flags are in the context block; they are changed by PEXT and PDEP with a mask of the
 * others, which leaves the status flags alone.
 */
#include "vmm/engine/bt/translate/build.h"

/* ---- bits of the guest's RFLAGS ---------------------------------------------------------------
 */

/* H_T1 &= mask in scratch slot `others`. */
static void keep_bits(struct tr_build *b, unsigned reg, unsigned others)
{
	emit_pext_mem(&b->e, reg, reg, hmem_ctx(CTX_SCRATCH(others)));
	emit_pdep_mem(&b->e, reg, reg, hmem_ctx(CTX_SCRATCH(others)));
}

static void change_flag(struct tr_build *b, unsigned others, bool set)
{
	emit_load(&b->e, 8, H_T1, hmem_ctx(CTX(rflags)));
	if (set)
		emit_not(&b->e, H_T1);
	keep_bits(b, H_T1, others);
	if (set)
		emit_not(&b->e, H_T1);
	emit_store(&b->e, 8, hmem_ctx(CTX(rflags)), H_T1);
}

void gen_cld_std(struct tr_build *b)
{
	change_flag(b, SCR_NOT_DF, cur_insn(b)->op == X86_OP_STD);
}

void gen_cli(struct tr_build *b)
{
	change_flag(b, SCR_NOT_IF, false);
}

/* With an interrupt waiting, or at a block's end where the shadow would be lost, the long way. */
void gen_sti(struct tr_build *b)
{
	uint8_t *none;

	if (b->cur + 1 == b->n) {
		gen_interp(b);
		return;
	}
	emit_load(&b->e, 1, H_T1, hmem_ctx(CTX(irq_blocked)));
	emit_rr(&b->e, OPC_0F(0xb6), 4, H_T1, H_T1); /* MOVZX ECX, CL */
	none = emit_jrcxz(&b->e);
	gen_interp(b);
	if (b->e.full)
		return;
	emit_patch8(none, b->e.p);
	change_flag(b, SCR_NOT_IF, true);
}

/* Status flags from the host's PUSHF, on the host's stack; the others from the context block. */
void gen_pushf(struct tr_build *b)
{
	struct emit *e = &b->e;
	struct hmem m;
	unsigned tmp;

	if (b->x86_mode != X86_MODE_64) {
		gen_interp(b);
		return;
	}
	m = mem_in_one(b, mem_base(b, X86_RSP, -8, 8, BT_WRITE));
	tmp = hmem_uses(&m, H_T0) ? H_T2 : H_T0;
	if (b->open)
		emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL)), H_T2);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL2)), H_RSP);
	emit_load(e, 8, H_RSP, hmem_ctx(CTX(host_rsp)));
	emit_u8(e, 0x9c); /* PUSHFQ */
	emit_u8(e, 0x59); /* POP RCX */
	emit_load(e, 8, H_RSP, hmem_ctx(CTX_SCRATCH(SCR_SPILL2)));
	keep_bits(b, H_RCX, SCR_STATUS);
	emit_load(e, 8, tmp, hmem_ctx(CTX(rflags)));
	keep_bits(b, tmp, SCR_PUSHED);
	emit_lea(e, 8, H_RCX, hmem_index(H_RCX, tmp, 0));
	emit_store(e, 8, m, H_RCX);
	if (b->open)
		emit_load(e, 8, H_T2, hmem_ctx(CTX_SCRATCH(SCR_SPILL)));
	emit_lea(e, 8, H_RSP, hmem_base(H_RSP, -8));
}

/* ---- the rest
 * ------------------------------------------------------------------------------------ */

/* MOV from a segment register: a kernel that patches itself reads CS and SS before each IRET. */
void gen_mov_from_seg(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	const struct hmem selector =
		hmem_ctx(CTX(seg) + (int32_t)(in->opnd[1].reg * sizeof(struct x86_segment) +
					      offsetof(struct x86_segment, selector)));
	unsigned h = reg_host(in->opnd[0].reg);

	emit_rm(&b->e, OPC_0F(0xb7), 4, h == H_NONE ? H_T0 : h, &selector); /* MOVZX */
	if (h == H_NONE)
		emit_store(&b->e, 8, hmem_ctx(CTX_GPR(in->opnd[0].reg)), H_T0);
}

/* Counts down, without flags; the interpreter yields (bt_op_pause). */
void gen_pause(struct tr_build *b)
{
	struct emit *e = &b->e;
	uint8_t *now, *over;

	emit_bytes(e, (const uint8_t *)"\xf3\x90", 2);
	emit_load(e, 8, H_T1, hmem_ctx(CTX(pauses)));
	emit_lea(e, 8, H_T1, hmem_base(H_T1, -1));
	now = emit_jrcxz(e);
	emit_store(e, 8, hmem_ctx(CTX(pauses)), H_T1);
	over = emit_jmp_short(e);
	if (!e->full)
		emit_patch8(now, e->p);
	gen_interp(b);
	if (!e->full)
		emit_patch8(over, e->p);
}

void gen_swapgs(struct tr_build *b)
{
	struct emit *e = &b->e;

	emit_load(e, 8, H_T0, hmem_ctx(CTX(kernel_gs_base)));
	emit_load(e, 8, H_T1, hmem_ctx(CTX_SEGBASE(X86_GS)));
	emit_store(e, 8, hmem_ctx(CTX(kernel_gs_base)), H_T1);
	emit_store(e, 8, hmem_ctx(CTX_SEGBASE(X86_GS)), H_T0);
	emit_store(e, 8, hmem_ctx(CTX(seg[X86_GS].base)), H_T0);
}

/* CR4.TSD makes it privileged: then the interpreter decides. */
void gen_rdtsc(struct tr_build *b)
{
	bool with_aux = cur_insn(b)->op == X86_OP_RDTSCP;
	struct emit *e = &b->e;
	uint8_t *allowed, *over;

	emit_load(e, 8, H_T1, hmem_ctx(CTX(cr4)));
	emit_pext_mem(e, H_T1, H_T1, hmem_ctx(CTX_SCRATCH(SCR_TSD)));
	allowed = emit_jrcxz(e);
	gen_interp(b);
	over = emit_jmp_short(e);
	if (!e->full)
		emit_patch8(allowed, e->p);
	emit_bytes(e, (const uint8_t *)"\x0f\x01\xf9", with_aux ? 3 : 0); /* RDTSCP */
	emit_bytes(e, (const uint8_t *)"\x0f\x31", with_aux ? 0 : 2);     /* RDTSC */
	emit_rorx(e, 8, H_RDX, H_RDX, 32);
	emit_lea(e, 8, H_RAX, hmem_index(H_RAX, H_RDX, 0));
	emit_load(e, 8, H_T1, hmem_ctx(CTX(tsc_offset)));
	emit_lea(e, 8, H_RAX, hmem_index(H_RAX, H_T1, 0));
	emit_rorx(e, 8, H_RDX, H_RAX, 32);
	emit_mov(e, 4, H_RDX, H_RDX);
	emit_mov(e, 4, H_RAX, H_RAX);
	if (with_aux)
		emit_load(e, 4, reg_host(X86_RCX), hmem_ctx(CTX(tsc_aux)));
	if (!e->full)
		emit_patch8(over, e->p);
}
