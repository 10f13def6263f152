/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions through the interpreter. Compiled without vector registers, as the engine is. */
#include "tests/oracle/engine.h"

#include "vmm/engine/bt/fpu.h"

#define NO_FAULT   0xff
#define MAX_ROUNDS 1000000 /* a repeated string instruction may stop in between; loops */

/* One instruction, all rounds of it; false: it raised something. */
static bool step(struct bt_vcpu *v, enum x86_mode mode, const uint8_t *code, unsigned len)
{
	uint64_t start = v->rip;
	struct x86_insn in;

	if (x86_decode(code, len, mode, &in) <= 0)
		return bt_raise(v, EXC_UD);
	for (unsigned i = 0; i < MAX_ROUNDS; i++) {
		if (!bt_interpret(v, &in))
			return false;
		if (in.desc->cls != X86_CLS_STRING || v->rip != start)
			break;
	}
	return true;
}

void oracle_interpret(struct bt_vcpu *v, enum x86_mode mode, const uint8_t *code, unsigned len)
{
	uint64_t start = v->rip;
	bool ok = true;

	bt_fpu_enter(v);
	for (unsigned n = 0; ok && v->rip - start < len && n < MAX_ROUNDS; n++)
		ok = step(v, mode, code + (v->rip - start), len - (unsigned)(v->rip - start));
	if (ok)
		v->fault.vector = NO_FAULT;
	bt_fpu_leave(v);
}
