/* SPDX-License-Identifier: Apache-2.0 */
/* IN and OUT. */
#include "vmm/engine/bt/interp/interp.h"

#include "base/log.h"
#include "vmm/engine/bt/lockstep/lockstep.h"

static void trace(const struct bt_vcpu *v, const char *what, uint16_t port, unsigned size,
		  uint32_t val)
{
	if (v->vm->trace_exits)
		log_info("vCPU %u: %s port %#x size %u value %#x", v->index, what, port, size, val);
}

uint32_t bt_port_read(struct bt_vcpu *v, uint16_t port, unsigned size)
{
	const struct engine_machine *m = &v->vm->machine;
	uint32_t val;

	bt_watch_port(v, port, size);
	if (bt_is_twin(v))
		return (uint32_t)bt_logged(v, LOG_IN, port, 0);
	v->stat.pio++;
	bt_fpu_leave(v);
	val = m->pio_read(m->opaque, port, size);
	trace(v, "in", port, size, val);
	bt_fpu_enter(v);
	return (uint32_t)bt_logged(v, LOG_IN, port, val);
}

void bt_port_write(struct bt_vcpu *v, uint16_t port, unsigned size, uint32_t val)
{
	const struct engine_machine *m = &v->vm->machine;

	bt_watch_port(v, port, size);
	bt_logged(v, LOG_OUT, port, val);
	if (bt_is_twin(v))
		return;
	v->stat.pio++;
	bt_fpu_leave(v);
	m->pio_write(m->opaque, port, size, val);
	trace(v, "out", port, size, val);
	bt_fpu_enter(v);
}

/* Operand i names the port: DX or an immediate byte. */
static uint16_t port_of(const struct bt_vcpu *v, const struct x86_insn *in, unsigned i)
{
	return in->opnd[i].kind == X86_OPK_IMM ? (uint8_t)in->imm : (uint16_t)v->gpr[X86_RDX];
}

bool bt_op_in(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned size = in->opnd[0].size;
	uint16_t port = port_of(v, in, 1);

	if (!bt_io_allowed(v, port, size))
		return false;
	bt_reg_set(v, X86_RAX, size, bt_port_read(v, port, size));
	return true;
}

bool bt_op_out(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned size = in->opnd[1].size;
	uint16_t port = port_of(v, in, 0);

	if (!bt_io_allowed(v, port, size))
		return false;
	bt_port_write(v, port, size, (uint32_t)bt_reg(v, X86_RAX, size));
	return true;
}
