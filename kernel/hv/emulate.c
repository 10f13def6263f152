/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that touch a device: the one at RIP is decoded (x86/decode.c) and executed here.
 * When the owner has to answer a read, it is told, and the instruction is executed again with the
 * answer; so nothing half-done is kept. Covered are moves, also of vectors, string moves, exchanges
 * and read-modify-write arithmetic.
 */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/fpu.h"
#include "kernel/hv/emulate.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/page.h"
#include "x86/alu.h"
#include "x86/insn.h"
#include "x86/ops.h"

/* Results of a memory access besides 0: */
#define TO_OWNER 1 /* the owner must act before the instruction can go on */
#define FAULTED  2 /* the guest gets an exception instead */

struct emu {
	struct hv_vcpu *v;
	const struct x86_insn *insn;
	uint64_t mem;    /* linear address of the memory operand */
	bool exit_after; /* a write was given to the owner: stop when done */
	bool repeats;    /* REP has more to do: RIP stays */
};

static uint64_t mask_of(unsigned size)
{
	return size >= 8 ? ~0UL : (1UL << size * 8) - 1;
}

/* ---- devices of the kernel ------------------------------------------------------------------- */

static bool in_apic(const struct hv_vcpu *v, uint64_t gpa)
{
	uint64_t base = v->lapic.hw.base;

	/* Enabled, and not in x2APIC mode, where there is no page. */
	return v->vm->has_chips && (base & 0xc00) == 0x800 &&
	       (gpa & PAGE_MASK) == (base & PAGE_MASK);
}

static bool in_ioapic(const struct hv_vm *vm, uint64_t gpa)
{
	return vm->has_chips && (gpa & ~0xffUL) == IOAPIC_BASE;
}

static bool chip_read(struct hv_vcpu *v, uint64_t gpa, uint64_t *val)
{
	if (in_apic(v, gpa)) {
		*val = lapic_read(&v->lapic, (uint32_t)gpa & 0xff0) >> (gpa & 3) * 8;
		return true;
	}
	if (!in_ioapic(v->vm, gpa))
		return false;
	SPIN_GUARD(&v->vm->lock);
	*val = ioapic_hw_read(&v->vm->chips.ioapic, gpa & 0xf0);
	return true;
}

static bool chip_write(struct hv_vcpu *v, uint64_t gpa, uint64_t val)
{
	if (in_apic(v, gpa)) {
		if (!(gpa & 15))
			lapic_write(&v->lapic, (uint32_t)gpa & 0xff0, (uint32_t)val);
		return true;
	}
	if (!in_ioapic(v->vm, gpa))
		return false;
	SPIN_GUARD(&v->vm->lock);
	ioapic_hw_write(&v->vm->chips.ioapic, gpa & 0xf0, (uint32_t)val, &v->vm->chips.ioapic_out);
	return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int translate(struct hv_vcpu *v, uint64_t linear, bool write, uint64_t *gpa)
{
	uint32_t error;

	/*
	 * The access that the processor could not do itself, which it has translated; of MOVS it
	 * may be either.
	 */
	if (v->mmio.gpa_known && !((v->io.gpa ^ linear) & (PAGE_SIZE - 1)) &&
	    v->mmio.insn.op != X86_OP_MOVS) {
		*gpa = v->io.gpa;
		return 0;
	}
	if (!walk_guest(v, linear, write, gpa, &error))
		return 0;
	vcpu_state_to_cpu(v);
	v->s.cr2 = linear;
	vcpu_inject_exception(v, VECTOR_PF, true, error);
	return FAULTED;
}

/* Of the owner's accesses that this instruction makes: has it done the next one? */
static bool owner_did(struct hv_mmio *m, uint64_t *val)
{
	if (m->next == m->answered)
		return false;
	*val = m->answer[m->next++];
	return true;
}

static int tell_owner(struct hv_vcpu *v, uint64_t gpa, unsigned size, bool write, uint64_t val)
{
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = gpa;
	v->run->mmio.len = size;
	v->run->mmio.is_write = write;
	memcpy(v->run->mmio.data, &val, 8);
	return TO_OWNER;
}

static int read_part(struct hv_vcpu *v, uint64_t gpa, unsigned size, uint64_t *val)
{
	if (vm_find_slot(v->vm, gpa))
		return guest_read(v->vm, gpa, val, size);
	if (chip_read(v, gpa, val) || owner_did(&v->mmio, val))
		return 0;
	return tell_owner(v, gpa, size, false, 0);
}

static int write_part(struct hv_vcpu *v, uint64_t gpa, unsigned size, uint64_t val)
{
	const struct hv_slot *s = vm_find_slot(v->vm, gpa);
	uint64_t unused;

	if (s && !(s->flags & KVM_MEM_READONLY))
		return guest_write(v->vm, gpa, &val, size);
	if (!s && chip_write(v, gpa, val))
		return 0;
	if (owner_did(&v->mmio, &unused) ||
	    (!s && ioevent_signal(v->vm, false, gpa, size, val & mask_of(size))))
		return 0;
	return tell_owner(v, gpa, size, true, val);
}

/* In parts of at most eight bytes within a page. `last`: nothing comes after it. */
static int access(struct hv_vcpu *v, uint64_t linear, unsigned size, bool write, void *data,
		  bool *last)
{
	unsigned room = PAGE_SIZE - (linear & (PAGE_SIZE - 1)), part;
	uint64_t gpa, val = 0;
	/* All of it must be there before a part is touched. */
	int rc = room < size ? translate(v, linear + size - 1, write, &gpa) : 0;

	for (unsigned at = 0; at < size && !rc; at += part, room -= part) {
		room = room ? room : PAGE_SIZE;
		part = MIN(MIN(size - at, 8), room);
		rc = translate(v, linear + at, write, &gpa);
		if (write)
			memcpy(&val, (char *)data + at, part);
		if (!rc)
			rc = write ? write_part(v, gpa, part, val) : read_part(v, gpa, part, &val);
		if (rc == TO_OWNER && last && at + part == size) {
			*last = true; /* the instruction need not come back */
			return 0;
		}
		if (!write)
			memcpy((char *)data + at, &val, part);
	}
	if (rc == TO_OWNER)
		v->pending = PENDING_MMIO;
	return rc;
}

static int read(struct hv_vcpu *v, uint64_t linear, unsigned size, uint64_t *val)
{
	*val = 0;
	return size > sizeof(*val) ? -EINVAL : access(v, linear, size, false, val, NULL);
}

/* A write to a device of the owner sets *exit_after. */
static int write(struct hv_vcpu *v, uint64_t linear, unsigned size, uint64_t val, bool *exit_after)
{
	return size > sizeof(val) ? -EINVAL : access(v, linear, size, true, &val, exit_after);
}

/* ---- decoding -------------------------------------------------------------------------------- */

static enum x86_mode mode_of(const struct x86_cpu_state *s)
{
	if (s->efer & 1 << 10 && s->seg[X86_CS].attr & X86_ATTR_L)
		return X86_MODE_64;
	return s->seg[X86_CS].attr & X86_ATTR_DB ? X86_MODE_32 : X86_MODE_16;
}

static int fetch(struct hv_vcpu *v, uint8_t code[X86_MAX_INSN_LEN], size_t *len)
{
	uint64_t at = v->s.seg[X86_CS].base + v->s.rip, gpa;
	uint32_t error;
	size_t part;

	if (mode_of(&v->s) == X86_MODE_64)
		at = v->s.rip;
	/* What is not there may not belong to the instruction: the decoder tells. */
	for (*len = 0; *len < X86_MAX_INSN_LEN; *len += part) {
		part = MIN(X86_MAX_INSN_LEN - *len, PAGE_SIZE - ((at + *len) & (PAGE_SIZE - 1)));
		if (walk_guest(v, at + *len, false, &gpa, &error))
			break;
		if (guest_read(v->vm, gpa, code + *len, part))
			memset(code + *len, 0xff, part); /* no memory */
	}
	return *len ? 0 : -EFAULT;
}

int emu_decode(struct hv_vcpu *v)
{
	struct x86_insn *insn = &v->mmio.insn;
	enum x86_mode mode = mode_of(&v->s);
	uint8_t code[X86_MAX_INSN_LEN];
	size_t len;
	int rc;

	if (fetch(v, code, &len))
		return -EINVAL;
	/* Drivers wait in loops: often it is the one before. */
	if (insn->len && insn->len <= len && insn->mode == mode &&
	    !memcmp(code, v->mmio.code, insn->len))
		return 0;
	memcpy(v->mmio.code, code, len);
	rc = x86_decode(code, len, mode, insn);
	if (rc != X86_DECODE_UNDEFINED)
		return rc < 0 ? -EINVAL : 0;
	vcpu_inject_exception(v, VECTOR_UD, false, 0);
	return FAULTED;
}

static uint64_t segment_base(const struct hv_vcpu *v, unsigned seg)
{
	if (mode_of(&v->s) == X86_MODE_64 && seg != X86_FS && seg != X86_GS)
		return 0;
	return v->s.seg[seg].base;
}

static uint64_t address(const struct hv_vcpu *v, const struct x86_insn *i)
{
	uint64_t a = (uint64_t)i->mem.disp;

	if (i->mem.base == X86_REG_RIP)
		a += v->s.rip + i->len;
	else if (i->mem.base != X86_REG_NONE)
		a += v->s.gpr[i->mem.base];
	if (i->mem.index != X86_REG_NONE)
		a += v->s.gpr[i->mem.index] * i->mem.scale;
	return segment_base(v, i->mem.seg) + (a & mask_of(i->addrsize));
}

/* ---- registers ------------------------------------------------------------------------------- */

static uint64_t reg_get(const struct hv_vcpu *v, const struct x86_operand *o)
{
	if (o->reg >= 16) /* AH, CH, DH, BH */
		return v->s.gpr[o->reg - 16] >> 8 & 0xff;
	return v->s.gpr[o->reg] & mask_of(o->size);
}

void emu_set_gpr(struct hv_vcpu *v, unsigned reg, unsigned size, uint64_t val)
{
	uint64_t *r = &v->s.gpr[reg], m = mask_of(size);

	*r = size >= 4 ? val & m : (*r & ~m) | (val & m);
}

static void reg_set(struct hv_vcpu *v, const struct x86_operand *o, uint64_t val)
{
	uint64_t *r = &v->s.gpr[o->reg & 15];

	if (o->reg >= 16)
		*r = (*r & ~0xff00UL) | (val & 0xff) << 8;
	else
		emu_set_gpr(v, o->reg, o->size, val);
}

static int get(struct emu *e, const struct x86_operand *o, uint64_t *val)
{
	if (o->kind == X86_OPK_MEM)
		return read(e->v, e->mem, o->size, val);
	*val = o->kind == X86_OPK_GPR ? reg_get(e->v, o) : e->insn->imm;
	return 0;
}

static int put(struct emu *e, const struct x86_operand *o, uint64_t val)
{
	if (o->kind == X86_OPK_MEM)
		return write(e->v, e->mem, o->size, val, &e->exit_after);
	reg_set(e->v, o, val);
	return 0;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

X86_ALU(alu_add, "add")
X86_ALU(alu_adc, "adc")
X86_ALU(alu_sub, "sub")
X86_ALU(alu_sbb, "sbb")
X86_ALU(alu_and, "and")
X86_ALU(alu_or, "or")
X86_ALU(alu_xor, "xor")
X86_ALU(alu_cmp, "cmp")
X86_ALU(alu_test, "test")
X86_ALU_UNARY(alu_inc, "inc")
X86_ALU_UNARY(alu_dec, "dec")
X86_ALU_UNARY(alu_neg, "neg")
X86_ALU_UNARY(alu_not, "not")
X86_ALU_BIT(alu_bt, "bt")
X86_ALU_BIT(alu_bts, "bts")
X86_ALU_BIT(alu_btr, "btr")
X86_ALU_BIT(alu_btc, "btc")

static const struct operation {
	uint16_t op;
	bool only_flags; /* no result goes back */
	x86_alu *compute;
} operations[] = {
	{X86_OP_ADD, false, alu_add}, {X86_OP_ADC, false, alu_adc}, {X86_OP_SUB, false, alu_sub},
	{X86_OP_SBB, false, alu_sbb}, {X86_OP_AND, false, alu_and}, {X86_OP_OR, false, alu_or},
	{X86_OP_XOR, false, alu_xor}, {X86_OP_CMP, true, alu_cmp},  {X86_OP_TEST, true, alu_test},
	{X86_OP_INC, false, alu_inc}, {X86_OP_DEC, false, alu_dec}, {X86_OP_NEG, false, alu_neg},
	{X86_OP_NOT, false, alu_not}, {X86_OP_BT, true, alu_bt},    {X86_OP_BTS, false, alu_bts},
	{X86_OP_BTR, false, alu_btr}, {X86_OP_BTC, false, alu_btc},
};

static int arithmetic(struct emu *e)
{
	const struct x86_operand *dst = &e->insn->opnd[0], *src = &e->insn->opnd[1];
	const struct operation *o = ARRAY_FIND(const struct operation, i, operations,
					       ARRAY_SIZE(operations), i->op == e->insn->op);
	uint64_t a, b = 0, flags;
	int rc = o ? get(e, dst, &a) : -EINVAL;

	if (!rc && e->insn->nops > 1)
		rc = get(e, src, &b);
	if (rc)
		return rc;
	vcpu_state_to_cpu(e->v); /* flags change */
	flags = e->v->s.rflags;
	a = o->compute(dst->size, a, b, &flags);
	rc = o->only_flags ? 0 : put(e, dst, a);
	if (!rc)
		e->v->s.rflags = flags;
	return rc;
}

/* ---- moves ----------------------------------------------------------------------------------- */

static int move(struct emu *e)
{
	const struct x86_operand *dst = &e->insn->opnd[0], *src = &e->insn->opnd[1];
	uint64_t val;
	int rc = get(e, src, &val);

	if (rc)
		return rc;
	if (e->insn->op == X86_OP_MOVSX || e->insn->op == X86_OP_MOVSXD) {
		unsigned shift = 64 - src->size * 8;

		val = (uint64_t)((int64_t)(val << shift) >> shift);
	}
	return put(e, dst, val);
}

/* MOVUPS, MOVAPS, MOVNTPS, MOVDQA, MOVDQU, MOVNTDQ and the like, also with VEX. */
static bool moves_vector(const struct x86_insn *i)
{
	static const uint8_t opcodes[] = {0x10, 0x11, 0x28, 0x29, 0x2b, 0x6f, 0x7f, 0xe7};

	for (unsigned n = 0; n < sizeof(opcodes) && i->map == X86_MAP_0F && !i->is_evex; n++) {
		if (i->opcode == opcodes[n])
			return i->opnd[0].size >= 16 && i->opnd[0].size == i->opnd[1].size;
	}
	return false;
}

static int move_vector(struct emu *e)
{
	const struct x86_operand *dst = &e->insn->opnd[0], *src = &e->insn->opnd[1];
	uint8_t data[FPU_VECTOR_SIZE] = {0};
	int rc;

	vcpu_put_fpu(e->v);
	if (dst->kind == X86_OPK_MEM) {
		fpu_get_vector(e->v->guest_fpu, src->reg, data, src->size);
		return access(e->v, e->mem, dst->size, true, data, &e->exit_after);
	}
	rc = access(e->v, e->mem, src->size, false, data, NULL);
	if (!rc)
		fpu_set_vector(e->v->guest_fpu, dst->reg, data,
			       e->insn->prefixes & X86_PFX_VEX ? sizeof(data) : src->size);
	return rc;
}

static int exchange(struct emu *e)
{
	const struct x86_operand *a = &e->insn->opnd[0], *b = &e->insn->opnd[1];
	const struct x86_operand *mem = a->kind == X86_OPK_MEM ? a : b, *reg = mem == a ? b : a;
	uint64_t old, new = reg_get(e->v, reg), flags;
	int rc = get(e, mem, &old);

	if (rc)
		return rc;
	vcpu_state_to_cpu(e->v); /* flags change */
	flags = e->v->s.rflags;
	if (e->insn->op == X86_OP_XADD)
		new = alu_add(mem->size, old, new, &flags);
	rc = put(e, mem, new);
	if (rc)
		return rc;
	reg_set(e->v, reg, old);
	e->v->s.rflags = flags;
	return 0;
}

/* One step of a string instruction. */
static uint64_t string_address(const struct hv_vcpu *v, unsigned reg, unsigned seg)
{
	return segment_base(v, seg) + (v->s.gpr[reg] & mask_of(v->mmio.insn.addrsize));
}

/* RSI or RDI after it. */
static void advance(struct hv_vcpu *v, unsigned reg, unsigned size)
{
	uint64_t step = v->s.rflags & RFLAGS_DF ? 0UL - size : size;

	emu_set_gpr(v, reg, v->mmio.insn.addrsize, v->s.gpr[reg] + step);
}

/* RCX after it: true if more are to come. */
static bool repeat(struct hv_vcpu *v)
{
	const struct x86_insn *i = &v->mmio.insn;

	if (!(i->prefixes & (X86_PFX_REP | X86_PFX_REPN)))
		return false;
	emu_set_gpr(v, X86_RCX, i->addrsize, v->s.gpr[X86_RCX] - 1);
	return v->s.gpr[X86_RCX] & mask_of(i->addrsize);
}

static int string(struct emu *e)
{
	bool from_memory = e->insn->op != X86_OP_STOS, to_memory = e->insn->op != X86_OP_LODS;
	unsigned size = e->insn->opnd[0].size;
	uint64_t val = e->v->s.gpr[X86_RAX] & mask_of(size);
	int rc = 0;

	if (from_memory)
		rc = read(e->v, string_address(e->v, X86_RSI, e->insn->mem.seg), size, &val);
	if (!rc && to_memory)
		rc = write(e->v, string_address(e->v, X86_RDI, X86_ES), size, val, &e->exit_after);
	if (rc)
		return rc;
	if (!to_memory)
		emu_set_gpr(e->v, X86_RAX, size, val);
	if (from_memory)
		advance(e->v, X86_RSI, size);
	if (to_memory)
		advance(e->v, X86_RDI, size);
	e->repeats = repeat(e->v);
	return 0;
}

/* ---- one instruction ------------------------------------------------------------------------- */

static int execute(struct emu *e)
{
	switch (e->insn->op) {
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_MOVSXD:
	case X86_OP_MOVNTI:
		return move(e);
	case X86_OP_XCHG:
	case X86_OP_XADD:
		return exchange(e);
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_LODS:
		return string(e);
	}
	return moves_vector(e->insn) ? move_vector(e) : arithmetic(e);
}

int emu_failed(struct hv_vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	v->run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	v->run->internal.ndata = 0;
	return 1;
}

/* An instruction is looked at for the first time: what the processor has of it. */
static int begin(struct hv_vcpu *v)
{
	if (v->in_hardware)
		v->vm->ops->peek(v);
	return emu_decode(v);
}

int emulate_mmio(struct hv_vcpu *v)
{
	struct emu e = {.v = v, .insn = &v->mmio.insn};
	int rc = v->mmio.decoded ? 0 : begin(v);

	v->mmio.decoded = true;
	v->mmio.next = 0;
	if (!rc) {
		e.mem = address(v, e.insn);
		rc = execute(&e);
	}
	if (rc == TO_OWNER)
		return 1;
	if (rc == FAULTED)
		return 0;
	if (rc)
		return emu_failed(v);
	vcpu_skip(v, v->s.rip + (e.repeats ? 0 : e.insn->len));
	return e.exit_after;
}

/* INS and OUTS, one element an exit. */
int emulate_string_io(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	uint64_t val = 0, at;
	bool again = owner_did(&v->mmio, &val), exit_after = false;
	const struct x86_insn *insn = &v->mmio.insn;
	unsigned reg = x->in ? X86_RDI : X86_RSI;
	int rc;

	if (begin(v))
		return emu_failed(v);
	if (x->rep && !(v->s.gpr[X86_RCX] & mask_of(insn->addrsize))) {
		vcpu_skip(v, v->s.rip + insn->len);
		return 0;
	}
	at = string_address(v, reg, x->in ? X86_ES : insn->mem.seg);
	if (x->in && !again) {
		v->pending = PENDING_STRING_IN;
		return port_to_owner(v, x, 0);
	}
	rc = x->in ? write(v, at, x->size, val, &exit_after) : read(v, at, x->size, &val);
	if (rc == FAULTED)
		return 0;
	if (rc || exit_after)
		return emu_failed(v); /* from or to a device's memory */
	advance(v, reg, x->size);
	vcpu_skip(v, v->s.rip + (x->rep && repeat(v) ? 0 : insn->len));
	return x->in ? 0 : port_to_owner(v, x, val);
}
