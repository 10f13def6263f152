/* SPDX-License-Identifier: Apache-2.0 */
/* Spelling of the mnemonics, for traces. */
#include "x86/insn.h"
#include "x86/ops.h"

static const char *const names[X86_NOPS] = {
#include "x86/opnames.inc"
};

const char *x86_op_name(unsigned op)
{
	return op < X86_NOPS ? names[op] : names[X86_OP_INVALID];
}
