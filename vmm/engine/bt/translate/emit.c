/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding of the host instructions that the translator itself needs (Intel SDM volume 2). */
#include "vmm/engine/bt/translate/emit.h"

void emit_u16(struct emit *e, unsigned w)
{
	emit_word(e, (struct word){w & 0xffff, 2});
}

void emit_u64(struct emit *e, uint64_t q)
{
	emit_word(e, (struct word){q, 8});
}

void emit_bytes(struct emit *e, const uint8_t *b, unsigned n)
{
	struct word w = {0};

	for (unsigned i = 0; i < n; i++)
		word_add(&w, b[i]);
	emit_word(e, w);
}

/* ---- what scratch registers hold ------------------------------------------------------------ */

static const uint8_t scratch[] = {H_T0, H_T1, H_T2};

void emit_changes(struct emit *e, unsigned reg)
{
	if (reg <= H_R15)
		e->holds[reg] = 0;
}

static bool is_word(const struct hmem *m)
{
	return m->ctx;
}

void emit_changes_word(struct emit *e, const struct hmem *m)
{
	for (unsigned i = 0; i < sizeof(scratch) && is_word(m); i++) {
		int32_t *word = &e->holds[scratch[i]];

		if (m->disp > *word - 8 && m->disp < *word + 8)
			*word = 0;
	}
}

void emit_forget(struct emit *e)
{
	for (unsigned i = 0; i < sizeof(scratch); i++)
		e->holds[scratch[i]] = 0;
}

unsigned emit_holder(const struct emit *e, int32_t word)
{
	for (unsigned i = 0; i < sizeof(scratch); i++)
		if (e->holds[scratch[i]] == word)
			return scratch[i];
	return H_NONE;
}

static bool is_scratch(unsigned reg)
{
	return reg == H_T0 || reg == H_T1 || reg == H_T2;
}

static bool is_followed(const struct hmem *m, unsigned size)
{
	if (!is_word(m) || size != 8)
		return false;
	return m->disp == CTX_GPR(X86_R10) || m->disp == CTX_GPR(X86_R11) ||
	       m->disp == CTX_GPR(X86_R15) ||
	       (m->disp >= CTX_SCRATCH(SCR_WINDOW) &&
		m->disp < CTX_SCRATCH(SCR_WINDOW + SCR_WINDOWS));
}

/* ---- encoding ------------------------------------------------------------------------------- */

static unsigned scale_bits(unsigned scale)
{
	return scale == 8 ? 3 : scale >> 1;
}

/* The context block, from behind the instruction. */
static int32_t from_rip(const struct emit *e, const struct hmem *m)
{
	return (int32_t)(e->ctx + (uint64_t)m->disp - (uint64_t)(e->p + 5 + m->imm));
}

void emit_modrm_mem(struct emit *e, unsigned reg, const struct hmem *m)
{
	unsigned r = (reg & 7) << 3;
	bool sib = m->index != H_NONE || (m->base & 7) == H_RSP;
	unsigned idx = m->index == H_NONE ? 4 : m->index & 7;
	struct word w = {0};
	unsigned mod;

	if (m->ctx) {
		word_add(&w, r | 5);
		word_add32(&w, (uint32_t)from_rip(e, m));
		emit_word(e, w);
		return;
	}
	if (m->base == H_NONE) { /* disp32, with SIB: without, it would be RIP-relative */
		word_add(&w, r | 4);
		word_add(&w, scale_bits(m->scale) << 6 | idx << 3 | 5);
		word_add32(&w, (uint32_t)m->disp);
		emit_word(e, w);
		return;
	}
	if (m->wide_disp || m->disp != (int8_t)m->disp)
		mod = 2;
	else
		mod = m->disp || (m->base & 7) == H_RBP ? 1 : 0;
	word_add(&w, mod << 6 | r | (sib ? 4u : m->base & 7u));
	if (sib)
		word_add(&w, scale_bits(m->scale) << 6 | idx << 3 | (m->base & 7));
	if (mod == 1)
		word_add(&w, (uint8_t)m->disp);
	else if (mod == 2)
		word_add32(&w, (uint32_t)m->disp);
	emit_word(e, w);
}

unsigned hmem_rex(const struct hmem *m)
{
	unsigned rex = 0;

	if (m->base != H_NONE && m->base >= 8)
		rex |= 1;
	if (m->index != H_NONE && m->index >= 8)
		rex |= 2;
	return rex;
}

/* Prefixes, REX and opcode bytes. */
static void add_opcode(struct word *w, unsigned opc, unsigned size, unsigned rex, bool force_rex)
{
	if (size == 2)
		word_add(w, 0x66);
	if (opc >> 16)
		word_add(w, opc >> 16);
	if (size == 8)
		rex |= 8;
	if (rex || force_rex)
		word_add(w, 0x40 | rex);
	if (opc >> 8 & 0xff)
		word_add(w, 0x0f);
	if ((opc >> 8 & 0xff) == 2)
		word_add(w, 0x38);
	word_add(w, opc & 0xff);
}

void emit_rr(struct emit *e, unsigned opc, unsigned size, unsigned reg, unsigned rm)
{
	bool low_byte = size == 1 && (reg >= 4 || rm >= 4);
	struct word w = {0};

	emit_changes(e, reg);
	emit_changes(e, rm);
	add_opcode(&w, opc, size, (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0), low_byte);
	word_add(&w, 0xc0 | (reg & 7) << 3 | (rm & 7));
	emit_word(e, w);
}

void emit_rm(struct emit *e, unsigned opc, unsigned size, unsigned reg, const struct hmem *m)
{
	struct word w = {0};

	emit_changes(e, reg);
	emit_changes_word(e, m);
	if (m->gs)
		word_add(&w, 0x65);
	add_opcode(&w, opc, size, (reg >= 8 ? 4 : 0) | hmem_rex(m), size == 1 && reg >= 4);
	emit_word(e, w);
	emit_modrm_mem(e, reg, m);
}

void emit_rm_imm8(struct emit *e, unsigned opc, unsigned size, unsigned reg, struct hmem m,
		  unsigned imm)
{
	m.imm = 1;
	emit_rm(e, opc, size, reg, &m);
	emit_u8(e, imm);
}

void emit_mov(struct emit *e, unsigned size, unsigned dst, unsigned src)
{
	emit_rr(e, OPC(0x89), size, src, dst);
}

void emit_load(struct emit *e, unsigned size, unsigned dst, struct hmem m)
{
	bool followed = is_scratch(dst) && is_followed(&m, size);
	unsigned holder = followed ? emit_holder(e, m.disp) : H_NONE;

	if (holder == dst)
		return;
	if (holder != H_NONE) {
		emit_mov(e, 8, dst, holder);
		e->holds[holder] = m.disp;
	} else {
		emit_rm(e, size == 1 ? OPC(0x8a) : OPC(0x8b), size, dst, &m);
	}
	if (followed)
		e->holds[dst] = m.disp;
}

void emit_store(struct emit *e, unsigned size, struct hmem m, unsigned src)
{
	int32_t word = e->holds[src];

	emit_rm(e, size == 1 ? OPC(0x88) : OPC(0x89), size, src, &m);
	if (is_scratch(src))
		e->holds[src] = is_followed(&m, size) ? m.disp : word;
}

void emit_lea(struct emit *e, unsigned size, unsigned dst, struct hmem m)
{
	if (size == 8 && m.index == H_NONE && m.disp == 0 && m.base != H_NONE) {
		if (m.base != dst)
			emit_mov(e, 8, dst, m.base);
		return;
	}
	emit_rm(e, OPC(0x8d), size, dst, &m);
}

void emit_mov_imm(struct emit *e, unsigned dst, uint64_t imm)
{
	unsigned b = dst >= 8 ? 1 : 0;
	struct word w = {0};

	emit_changes(e, dst);
	if (imm == (uint32_t)imm) {
		if (b)
			word_add(&w, 0x41);
		word_add(&w, 0xb8 | (dst & 7));
		word_add32(&w, (uint32_t)imm);
		emit_word(e, w);
	} else if (imm == (uint64_t)(int32_t)imm) {
		word_add(&w, 0x48 | b);
		word_add(&w, 0xc7);
		word_add(&w, 0xc0 | (dst & 7));
		word_add32(&w, (uint32_t)imm);
		emit_word(e, w);
	} else {
		emit_u8(e, 0x48 | b);
		emit_u8(e, 0xb8 | (dst & 7));
		emit_u64(e, imm);
	}
}

void emit_store_imm(struct emit *e, unsigned size, struct hmem m, uint32_t imm)
{
	m.imm = (uint8_t)(size == 8 ? 4 : size);
	emit_rm(e, size == 1 ? OPC(0xc6) : OPC(0xc7), size, 0, &m);
	if (size == 1)
		emit_u8(e, imm & 0xff);
	else if (size == 2)
		emit_u16(e, imm & 0xffff);
	else
		emit_u32(e, imm);
}

void emit_alu_imm(struct emit *e, unsigned op, unsigned size, unsigned dst, int32_t imm)
{
	bool byte = imm == (int8_t)imm;

	emit_rr(e, byte ? OPC(0x83) : OPC(0x81), size, op, dst);
	if (byte)
		emit_u8(e, (uint8_t)imm);
	else
		emit_u32(e, (uint32_t)imm);
}

void emit_shift(struct emit *e, unsigned op, unsigned size, unsigned dst, unsigned n)
{
	emit_rr(e, OPC(0xc1), size, op, dst);
	emit_u8(e, n);
}

void emit_not(struct emit *e, unsigned reg)
{
	emit_rr(e, OPC(0xf7), 8, 2, reg);
}

void emit_flags_to_ax(struct emit *e)
{
	emit_u8(e, 0x9f);                      /* LAHF */
	emit_rr(e, OPC_0F(0x90), 1, 0, H_RAX); /* SETO AL */
}

void emit_flags_from_ax(struct emit *e)
{
	emit_u8(e, 0x04); /* ADD AL, 7fh: OF if AL is 1 */
	emit_u8(e, 0x7f);
	emit_u8(e, 0x9e); /* SAHF */
}

/* Three-byte VEX prefix and opcode; vvvv in plain form, rxb as REX bits. */
static struct word vex_word(unsigned rxb, unsigned map, unsigned w, unsigned vvvv, unsigned pp,
			    unsigned opcode)
{
	struct word word = {0};

	word_add(&word, 0xc4);
	word_add(&word, (~rxb & 7) << 5 | map);
	word_add(&word, w << 7 | (~vvvv & 15) << 3 | pp);
	word_add(&word, opcode);
	return word;
}

static struct word vex_registers(unsigned map, unsigned pp, unsigned opcode, unsigned size,
				 unsigned dst, unsigned src, unsigned vvvv)
{
	struct word w =
		vex_word((dst >= 8 ? 4 : 0) | (src >= 8 ? 1 : 0), map, size == 8, vvvv, pp, opcode);

	word_add(&w, 0xc0 | (dst & 7) << 3 | (src & 7));
	return w;
}

void emit_rorx(struct emit *e, unsigned size, unsigned dst, unsigned src, unsigned n)
{
	struct word w = vex_registers(3, 3, 0xf0, size, dst, src, 0);

	emit_changes(e, dst);
	word_add(&w, n);
	emit_word(e, w);
}

void emit_shift_by(struct emit *e, enum emit_shiftx op, unsigned size, unsigned dst, unsigned src,
		   unsigned count)
{
	emit_changes(e, dst);
	emit_word(e, vex_registers(2, op, 0xf7, size, dst, src, count));
}

void emit_bextr(struct emit *e, unsigned size, unsigned dst, unsigned src, unsigned control)
{
	emit_changes(e, dst);
	emit_word(e, vex_registers(2, 0, 0xf7, size, dst, src, control));
}

static void emit_bits_mem(struct emit *e, unsigned pp, unsigned dst, unsigned src, struct hmem m)
{
	emit_changes(e, dst);
	if (m.gs)
		emit_u8(e, 0x65);
	emit_word(e, vex_word((dst >= 8 ? 4 : 0) | hmem_rex(&m), 2, 1, src, pp, 0xf5));
	emit_modrm_mem(e, dst, &m);
}

void emit_pext_mem(struct emit *e, unsigned dst, unsigned src, struct hmem mask)
{
	emit_bits_mem(e, 2, dst, src, mask);
}

void emit_pdep_mem(struct emit *e, unsigned dst, unsigned src, struct hmem mask)
{
	emit_bits_mem(e, 3, dst, src, mask);
}

#define VEX_256 4 /* beside the prefix's bits */

static void emit_vmovdqu(struct emit *e, unsigned opcode, unsigned size, unsigned reg,
			 const struct hmem *m)
{
	if (m->gs)
		emit_u8(e, 0x65);
	emit_word(e, vex_word((reg >= 8 ? 4 : 0) | hmem_rex(m), 1, 0, 0,
			      2 | (size == 32 ? VEX_256 : 0), opcode));
	emit_modrm_mem(e, reg, m);
}

void emit_vector_store(struct emit *e, unsigned size, struct hmem m, unsigned reg)
{
	emit_vmovdqu(e, 0x7f, size, reg, &m);
}

void emit_vector_load(struct emit *e, unsigned size, unsigned reg, struct hmem m)
{
	emit_vmovdqu(e, size == 8 ? 0x7e : 0x6f, size, reg, &m); /* VMOVQ */
}

void emit_vector_clear(struct emit *e, unsigned reg)
{
	emit_word(e, vex_registers(1, 1, 0xef, 4, reg, reg, reg)); /* VPXOR */
}

void emit_jmp(struct emit *e, const uint8_t *target)
{
	uint8_t *at = emit_jmp_far(e);

	if (!e->full)
		emit_patch32(at, target);
}

void emit_jmp_mem(struct emit *e, struct hmem m)
{
	emit_rm(e, OPC(0xff), 4, 4, &m);
}

void emit_call_reg(struct emit *e, unsigned reg)
{
	emit_rr(e, OPC(0xff), 4, 2, reg);
}

uint8_t *emit_jmp_far(struct emit *e)
{
	emit_word(e, (struct word){0xe9, 5});
	return e->p - 4;
}

uint8_t *emit_jcc(struct emit *e, unsigned cc)
{
	emit_word(e, (struct word){0x0f | (0x80u | cc) << 8, 6});
	return e->p - 4;
}

uint8_t *emit_jrcxz(struct emit *e)
{
	emit_word(e, (struct word){0xe3, 2});
	return e->p - 1;
}

uint8_t *emit_jmp_short(struct emit *e)
{
	emit_word(e, (struct word){0xeb, 2});
	return e->p - 1;
}

void emit_patch32(uint8_t *at, const uint8_t *target)
{
	int32_t rel = (int32_t)(target - (at + 4));

	__builtin_memcpy(at, &rel, 4);
}

void emit_patch8(uint8_t *at, const uint8_t *target)
{
	*at = (uint8_t)(target - (at + 1));
}
