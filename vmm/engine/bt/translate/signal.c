/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host faults in copied instructions are the guest's: divide errors, floating-point exceptions, and
 * vector operands that are not aligned. The instruction is found in its block's table; execution
 * goes on in the stub that saves the registers and leaves.
 */
#include "vmm/engine/bt/translate/tr.h"

/* Intel SDM volume 3A table 6-1; the kernel gives the vector in REG_TRAPNO. */
static bool guest_exception(struct bt_vcpu *v, const ucontext_t *uc, struct bt_fault *f)
{
	greg_t vector = uc->uc_mcontext.gregs[REG_TRAPNO];

	*f = (struct bt_fault){.vector = (uint8_t)vector};
	switch (vector) {
	case EXC_DE:
	case EXC_MF:
	case EXC_UD:
		return true;
	case EXC_XM:
		if (!(v->cr4 & CR4_OSXMMEXCPT))
			f->vector = EXC_UD;
		return true;
	case EXC_GP:
	case EXC_SS: /* only by a stack pointer that is not canonical: stack.c */
		f->has_error = true;
		return true;
	default:
		return false;
	}
}

static const struct tr_pc *pc_of(const struct translator *t, const struct tr_block *b, uint64_t pc)
{
	uint32_t off = (uint32_t)(pc - (uint64_t)t->rx) - b->indirect, i = 0;

	while (i + 1 < b->npcs && t->pc[b->first_pc + i + 1].host <= off)
		i++;
	return &t->pc[b->first_pc + i];
}

uint64_t tr_guest_rip(const struct translator *t, const struct tr_block *b, uint64_t pc)
{
	return b->va + (pc_of(t, b, pc)->guest & TR_PC_OFF);
}

bool tr_host_fault(struct bt_vcpu *v, siginfo_t *si, ucontext_t *uc)
{
	struct translator *t = tr_of(v);
	uint64_t pc = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	uint32_t block = t ? tr_block_at(t, pc) : TR_NONE;

	(void)si;
	if (block == TR_NONE || !guest_exception(v, uc, &t->fault))
		return false;
	t->fault_block = block;
	t->fault_rip = tr_guest_rip(t, &t->block[block], pc);
	t->fault_pc = *pc_of(t, &t->block[block], pc);
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(t->rx + (t->stub_fault - t->rw));
	return true;
}
