/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX-512 instructions with a mask whose memory operand crosses pages, is not all there or belongs
 * to a device. Elements that the mask leaves out do not fault (Intel SDM volume 1 section 15.6.4),
 * and which bytes belong to an element depends on the instruction. So the host's processor decides:
 * the operand is laid out at the edge of a page of memory in the same way as in the guest.
 */
#include <string.h>

#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/vector.h"

/* The operand: the part in its first page, and the rest. */
struct operand {
	gva_t gva;
	unsigned size, first;
	bool present[2];
	uint8_t *at; /* in or beside the fence's page */
};

static unsigned part_start(const struct operand *o, unsigned part)
{
	return part ? o->first : 0;
}

static unsigned part_size(const struct operand *o, unsigned part)
{
	return part ? o->size - o->first : o->first;
}

/* Present: the bytes can be accessed, be it through the bus. */
static bool is_present(struct bt_vcpu *v, gva_t gva, unsigned size, bool write)
{
	return bt_host(v, gva, size, write ? BT_WRITE : BT_READ) || v->fault.vector == BT_NO_FAULT;
}

static void lay_out(struct bt_vcpu *v, struct operand *o, bool write)
{
	uint8_t *page = vector_fence(v);
	unsigned left = (unsigned)(BT_PAGE - (o->gva & ~BT_PAGE_MASK));

	o->first = o->size < left ? o->size : left;
	o->present[0] = is_present(v, o->gva, o->first, write);
	o->present[1] =
		o->first == o->size || is_present(v, o->gva + o->first, o->size - o->first, write);
	/* Alignment stays as it is: at a page's edge it does by itself. */
	if (o->present[0] && o->present[1])
		o->at = page + (o->gva & 63);
	else if (o->present[0])
		o->at = page + BT_PAGE - o->first;
	else if (o->present[1] && o->first < o->size)
		o->at = page - o->first;
	else
		o->at = page + BT_PAGE + (o->gva & 63);
}

/* The instruction met a missing page: its fault is the guest's, at the same distance. */
static bool fault_in_guest(struct bt_vcpu *v, const struct operand *o, bool write)
{
	gva_t gva = o->gva + (vector_fault_address(v) - (uint64_t)(uintptr_t)o->at);
	uint8_t byte;

	if (v->fault.vector != EXC_PF)
		return false;
	return write ? vector_probe_write(v, gva, 1) : bt_read(v, gva, &byte, 1);
}

static bool load(struct bt_vcpu *v, const struct x86_insn *in, struct operand *o)
{
	for (unsigned i = 0; i < 2; i++)
		if (o->present[i] && part_size(o, i) &&
		    !bt_read(v, o->gva + part_start(o, i), o->at + part_start(o, i),
			     part_size(o, i)))
			return false;
	return vector_run(v, in, o->at) || fault_in_guest(v, o, false);
}

static void fill(const struct operand *o, uint8_t byte)
{
	for (unsigned i = 0; i < 2; i++)
		if (o->present[i])
			memset(o->at + part_start(o, i), byte, part_size(o, i));
}

/* Two runs over different bytes tell which of them the instruction writes. */
static bool store(struct bt_vcpu *v, const struct x86_insn *in, struct operand *o)
{
	uint8_t once[VECTOR_SIZE];

	fill(o, 0);
	if (!vector_run(v, in, o->at))
		return fault_in_guest(v, o, true);
	for (unsigned i = 0; i < o->size; i++)
		once[i] = o->present[i >= o->first] ? o->at[i] : 0;
	fill(o, 0xff);
	if (!vector_run(v, in, o->at))
		return false;
	for (unsigned i = 0; i < o->size; i++)
		if (o->present[i >= o->first] && o->at[i] == once[i] &&
		    !bt_write(v, o->gva + i, &once[i], 1))
			return false;
	return true;
}

bool vector_masked(struct bt_vcpu *v, const struct x86_insn *in, const struct x86_operand *m,
		   gva_t gva)
{
	struct operand o = {.gva = gva, .size = m->size};
	bool write = m->access & X86_ACC_WRITE;

	lay_out(v, &o, write);
	return (write ? store : load)(v, in, &o);
}

bool vector_masked_nowhere(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_fault reason = v->fault;
	uint8_t *absent = vector_fence(v) + BT_PAGE + (bt_effective(v, in) & 63);

	if (vector_run(v, in, absent))
		return true;
	if (v->fault.vector == EXC_PF)
		v->fault = reason;
	return false;
}
