/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which host register holds which guest register in translated code.
 *
 * Twelve guest registers live in the host register of the same name, RCX in R15, and R10, R11 and
 * R15 in the context block. That frees three host registers: RCX for shift counts, CH and JRCXZ
 * (the one conditional branch that needs no flags), R10 and R11 for addresses.
 */
#ifndef VMM_ENGINE_BT_TRANSLATE_REGS_H
#define VMM_ENGINE_BT_TRANSLATE_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/engine/bt/vcpu.h"

enum host_reg {
	H_RAX,
	H_RCX,
	H_RDX,
	H_RBX,
	H_RSP,
	H_RBP,
	H_RSI,
	H_RDI,
	H_R8,
	H_R9,
	H_R10,
	H_R11,
	H_R12,
	H_R13,
	H_R14,
	H_R15,
	H_NONE = 0xff,
};

#define H_T0 H_R10 /* linear, then host address of the memory operand */
#define H_T1 H_RCX /* offset of the TLB entry; second operand; JRCXZ */
#define H_T2 H_R11 /* what the open window holds (see plan.c), else free */

/* bt_vcpu.scratch[] */
enum {
	SCR_T0,
	SCR_T2,
	SCR_FLAGS,     /* LAHF's byte << 8 | OF */
	SCR_RESUME,    /* host address at which a helper continues */
	SCR_MASK_PAGE, /* constants for PEXT and PDEP with memory masks */
	SCR_MASK_OFFSET,
	SCR_MASK_SECOND,
	SCR_SPILL,
	SCR_SPILL2,
	SCR_UNDER, /* what an indirect call's return address has overwritten */
	SCR_SITE,
	SCR_NOT_IF, /* RFLAGS but this bit */
	SCR_NOT_DF,
	SCR_STATUS, /* the status flags */
	SCR_PUSHED, /* what PUSHF shows of the others */
	SCR_TSD,
	SCR_MASK_63,
	SCR_MASK_31,
	SCR_PARKED,   /* status flags, as in SCR_FLAGS: park.c */
	SCR_COPY,     /* host address of the operand of a TR_MODE_COPY block */
	SCR_DIRECT,   /* TR_DIRECT */
	SCR_ACROSS,   /* a word of two pages: cross_stub.c */
	SCR_LINKING,  /* the same while jumps to other pages are linked, else 0 */
	SCR_STACK_T2, /* of a call of stack.c's stubs: what H_T2 was, where it goes on, */
	SCR_STACK_BACK,
	SCR_STACK_FLAGS, /* as SCR_FLAGS, */
	SCR_STACK_MASK,  /* the bits that an aligned word's offset in a page has not got, */
	SCR_STACK_LIMIT, /* the last offset in a page at which the operand may begin */
	SCR_WINDOW,      /* addends of open windows */
};

#define SCR_WINDOWS 3

_Static_assert(SCR_WINDOW + SCR_WINDOWS <= sizeof(((struct bt_vcpu *)0)->scratch) / 8, "scratch");

#define CTX(field)     ((int32_t)offsetof(struct bt_vcpu, field))
#define CTX_GPR(n)     (CTX(gpr) + 8 * (int32_t)(n))
#define CTX_SCRATCH(n) (CTX(scratch) + 8 * (int32_t)(n))
#define CTX_SEGBASE(n) (CTX(segbase) + 8 * (int32_t)(n))
#define CTX_BEYOND(n)  (CTX(beyond) + 8 * (int32_t)(n))

/* Host register of a guest register, H_NONE if it lives in the context block. */
static inline unsigned reg_host(unsigned guest)
{
	if (guest == X86_R10 || guest == X86_R11 || guest == X86_R15)
		return H_NONE;
	return guest == X86_RCX ? H_R15 : guest;
}

#endif
