/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What instruction handlers are made of: operands, flags, stack. A handler finds v->next_rip
 * behind its instruction and changes it to jump; it returns false with v->fault set, and nothing
 * committed, to raise an exception.
 */
#ifndef VMM_ENGINE_BT_INTERP_INTERP_H
#define VMM_ENGINE_BT_INTERP_INTERP_H

#include "vmm/engine/bt/seg.h"
#include "x86/alu.h"
#include "x86/ops.h"

#define FL_STATUS (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* Handlers by mnemonic: one row each, H(op, function). */
/* clang-format off */
#define BT_HANDLERS(H)                                                                          \
	H(ADD, add) H(OR, or) H(ADC, adc) H(SBB, sbb) H(AND, and) H(SUB, sub) H(XOR, xor)       \
	H(CMP, cmp) H(TEST, test) H(INC, inc) H(DEC, dec) H(NOT, not) H(NEG, neg)               \
	H(XADD, xadd) H(XCHG, xchg) H(CMPXCHG, cmpxchg) H(CMPXCHG8B, cmpxchg8b) H(DAA, daa)     \
	H(DAS, das) H(AAA, aaa) H(AAS, aas) H(AAM, aam) H(AAD, aad) H(SALC, salc)               \
	H(ADCX, adcx) H(ADOX, adox) H(ROL, rol) H(ROR, ror) H(RCL, rcl) H(RCR, rcr)             \
	H(SHL, shl) H(SHR, shr) H(SAR, sar) H(SHLD, shld) H(SHRD, shrd) H(SHLX, shlx)           \
	H(SHRX, shrx) H(SARX, sarx) H(RORX, rorx) H(MUL, mul) H(IMUL, imul) H(DIV, div)         \
	H(IDIV, idiv) H(MULX, mulx) H(MOV, mov) H(MOVZX, movzx) H(MOVSX, movsx)                 \
	H(MOVSXD, movsx) H(LEA, lea) H(CBW, cbw) H(CWD, cwd) H(SAHF, sahf) H(LAHF, lahf)        \
	H(XLAT, xlat) H(CMC, cmc) H(CLC, clc) H(STC, stc) H(CLD, cld) H(STD, std)               \
	H(CMOVCC, cmovcc) H(SETCC, setcc) H(BSWAP, bswap) H(MOVNTI, mov) H(MOVBE, movbe)        \
	H(NOP, nop) H(PAUSE, pause) H(PREFETCH, nop) H(PREFETCHW, nop) H(PREFETCHNTA, nop)        \
	H(PREFETCHT0, nop) H(PREFETCHT1, nop) H(PREFETCHT2, nop) H(LFENCE, fence)               \
	H(MFENCE, fence) H(SFENCE, fence) H(CLFLUSH, clflush) H(CLFLUSHOPT, clflush)            \
	H(CLWB, clflush) H(BOUND, bound) H(PUSH, push) H(POP, pop) H(PUSHA, pusha)              \
	H(POPA, popa) H(PUSHF, pushf) H(POPF, popf) H(ENTER, enter) H(LEAVE, leave) H(BT, bt)   \
	H(BTS, bts) H(BTR, btr) H(BTC, btc) H(BSF, bsf) H(BSR, bsr) H(TZCNT, tzcnt)             \
	H(LZCNT, lzcnt) H(POPCNT, popcnt) H(ANDN, andn) H(BLSR, blsr) H(BLSMSK, blsmsk)         \
	H(BLSI, blsi) H(BEXTR, bextr) H(BZHI, bzhi) H(PEXT, pext) H(PDEP, pdep)                 \
	H(CRC32, crc32) H(JCC, jcc) H(LOOPNE, loop) H(LOOPE, loop) H(LOOP, loop)                \
	H(JRCXZ, jrcxz) H(CALL, call) H(JMP, jmp) H(CALLF, callf) H(JMPF, jmpf)                 \
	H(CALL_IND, call_ind) H(JMP_IND, jmp_ind) H(RET, ret) H(RETF, retf) H(INT3, int3)       \
	H(INT, int) H(INTO, into) H(INT1, int1) H(IRET, iret) H(SYSCALL, syscall)               \
	H(SYSRET, sysret) H(SYSENTER, sysenter) H(SYSEXIT, sysexit) H(INS, ins) H(OUTS, outs)   \
	H(MOVS, movs) H(CMPS, cmps) H(STOS, stos) H(LODS, lods) H(SCAS, scas) H(ARPL, arpl)     \
	H(MOV_SEG, mov_seg) H(LES, les) H(LDS, lds) H(LSS, lss) H(LFS, lfs) H(LGS, lgs)         \
	H(SLDT, sldt) H(STR, str) H(LLDT, lldt) H(LTR, ltr) H(VERR, verr) H(VERW, verw)         \
	H(LAR, lar) H(LSL, lsl) H(SGDT, sgdt) H(SIDT, sidt) H(LGDT, lgdt) H(LIDT, lidt)         \
	H(SWAPGS, swapgs) H(RDFSBASE, rdfsbase) H(RDGSBASE, rdgsbase) H(WRFSBASE, wrfsbase)     \
	H(WRGSBASE, wrgsbase) H(IN, in) H(OUT, out) H(HLT, hlt) H(CLI, cli) H(STI, sti)         \
	H(SMSW, smsw) H(LMSW, lmsw) H(INVLPG, invlpg) H(MONITOR, monitor) H(MWAIT, mwait)       \
	H(CLAC, clac) H(STAC, stac) H(XGETBV, xgetbv) H(XSETBV, xsetbv) H(RDTSCP, rdtscp)       \
	H(CLTS, clts) H(INVD, wbinvd) H(WBINVD, wbinvd) H(MOV_CR, mov_cr) H(MOV_DR, mov_dr)     \
	H(WRMSR, wrmsr) H(RDTSC, rdtsc) H(RDMSR, rdmsr) H(RDPMC, rdpmc) H(CPUID, cpuid)         \
	H(RDRAND, rdrand) H(RDSEED, rdseed) H(RDPID, rdpid) H(INVPCID, invpcid)                 \
	H(CLZERO, clzero) H(VMMCALL, hypercall)
/* clang-format on */

#define H(op, name) bt_handler bt_op_##name;
BT_HANDLERS(H)
#undef H

/* ---- registers ------------------------------------------------------------------------------- */

ALWAYS_INLINE uint64_t bt_reg(const struct bt_vcpu *v, unsigned reg, unsigned size)
{
	switch (size) {
	case 1:
		return reg < X86_NGPR ? (uint8_t)v->gpr[reg] : (uint8_t)(v->gpr[reg - 16] >> 8);
	case 2:
		return (uint16_t)v->gpr[reg];
	case 4:
		return (uint32_t)v->gpr[reg];
	default:
		return v->gpr[reg];
	}
}

ALWAYS_INLINE void bt_reg_set(struct bt_vcpu *v, unsigned reg, unsigned size, uint64_t val)
{
	switch (size) {
	case 1:
		if (reg < X86_NGPR)
			v->gpr[reg] = (v->gpr[reg] & ~0xffull) | (val & 0xff);
		else
			v->gpr[reg - 16] = (v->gpr[reg - 16] & ~0xff00ull) | (val & 0xff) << 8;
		break;
	case 2:
		v->gpr[reg] = (v->gpr[reg] & ~0xffffull) | (val & 0xffff);
		break;
	case 4:
		v->gpr[reg] = (uint32_t)val;
		break;
	default:
		v->gpr[reg] = val;
	}
}

/* ---- memory operand -------------------------------------------------------------------------- */

/* Offset in its segment, wrapped to the address size. */
ALWAYS_INLINE uint64_t bt_offset(const struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t off = (uint64_t)in->mem.disp;

	if (in->mem.base == X86_REG_RIP)
		off += v->next_rip;
	else if (in->mem.base != X86_REG_NONE)
		off += v->gpr[in->mem.base];
	if (in->mem.index != X86_REG_NONE)
		off += v->gpr[in->mem.index] * in->mem.scale;
	if (in->addrsize == 8)
		return off;
	return in->addrsize == 4 ? (uint32_t)off : (uint16_t)off;
}

ALWAYS_INLINE bool bt_operand_linear(struct bt_vcpu *v, const struct x86_insn *in, unsigned size,
				     enum bt_access a, gva_t *out)
{
	unsigned seg = in->mem.seg;

	if ((v->mode & BT_MODE_CODE64) && seg < X86_FS) {
		*out = bt_offset(v, in);
		if (__builtin_expect(bt_canonical(*out) && bt_canonical(*out + size - 1), 1))
			return true;
	}
	return bt_seg_linear(v, seg, bt_offset(v, in), size, a, out);
}

/* Reads operand i: register, immediate or memory. */
ALWAYS_INLINE bool bt_get(struct bt_vcpu *v, const struct x86_insn *in, unsigned i, uint64_t *val)
{
	const struct x86_operand *o = &in->opnd[i];
	gva_t gva;

	if (o->kind == X86_OPK_GPR) {
		*val = bt_reg(v, o->reg, o->size);
		return true;
	}
	if (o->kind == X86_OPK_IMM) {
		*val = in->imm;
		return true;
	}
	return bt_operand_linear(v, in, o->size, BT_READ, &gva) && bt_load(v, gva, o->size, val);
}

/* Writes operand i: register or memory. */
ALWAYS_INLINE bool bt_put(struct bt_vcpu *v, const struct x86_insn *in, unsigned i, uint64_t val)
{
	const struct x86_operand *o = &in->opnd[i];
	gva_t gva;

	if (o->kind == X86_OPK_GPR) {
		bt_reg_set(v, o->reg, o->size, val);
		return true;
	}
	return bt_operand_linear(v, in, o->size, BT_WRITE, &gva) && bt_store(v, gva, o->size, val);
}

/* ---- flags ------------------------------------------------------------------------------------
 */

ALWAYS_INLINE bool bt_condition(uint64_t fl, unsigned cc)
{
	bool yes;

	switch (cc >> 1 & 7) {
	case 0:
		yes = fl & FL_OF;
		break;
	case 1:
		yes = fl & FL_CF;
		break;
	case 2:
		yes = fl & FL_ZF;
		break;
	case 3:
		yes = fl & (FL_CF | FL_ZF);
		break;
	case 4:
		yes = fl & FL_SF;
		break;
	case 5:
		yes = fl & FL_PF;
		break;
	case 6:
		yes = ((fl >> 4) ^ fl) & FL_SF;
		break;
	default:
		yes = (((fl >> 4) ^ fl) & FL_SF) || (fl & FL_ZF);
	}
	return yes ^ (cc & 1);
}

/* ---- read, modify, write (rmw.c) ------------------------------------------------------------- */

/*
 * Memory operand = fn(memory operand, s), with LOCK as one atomic step. *old receives what was
 * there. Flags are committed only if nothing faults.
 */
bool bt_rmw_at(struct bt_vcpu *v, gva_t gva, unsigned size, bool lock, x86_alu *fn, uint64_t s,
	       uint64_t *old);

/* fn(operand 0, s) into operand 0. */
ALWAYS_INLINE bool bt_modify(struct bt_vcpu *v, const struct x86_insn *in, x86_alu *fn, uint64_t s)
{
	const struct x86_operand *o = &in->opnd[0];
	gva_t gva;
	uint64_t old;

	if (o->kind == X86_OPK_GPR) {
		bt_reg_set(v, o->reg, o->size,
			   fn(o->size, bt_reg(v, o->reg, o->size), s, &v->rflags));
		return true;
	}
	return bt_operand_linear(v, in, o->size, BT_RMW, &gva) &&
	       bt_rmw_at(v, gva, o->size, in->prefixes & X86_PFX_LOCK, fn, s, &old);
}

/* ---- jumps ----------------------------------------------------------------------------------- */

/* Near jump: checks the target and makes it next_rip. */
ALWAYS_INLINE bool bt_jump(struct bt_vcpu *v, uint64_t target)
{
	if (v->mode & BT_MODE_CODE64) {
		if (!bt_canonical(target))
			return bt_raise_error(v, EXC_GP, 0);
	} else if (target > v->seg[X86_CS].limit) {
		return bt_raise_error(v, EXC_GP, 0);
	}
	v->next_rip = target;
	return true;
}

/* Target of a relative branch, wrapped to the operand size. */
ALWAYS_INLINE uint64_t bt_relative(const struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t target = v->next_rip + in->imm;

	if (in->opsize == 8)
		return target;
	return in->opsize == 4 ? (uint32_t)target : (uint16_t)target;
}

/* ---- MSRs (msr.c) ---------------------------------------------------------------------------- */
bool bt_msr_read(struct bt_vcpu *v, uint32_t msr, uint64_t *val);
bool bt_msr_write(struct bt_vcpu *v, uint32_t msr, uint64_t val);

/* ---- port I/O (io.c) ------------------------------------------------------------------------- */
uint32_t bt_port_read(struct bt_vcpu *v, uint16_t port, unsigned size);
void bt_port_write(struct bt_vcpu *v, uint16_t port, unsigned size, uint32_t val);

#endif
