/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files vector*.c, which run vector instructions as themselves on the host. */
#ifndef VMM_ENGINE_BT_VECTOR_H
#define VMM_ENGINE_BT_VECTOR_H

#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/vm.h"

/* What a re-encoded instruction finds in the host's registers, and leaves there. */
struct vector_regs {
	uint64_t rax; /* its general register operand, or the accumulator */
	uint64_t rcx, rdx;
	uint64_t rbx; /* address of its memory operand */
	uint64_t rflags;
};

/* ---- vector_call.S -------------------------------------------------------------------------- */
/* Runs `code`, which ends with RET. Returns 0, or the exception that the host raised in it. */
int bt_vector_call(struct vector_regs *r, const void *code);
/* bt_vector_fpe() resumes here: RAX is the exception, the stack as in `code`. */
extern const char bt_vector_trapped[];

/* ---- vector_stub.c -------------------------------------------------------------------------- */
#define VECTOR_MAX_CODE 15

/* The callable copy of `len` bytes of code (a RET follows); valid until the next call. */
const void *vector_stub(struct bt_vcpu *v, const uint8_t *code, unsigned len);
/* Re-encodes: memory operand [RBX], general register operand RAX, vectors unchanged. The length. */
unsigned vector_reencode(const struct x86_insn *in, uint8_t code[VECTOR_MAX_CODE]);
#define VECTOR_SIZE 64
/* Moves what there is of a ZMM register to or from `buf`, VECTOR_SIZE bytes. */
void vector_get(struct bt_vcpu *v, unsigned reg, void *buf);
void vector_put(struct bt_vcpu *v, unsigned reg, const void *buf);
uint64_t vector_get_mask(struct bt_vcpu *v, unsigned reg);
void vector_put_mask(struct bt_vcpu *v, unsigned reg, uint64_t bits);
/* A page of memory between two that are not there, and where a stub has last faulted. */
uint8_t *vector_fence(struct bt_vcpu *v);
uint64_t vector_fault_address(struct bt_vcpu *v);
void vector_get_mmx(struct bt_vcpu *v, unsigned reg, void *buf);
/* The register that VEX.vvvv names. */
static inline unsigned vector_vvvv(const struct x86_insn *in)
{
	return (in->vex_vvvv ^ 15) & (in->mode == X86_MODE_64 ? 15 : 7);
}
/* A buffer for one XSAVE image in the host's format, 64-byte aligned. */
uint8_t *vector_image(struct bt_vcpu *v);

/* ---- vector.c ------------------------------------------------------------------------------- */
/* Runs the re-encoded instruction with its memory operand at `mem`; false: v->fault. */
bool vector_run(struct bt_vcpu *v, const struct x86_insn *in, void *mem);
/* Makes sure that bt_write() of these bytes cannot fault. */
bool vector_probe_write(struct bt_vcpu *v, gva_t gva, unsigned size);
/* bt_read/bt_write of any size; write only after vector_probe_write(). */
bool vector_read(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size);
bool vector_write(struct bt_vcpu *v, gva_t gva, const void *buf, unsigned size);
/* bt_linear() and #GP(0) unless the address is a multiple of `align`. */
bool vector_address(struct bt_vcpu *v, const struct x86_insn *in, unsigned size, unsigned align,
		    enum bt_access a, gva_t *gva);

static inline uint16_t x87_status(void)
{
	uint16_t fsw;

	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	return fsw;
}

/* ---- vector_mask.c: element-wise memory access ---------------------------------------------- */
bool vector_gather(struct bt_vcpu *v, const struct x86_insn *in);
bool vector_maskmov(struct bt_vcpu *v, const struct x86_insn *in);  /* (V)MASKMOVDQU, MASKMOVQ */
bool vector_vmaskmov(struct bt_vcpu *v, const struct x86_insn *in); /* VMASKMOVPx, VPMASKMOVx */
bool vector_scatter(struct bt_vcpu *v, const struct x86_insn *in);

/* ---- vector_masked.c ------------------------------------------------------------------------ */
/* An EVEX instruction with a mask whose operand `m`, at `gva`, is not simply there. */
bool vector_masked(struct bt_vcpu *v, const struct x86_insn *in, const struct x86_operand *m,
		   gva_t gva);
/* The same of an operand that cannot be addressed; v->fault is the reason. */
bool vector_masked_nowhere(struct bt_vcpu *v, const struct x86_insn *in);

/* ---- vector_env.c: x87 environment ---------------------------------------------------------- */
bool vector_fnstenv(struct bt_vcpu *v, const struct x86_insn *in);
bool vector_fldenv(struct bt_vcpu *v, const struct x86_insn *in);
bool vector_fnsave(struct bt_vcpu *v, const struct x86_insn *in);
bool vector_frstor(struct bt_vcpu *v, const struct x86_insn *in);
/* Notes what FNSTENV is to report of a non-control instruction. */
void vector_note_x87(struct bt_vcpu *v, const struct x86_insn *in);

/* ---- vector_xsave.c: FXSAVE, XSAVE and their family ----------------------------------------- */
bool vector_ldmxcsr(struct bt_vcpu *v, const struct x86_insn *in);
bool vector_fxsave(struct bt_vcpu *v, const struct x86_insn *in);
bool vector_fxrstor(struct bt_vcpu *v, const struct x86_insn *in);
bool vector_xsave(struct bt_vcpu *v, const struct x86_insn *in);  /* XSAVE, XSAVEOPT */
bool vector_xsavec(struct bt_vcpu *v, const struct x86_insn *in); /* XSAVEC, XSAVES */
bool vector_xrstor(struct bt_vcpu *v, const struct x86_insn *in); /* XRSTOR, XRSTORS */

#endif
