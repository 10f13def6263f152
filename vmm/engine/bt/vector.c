/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interpreting x87, MMX, SSE and AVX: the conditions of CR0, CR4 and XCR0 are checked, the memory
 * operand is found, and a re-encoded copy of the instruction runs on the host, whose registers hold
 * the guest's vectors. The host raises #MF and #XM for exceptions that the guest has unmasked.
 */
#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/vector.h"

#include <string.h>

#define FSW_ES 0x80

/* ---- memory --------------------------------------------------------------------------------- */

bool vector_address(struct bt_vcpu *v, const struct x86_insn *in, unsigned size, unsigned align,
		    enum bt_access a, gva_t *gva)
{
	/* Of two reasons to fault XSAVE's family reports alignment, FXSAVE the segment. */
	if (align == 64 && bt_effective(v, in) & 63)
		return bt_raise_error(v, EXC_GP, 0);
	if (!bt_linear(v, in, size, a, gva))
		return false;
	return !(*gva & (align - 1)) || bt_raise_error(v, EXC_GP, 0);
}

/* Of [gva, gva+size) as much as lies in the first page. */
static unsigned in_page(gva_t gva, unsigned size)
{
	unsigned left = BT_PAGE - (gva & ~BT_PAGE_MASK);

	return size < left ? size : left;
}

bool vector_probe_write(struct bt_vcpu *v, gva_t gva, unsigned size)
{
	for (unsigned n; size; size -= n, gva += n) {
		n = in_page(gva, size);
		if (bt_host(v, gva, n, BT_WRITE))
			continue;
		if (v->fault.vector != BT_NO_FAULT || !bt_tlb_fill(v, gva, BT_WRITE))
			return false;
	}
	return true;
}

bool vector_read(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size)
{
	uint8_t *p = buf;

	for (unsigned n; size; size -= n, gva += n, p += n) {
		const void *host;

		n = in_page(gva, size);
		host = bt_host(v, gva, n, BT_READ);
		if (host) {
			memcpy(p, host, n);
			continue;
		}
		if (v->fault.vector != BT_NO_FAULT)
			return false;
		n = n < 64 ? n : 64;
		if (!bt_read(v, gva, p, n))
			return false;
	}
	return true;
}

bool vector_write(struct bt_vcpu *v, gva_t gva, const void *buf, unsigned size)
{
	const uint8_t *p = buf;

	for (unsigned n; size; size -= n, gva += n, p += n) {
		void *host;

		n = in_page(gva, size);
		host = bt_host(v, gva, n, BT_WRITE);
		if (host) {
			memcpy(host, p, n);
			continue;
		}
		if (v->fault.vector != BT_NO_FAULT)
			return false;
		n = n < 64 ? n : 64;
		if (!bt_write(v, gva, p, n))
			return false;
	}
	return true;
}

/*
 * What the operand's address must be a multiple of. Legacy SSE wants 16 bytes aligned but for a few
 * instructions; VEX only where the mnemonic says so (Intel SDM volume 1 section 14.9).
 */
static unsigned alignment(const struct x86_insn *in, unsigned size)
{
	bool vex = in->prefixes & X86_PFX_VEX;

	if (in->desc->cls != X86_CLS_SSE && in->desc->cls != X86_CLS_AVX)
		return 1;
	/* SHA: AMD does not mind, Intel does; the copy runs at the same offset and tells. */
	if (size < 16 || in->desc->feature == X86_FEAT_SHA)
		return 1;
	if (in->map == X86_MAP_0F) {
		switch (in->opcode) {
		case 0x10:
		case 0x11: /* MOVUPx */
		case 0xf0: /* LDDQU */
			return 1;
		case 0x28:
		case 0x29: /* MOVAPx */
		case 0x2b:
		case 0xe7: /* MOVNTPx, MOVNTDQ */
			return size;
		case 0x6f:
		case 0x7f: /* F3: MOVDQU, EVEX with F2 too; 66: MOVDQA */
			return in->prefixes & X86_PFX_REP || (vex && in->vex_pp != 1) ? 1 : size;
		}
	}
	if (in->map == X86_MAP_0F38 && in->opcode == 0x2a) /* MOVNTDQA */
		return size;
	if (in->map == X86_MAP_0F3A && in->opcode >= 0x60 && in->opcode <= 0x63) /* PCMPxSTRx */
		return 1;
	return vex ? 1 : size;
}

/* ---- running -------------------------------------------------------------------------------- */

/* PCMPESTRx and PCMPISTRx: lengths in EAX and EDX, result of the I forms in ECX. */
static bool is_string_compare(const struct x86_insn *in)
{
	return in->map == X86_MAP_0F3A && in->opcode >= 0x60 && in->opcode <= 0x63;
}

static const struct x86_operand *gpr_operand(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_GPR)
			return &in->opnd[i];
	return NULL;
}

static void store_gpr(struct bt_vcpu *v, const struct x86_operand *o, uint64_t val)
{
	uint64_t *reg = &v->gpr[o->reg];

	if (o->size == 8)
		*reg = val;
	else if (o->size == 2) /* FNSTSW AX; everything else writes 32 or 64 bits */
		*reg = (*reg & ~0xffffull) | (val & 0xffff);
	else
		*reg = (uint32_t)val;
}

static bool raise_trapped(struct bt_vcpu *v, int trap)
{
	if (trap == EXC_GP)
		return bt_raise_error(v, EXC_GP, 0);
	if (trap == EXC_XM && !(v->cr4 & CR4_OSXMMEXCPT))
		return bt_raise(v, EXC_UD);
	return bt_raise(v, trap);
}

bool vector_run(struct bt_vcpu *v, const struct x86_insn *in, void *mem)
{
	uint16_t flags = in->desc->flags_write | in->desc->flags_undef;
	const struct x86_operand *gpr = gpr_operand(in);
	uint8_t code[VECTOR_MAX_CODE];
	struct vector_regs r = {
		.rax = v->gpr[gpr ? gpr->reg : X86_RAX],
		.rcx = v->gpr[X86_RCX],
		.rdx = v->gpr[X86_RDX],
		.rbx = (uintptr_t)mem,
		.rflags = (v->rflags & X86_F_STATUS) | FL_ONE,
	};
	int trap = bt_vector_call(&r, vector_stub(v, code, vector_reencode(in, code)));

	if (trap)
		return raise_trapped(v, trap);
	if (gpr && gpr->access & X86_ACC_WRITE)
		store_gpr(v, gpr, r.rax);
	if (is_string_compare(in) && in->opcode & 1)
		v->gpr[X86_RCX] = r.rcx;
	v->rflags = (v->rflags & ~(uint64_t)flags) | (r.rflags & flags);
	return true;
}

static const struct x86_operand *mem_operand(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_MEM)
			return &in->opnd[i];
	return NULL;
}

/* Through a buffer: the operand crosses pages, is a device's, or lies in watched memory. */
static bool run_buffered(struct bt_vcpu *v, const struct x86_insn *in, const struct x86_operand *m,
			 gva_t gva)
{
	_Alignas(64) uint8_t buf[64];

	/* FST and its kin store nothing if they meet an unmasked exception: then these bytes stay.
	 */
	bool read = m->access & X86_ACC_READ || in->desc->cls == X86_CLS_X87;

	if (m->access & X86_ACC_WRITE && !vector_probe_write(v, gva, m->size))
		return false;
	if (read && !bt_read(v, gva, buf, m->size))
		return false;
	if (!vector_run(v, in, buf))
		return false;
	return !(m->access & X86_ACC_WRITE) || bt_write(v, gva, buf, m->size);
}

/* VZEROUPPER and VZEROALL: only YMM0-7 outside 64-bit mode. */
static bool run_vzero(struct bt_vcpu *v, const struct x86_insn *in)
{
	_Alignas(64) uint8_t high[8][VECTOR_SIZE];

	for (unsigned i = 0; i < 8 && in->mode != X86_MODE_64; i++)
		vector_get(v, 8 + i, high[i]);
	vector_run(v, in, NULL);
	for (unsigned i = 0; i < 8 && in->mode != X86_MODE_64; i++)
		vector_put(v, 8 + i, high[i]);
	return true;
}

static bool run_plain(struct bt_vcpu *v, const struct x86_insn *in)
{
	const struct x86_operand *m = mem_operand(in);
	enum bt_access a;
	void *host;
	gva_t gva;
	bool masked;

	if (!m)
		return vector_run(v, in, NULL);
	masked = in->is_evex && in->evex_aaa;
	/* Alignment first: a misaligned operand off RSP that is not canonical is #GP, not #SS. A
	 * mask of zeros hides it: the host knows. */
	if (!masked && bt_effective(v, in) & (alignment(in, m->size) - 1))
		return bt_raise_error(v, EXC_GP, 0);
	a = m->access == X86_ACC_READ ? BT_READ : m->access == X86_ACC_WRITE ? BT_WRITE : BT_RMW;
	if (!bt_linear(v, in, m->size, a, &gva))
		return masked && vector_masked_nowhere(v, in);
	host = bt_host(v, gva, m->size, a);
	if (host)
		return vector_run(v, in, host);
	if (masked)
		return vector_masked(v, in, m, gva);
	if (v->fault.vector != BT_NO_FAULT)
		return false;
	return run_buffered(v, in, m, gva);
}

/* ---- what must be so before ----------------------------------------------------------------- */

static bool uses_mmx(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_MMX)
			return true;
	return false;
}

static bool no_pending_x87(struct bt_vcpu *v)
{
	return !(x87_status() & FSW_ES) || bt_raise(v, EXC_MF);
}

/* Those that neither report pending exceptions nor count as the last instruction. */
static bool x87_is_control(const struct x86_insn *in)
{
	bool memory = in->modrm < 0xc0;
	unsigned reg = in->modrm >> 3 & 7;

	switch (in->opcode) {
	case 0xd9: /* FLDENV FLDCW FNSTENV FNSTCW */
		return memory && reg >= 4;
	case 0xdb: /* FNCLEX FNINIT and what is left of the 287 */
		return !memory && reg == 4;
	case 0xdd: /* FRSTOR FNSAVE FNSTSW */
		return memory && (reg == 4 || reg >= 6);
	case 0xdf: /* FNSTSW AX */
		return in->modrm == 0xe0;
	}
	return false;
}

static bool x87_is_waiting(const struct x86_insn *in)
{
	unsigned reg = in->modrm >> 3 & 7;

	if (!x87_is_control(in))
		return true;
	/* FLDENV, FLDCW and FRSTOR wait, the FN... do not. */
	return in->modrm < 0xc0 &&
	       ((in->opcode == 0xd9 && reg <= 5) || (in->opcode == 0xdd && reg == 4));
}

static bool is_fwait(const struct x86_insn *in)
{
	return in->map == X86_MAP_1 && in->opcode == 0x9b;
}

static bool allowed_x87(struct bt_vcpu *v, const struct x86_insn *in)
{
	if (is_fwait(in)) {
		if ((v->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
			return bt_raise(v, EXC_NM);
		return no_pending_x87(v);
	}
	if (v->cr0 & (CR0_EM | CR0_TS))
		return bt_raise(v, EXC_NM);
	return !x87_is_waiting(in) || no_pending_x87(v);
}

static bool allowed_sse(struct bt_vcpu *v, const struct x86_insn *in)
{
	if (v->cr0 & CR0_EM || !(v->cr4 & CR4_OSFXSR))
		return bt_raise(v, EXC_UD);
	if (v->cr0 & CR0_TS)
		return bt_raise(v, EXC_NM);
	return !uses_mmx(in) || no_pending_x87(v);
}

/* EVEX, and the VEX instructions on mask registers. */
static bool uses_avx512(const struct x86_insn *in)
{
	return in->is_evex ||
	       (in->nops && (in->opnd[0].kind == X86_OPK_MASK || in->opnd[1].kind == X86_OPK_MASK));
}

static bool allowed_avx(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t need = XC_SSE | XC_AVX | (uses_avx512(in) ? XC_AVX512 : 0);

	if (!(v->cr4 & CR4_OSXSAVE) || (v->xcr0 & need) != need || !bt_protected(v))
		return bt_raise(v, EXC_UD);
	return !(v->cr0 & CR0_TS) || bt_raise(v, EXC_NM);
}

static bool allowed(struct bt_vcpu *v, const struct x86_insn *in)
{
	switch (in->desc->cls) {
	case X86_CLS_X87:
		return allowed_x87(v, in);
	case X86_CLS_MMX:
		if (v->cr0 & CR0_EM)
			return bt_raise(v, EXC_UD);
		if (v->cr0 & CR0_TS)
			return bt_raise(v, EXC_NM);
		return no_pending_x87(v);
	case X86_CLS_SSE:
		return allowed_sse(v, in);
	case X86_CLS_AVX:
		return allowed_avx(v, in);
	}
	return true;
}

/* ---- special ones --------------------------------------------------------------------------- */

static bool allowed_fxsave(struct bt_vcpu *v)
{
	return !(v->cr0 & (CR0_EM | CR0_TS)) || bt_raise(v, EXC_NM);
}

static bool allowed_xsave(struct bt_vcpu *v)
{
	if (!(v->cr4 & CR4_OSXSAVE))
		return bt_raise(v, EXC_UD);
	return !(v->cr0 & CR0_TS) || bt_raise(v, EXC_NM);
}

/* CLFLUSH, CLFLUSHOPT, CLWB: fault like a read of one byte; caches are coherent without them. */
static bool cache_line(struct bt_vcpu *v, const struct x86_insn *in)
{
	gva_t gva;

	if (!bt_linear(v, in, 1, BT_READ, &gva))
		return false;
	return bt_host(v, gva, 1, BT_READ) || v->fault.vector == BT_NO_FAULT;
}

/* 0F AE with a memory operand. */
static bool group15(struct bt_vcpu *v, const struct x86_insn *in)
{
	switch (in->modrm >> 3 & 7) {
	case 0:
		return allowed_fxsave(v) && vector_fxsave(v, in);
	case 1:
		return allowed_fxsave(v) && vector_fxrstor(v, in);
	case 2:
		return allowed(v, in) && vector_ldmxcsr(v, in);
	case 3:
		return allowed(v, in) && run_plain(v, in);
	case 4:
		return allowed_xsave(v) && vector_xsave(v, in);
	case 5:
		return allowed_xsave(v) && vector_xrstor(v, in);
	case 6:
		if (in->prefixes & X86_PFX_OPSZ)
			return cache_line(v, in);
		return allowed_xsave(v) && vector_xsave(v, in);
	}
	return cache_line(v, in);
}

/* 0F C7 with a memory operand: XRSTORS, XSAVEC, XSAVES. */
static bool group9(struct bt_vcpu *v, const struct x86_insn *in)
{
	if (!allowed_xsave(v))
		return false;
	return (in->modrm >> 3 & 7) == 3 ? vector_xrstor(v, in) : vector_xsavec(v, in);
}

static bool x87_memory(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned reg = in->modrm >> 3 & 7;

	if (in->opcode == 0xd9 && reg == 4)
		return vector_fldenv(v, in);
	if (in->opcode == 0xd9 && reg == 6)
		return vector_fnstenv(v, in);
	if (in->opcode == 0xdd && reg == 4)
		return vector_frstor(v, in);
	if (in->opcode == 0xdd && reg == 6)
		return vector_fnsave(v, in);
	return run_plain(v, in);
}

static bool run_x87(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool ok;

	if (is_fwait(in))
		return true;
	ok = in->modrm < 0xc0 ? x87_memory(v, in) : run_plain(v, in);
	if (!ok)
		return false;
	if (!x87_is_control(in))
		vector_note_x87(v, in);
	else if (in->opcode == 0xdb && in->modrm == 0xe3) /* FNINIT */
		v->x87 = (struct bt_x87_last){0};
	return true;
}

/* Hints, fences and MOVNTI: no vector state, so CR0 and CR4 do not matter. */
static bool is_stateless(const struct x86_insn *in)
{
	if (in->map != X86_MAP_0F || in->prefixes & X86_PFX_VEX)
		return false;
	return in->opcode == 0x0d || in->opcode == 0x18 || in->opcode == 0xc3 ||
	       (in->opcode == 0xae && in->modrm >= 0xc0);
}

static bool run_stateless(struct bt_vcpu *v, const struct x86_insn *in)
{
	if (in->opcode == 0xc3)
		return run_plain(v, in);
	if (in->opcode == 0xae)
		__asm__ volatile("mfence" : : : "memory");
	return true;
}

typedef bool special_fn(struct bt_vcpu *v, const struct x86_insn *in);

/* Those of the 0F38 map that access memory element by element. */
static special_fn *special_0f38(const struct x86_insn *in)
{
	if (!(in->prefixes & X86_PFX_VEX))
		return NULL;
	if (in->is_evex)
		return in->opcode >= 0x90 && in->opcode <= 0x93   ? vector_gather
		       : in->opcode >= 0xa0 && in->opcode <= 0xa3 ? vector_scatter
								  : NULL;
	switch (in->opcode) {
	case 0x2c:
	case 0x2d:
	case 0x2e:
	case 0x2f:
	case 0x8c:
	case 0x8e:
		return vector_vmaskmov;
	case 0x90:
	case 0x91:
	case 0x92:
	case 0x93:
		return vector_gather;
	}
	return NULL;
}

bool bt_interpret_vector(struct bt_vcpu *v, const struct x86_insn *in)
{
	special_fn *special = run_plain;

	bt_use_vectors(v);
	if (is_stateless(in))
		return run_stateless(v, in);
	if (in->map == X86_MAP_0F && in->modrm < 0xc0) {
		if (in->opcode == 0xae)
			return group15(v, in);
		if (in->opcode == 0xc7)
			return group9(v, in);
	}
	if (in->desc->cls == X86_CLS_X87)
		special = run_x87;
	else if (in->map == X86_MAP_0F && in->opcode == 0xf7)
		special = vector_maskmov;
	else if (in->map == X86_MAP_0F && in->opcode == 0x77 && in->desc->cls == X86_CLS_AVX)
		special = run_vzero;
	else if (in->map == X86_MAP_0F38 && special_0f38(in))
		special = special_0f38(in);
	return allowed(v, in) && special(v, in);
}
