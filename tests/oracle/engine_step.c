/* SPDX-License-Identifier: Apache-2.0 */
/* One instruction through the interpreter. Compiled without vector registers, as the engine is. */
#include "tests/oracle/engine.h"

#include "vmm/engine/bt/fpu.h"

#define NO_FAULT   0xff
#define MAX_ROUNDS 10000 /* a repeated string instruction may stop in between */

static void step(struct bt_vcpu *v, const uint8_t *code, unsigned len)
{
	uint64_t start = v->rip;
	struct x86_insn in;

	if (x86_decode(code, len, X86_MODE_64, &in) <= 0) {
		bt_raise(v, EXC_UD);
		return;
	}
	for (unsigned i = 0; i < MAX_ROUNDS; i++) {
		if (!bt_interpret(v, &in))
			return;
		if (in.desc->cls != X86_CLS_STRING || v->rip != start)
			break;
	}
	v->fault.vector = NO_FAULT;
}

void oracle_interpret(struct bt_vcpu *v, const uint8_t *code, unsigned len)
{
	bt_fpu_enter(v);
	step(v, code, len);
	bt_fpu_leave(v);
}
