/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer target: the decoder reads only what it is given and keeps its promises about the
 * result. */
#include <stdlib.h>
#include <string.h>

#include "x86/insn.h"
#include "x86/ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_valid(const struct x86_insn *in, int len, size_t size)
{
	require(len <= X86_MAX_INSN_LEN && (size_t)len <= size && in->len == len);
	require(in->op != X86_OP_INVALID && in->op < X86_NOPS && in->op == in->desc->op);
	require(in->nops <= X86_MAX_OPERANDS);
	require(in->opcode_off < len && in->modrm_off < len);
	require(in->disp_off + in->disp_len <= len && in->imm_off + in->imm_len <= len);
}

/* The first byte chooses the mode. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x86_insn in;
	uint8_t *exact;
	int len;

	if (size < 1)
		return 0;
	exact = malloc(size - 1);
	if (!exact)
		return 0;
	memcpy(exact, data + 1, size - 1);
	len = x86_decode(exact, size - 1, data[0] % 3, &in);
	if (len > 0)
		check_valid(&in, len, size - 1);
	else
		require(len >= X86_DECODE_TOO_LONG && len < 0);
	free(exact);
	return 0;
}
