/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against Zydis on random encodings: validity, length, mnemonic, operands, flags.
 *
 * usage: zydis_compare [COUNT [SEED]]
 * Differences are counted by kind, and one example of each is printed; known ones are listed below.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <Zydis/Zydis.h>

#include "x86/cpuid.h"
#include "x86/insn.h"
#include "x86/ops.h"
#include "x86/state.h"

#define DEFAULT_COUNT 300000u
#define DEFAULT_SEED  1u

/* ---- deliberate differences ---------------------------------------------------------------------
 */

/* What a row of the tables excuses. */
enum aspect {
	ASPECT_VALID = 1,
	ASPECT_NAME = 2,
	ASPECT_OPERANDS = 4, /* number and kind */
	ASPECT_SIZE = 8,
	ASPECT_ACCESS = 16,
	ASPECT_FLAGS = 32,
	ASPECT_LEN = 64,
	ASPECT_FEATURE = 128,
};

struct excuse {
	const char *theirs; /* Zydis' mnemonic; a final * stands for any rest */
	unsigned aspects;
	const char *why;
};

static const struct excuse excuses[] = {
	{"cmov*", ASPECT_ACCESS, "the old value is an input if the condition is false"},
	{"fcmov*", ASPECT_ACCESS, "likewise"},
	{"bsf", ASPECT_ACCESS, "the destination keeps its value if the source is 0"},
	{"bsr", ASPECT_ACCESS, "likewise"},
	{"lar", ASPECT_ACCESS | ASPECT_SIZE, "likewise; 16 bits of the source count"},
	{"lsl", ASPECT_ACCESS | ASPECT_SIZE, "likewise"},
	{"cvtsi2s*", ASPECT_ACCESS, "as of CVTSS2SD: bits above the result are not read"},
	{"movhp*", ASPECT_ACCESS | ASPECT_SIZE, "the whole register: half of it is kept"},
	{"movlhps", ASPECT_ACCESS | ASPECT_SIZE, "likewise"},
	{"movhlps", ASPECT_SIZE, "the high half of the source counts"},
	{"vmov*hps", ASPECT_SIZE, "the register's width, not the half that counts"},
	{"vmovhps", ASPECT_SIZE, "likewise"},
	{"vmovlhps", ASPECT_SIZE, "likewise"},
	{"vmovhpd", ASPECT_SIZE, "likewise"},
	{"punpck*", ASPECT_SIZE, "likewise"},
	{"unpck*", ASPECT_SIZE, "likewise"},
	{"vbroadcasts*", ASPECT_SIZE, "likewise"},
	{"vextractf128", ASPECT_SIZE, "likewise"},
	{"vcvtps2ph", ASPECT_SIZE, "likewise"},
	{"vps*", ASPECT_SIZE, "the count is 16 bytes, in memory too"},
	{"extrq", ASPECT_ACCESS | ASPECT_SIZE, "inserts into or extracts from its destination"},
	{"insertq", ASPECT_ACCESS | ASPECT_SIZE, "likewise"},
	{"vucomis*", ASPECT_SIZE, "reads a scalar as COMISS does"},
	{"movmskp*", ASPECT_SIZE, "writes 32 bits, zero-extended, whatever REX.W"},
	{"movsxd", ASPECT_SIZE, "SDM: the source has 16 bits with prefix 66"},
	{"lea", ASPECT_SIZE | ASPECT_OPERANDS,
	 "accesses no memory; the override is told nevertheless"},
	{"invlpg", ASPECT_SIZE | ASPECT_ACCESS, "accesses no memory"},
	{"prefetch*", ASPECT_SIZE | ASPECT_ACCESS | ASPECT_NAME,
	 "likewise; PREFETCHWT1 as PREFETCHW"},
	{"nop", ASPECT_OPERANDS | ASPECT_SIZE | ASPECT_ACCESS,
	 "accesses nothing; ModRM.reg is no operand"},
	{"ud0", ASPECT_SIZE | ASPECT_ACCESS, "accesses nothing"},
	{"ud1", ASPECT_SIZE | ASPECT_ACCESS, "likewise"},
	{"clflush*", ASPECT_SIZE, "faults as a load of a byte"},
	{"clwb", ASPECT_SIZE, "likewise"},
	{"fx*", ASPECT_SIZE | ASPECT_FEATURE,
	 "sizes that vary are 0 here; FXSR is a feature of its own"},
	{"vmmcall", ASPECT_FEATURE, "a guest calls its hypervisor without having SVM itself"},
	{"vpclmulqdq", ASPECT_FEATURE, "128 bits need PCLMUL and AVX only"},
	{"xsave*", ASPECT_SIZE, "likewise"},
	{"xrstor*", ASPECT_SIZE, "likewise"},
	{"clzero", ASPECT_OPERANDS, "rAX is implicit"},
	{"vmrun", ASPECT_OPERANDS, "likewise"},
	{"vmload", ASPECT_OPERANDS, "likewise"},
	{"vmsave", ASPECT_OPERANDS, "likewise"},
	{"invlpga", ASPECT_OPERANDS, "likewise"},
	{"vpcompress*", ASPECT_ACCESS, "merges into its destination, as other masked instructions"},
	{"vcompress*", ASPECT_ACCESS, "likewise"},
	{"vpmov*", ASPECT_ACCESS, "likewise"},
	{"vblendm*", ASPECT_ACCESS, "the mask selects; counted as merging all the same"},
	{"vpblendm*", ASPECT_ACCESS, "likewise"},
	{"skinit", ASPECT_VALID, "no CPU model has it"},
	{"pause", ASPECT_NAME, "with REX.B it exchanges R8 and RAX (seen on EPYC)"},
	{"fstpnce", ASPECT_NAME, "an alias of FSTP"},
	{"fst", ASPECT_ACCESS,
	 "with ST0 on both sides the comparison cannot know which one is hidden"},
	{"fstp", ASPECT_ACCESS, "likewise"},
	{"cmps*", ASPECT_FLAGS, "REP tests the ZF that the comparison made"},
	{"scas*", ASPECT_FLAGS, "likewise"},
	{"ro*", ASPECT_FLAGS, "OF is defined for a count of 1"},
	{"rc*", ASPECT_FLAGS, "likewise"},
	{"sh*", ASPECT_FLAGS, "likewise"},
	{"sar", ASPECT_FLAGS, "likewise"},
	{"sbb", ASPECT_FLAGS, "defines AF"},
	{"bextr", ASPECT_FLAGS, "SDM: only AF, SF and PF are undefined"},
	{"vptest", ASPECT_FLAGS, "clears the other flags, as PTEST"},
	{"vtestp*", ASPECT_FLAGS, "likewise"},
	{"vm*", ASPECT_FLAGS, "a hypercall or an entry: flags are the hypervisor's matter"},
	{"syscall", ASPECT_FLAGS, "saves the flags in R11 and clears some"},
	{"sysret", ASPECT_FLAGS, "loads the flags from R11"},
	{"int*", ASPECT_FLAGS, "saves the flags"},
	{"iret*", ASPECT_FLAGS, "loads all of them"},
	{"rsm", ASPECT_FLAGS, "likewise"},
	{"popf*", ASPECT_FLAGS, "likewise"},
};

/* Instruction sets that no CPU model has: undefined here. */
static const ZydisISAExt absent[] = {
	ZYDIS_ISA_EXT_AMD3DNOW,
	ZYDIS_ISA_EXT_AMD_INVLPGB,
	ZYDIS_ISA_EXT_AMX_BF16,
	ZYDIS_ISA_EXT_AMX_INT8,
	ZYDIS_ISA_EXT_AMX_TILE,
	ZYDIS_ISA_EXT_CET,
	ZYDIS_ISA_EXT_ENQCMD,
	ZYDIS_ISA_EXT_FMA4,
	ZYDIS_ISA_EXT_HRESET,
	ZYDIS_ISA_EXT_KEYLOCKER,
	ZYDIS_ISA_EXT_KEYLOCKER_WIDE,
	ZYDIS_ISA_EXT_KNC,
	ZYDIS_ISA_EXT_KNCE,
	ZYDIS_ISA_EXT_KNCV,
	ZYDIS_ISA_EXT_MCOMMIT,
	ZYDIS_ISA_EXT_MONITORX,
	ZYDIS_ISA_EXT_MOVDIR,
	ZYDIS_ISA_EXT_PADLOCK,
	ZYDIS_ISA_EXT_PCONFIG,
	ZYDIS_ISA_EXT_PT,
	ZYDIS_ISA_EXT_RDPRU,
	ZYDIS_ISA_EXT_RTM,
	ZYDIS_ISA_EXT_SERIALIZE,
	ZYDIS_ISA_EXT_SGX,
	ZYDIS_ISA_EXT_SGX_ENCLV,
	ZYDIS_ISA_EXT_SMX,
	ZYDIS_ISA_EXT_SNP,
	ZYDIS_ISA_EXT_TBM,
	ZYDIS_ISA_EXT_TDX,
	ZYDIS_ISA_EXT_TSX_LDTRK,
	ZYDIS_ISA_EXT_UINTR,
	ZYDIS_ISA_EXT_VMFUNC,
	ZYDIS_ISA_EXT_WAITPKG,
	ZYDIS_ISA_EXT_XOP,

};

/* AVX-512 has an instruction set a group, and those that no CPU model has. */
static const struct {
	const char *theirs;
	enum x86_feature feature; /* X86_FEAT_NONE: undefined here */
} avx512_sets[] = {
	{"AVX512_4*", X86_FEAT_NONE},
	{"AVX512ER*", X86_FEAT_NONE},
	{"AVX512PF*", X86_FEAT_NONE},
	{"AVX512_FP16*", X86_FEAT_NONE},
	{"AVX512_VP2*", X86_FEAT_NONE},
	{"AVX512F*", X86_FEAT_AVX512F},
	{"AVX512BW*", X86_FEAT_AVX512BW},
	{"AVX512CD*", X86_FEAT_AVX512CD},
	{"AVX512DQ*", X86_FEAT_AVX512DQ},
	{"AVX512_BF16*", X86_FEAT_AVX512BF16},
	{"AVX512_BITALG*", X86_FEAT_AVX512BITALG},
	{"AVX512_GFNI*", X86_FEAT_GFNI},
	{"AVX512_IFMA*", X86_FEAT_AVX512IFMA},
	{"AVX512_VAES*", X86_FEAT_VAES},
	{"AVX512_VBMI2*", X86_FEAT_AVX512VBMI2},
	{"AVX512_VBMI_*", X86_FEAT_AVX512VBMI},
	{"AVX512_VNNI*", X86_FEAT_AVX512VNNI},
	{"AVX512_VPCLMUL*", X86_FEAT_VPCLMUL},
	{"AVX512_VPOPCNT*", X86_FEAT_AVX512VPOPCNTDQ},
};

/* One mnemonic here for several there. */
static const struct {
	enum x86_op op;
	const char *theirs; /* separated by blanks */
} families[] = {
	{X86_OP_CBW, "cbw cwde cdqe"},
	{X86_OP_CWD, "cwd cdq cqo"},
	{X86_OP_IRET, "iret iretd iretq"},
	{X86_OP_PUSHF, "pushf pushfd pushfq"},
	{X86_OP_POPF, "popf popfd popfq"},
	{X86_OP_PUSHA, "pusha pushad"},
	{X86_OP_POPA, "popa popad"},
	{X86_OP_JRCXZ, "jcxz jecxz jrcxz"},
	{X86_OP_CMPXCHG8B, "cmpxchg8b cmpxchg16b"},
	{X86_OP_CALL_IND, "call"},
	{X86_OP_CALLF, "call"},
	{X86_OP_JMP_IND, "jmp"},
	{X86_OP_JMPF, "jmp"},
	{X86_OP_RETF, "ret"},
	{X86_OP_MOV_CR, "mov"},
	{X86_OP_MOV_DR, "mov"},
	{X86_OP_MOV_SEG, "mov"},
	{X86_OP_MOVS, "movsb movsw movsd movsq"},
	{X86_OP_CMPS, "cmpsb cmpsw cmpsd cmpsq"},
	{X86_OP_SCAS, "scasb scasw scasd scasq"},
	{X86_OP_LODS, "lodsb lodsw lodsd lodsq"},
	{X86_OP_STOS, "stosb stosw stosd stosq"},
	{X86_OP_INS, "insb insw insd"},
	{X86_OP_OUTS, "outsb outsw outsd"},
	{X86_OP_XLAT, "xlat"},
	{X86_OP_FNENI, "feni8087_nop"},
	{X86_OP_FNDISI, "fdisi8087_nop"},
	{X86_OP_FNSETPM, "fsetpm287_nop"},
	{X86_OP_FXSAVE, "fxsave fxsave64"},
	{X86_OP_FXRSTOR, "fxrstor fxrstor64"},
	{X86_OP_XSAVE, "xsave xsave64"},
	{X86_OP_XRSTOR, "xrstor xrstor64"},
	{X86_OP_XSAVEOPT, "xsaveopt xsaveopt64"},
	{X86_OP_XSAVEC, "xsavec xsavec64"},
	{X86_OP_XSAVES, "xsaves xsaves64"},
	{X86_OP_XRSTORS, "xrstors xrstors64"},
};

/* The CPUID feature that goes with an instruction set; the others' are not compared. */
static const struct {
	ZydisISAExt ext;
	enum x86_feature feature;
} features[] = {
	{ZYDIS_ISA_EXT_ADOX_ADCX, X86_FEAT_ADX},
	{ZYDIS_ISA_EXT_AES, X86_FEAT_AES},
	{ZYDIS_ISA_EXT_AVX, X86_FEAT_AVX},
	{ZYDIS_ISA_EXT_AVX2, X86_FEAT_AVX2},
	{ZYDIS_ISA_EXT_AVX2GATHER, X86_FEAT_AVX2},
	{ZYDIS_ISA_EXT_AVXAES, X86_FEAT_AES},
	{ZYDIS_ISA_EXT_AVX_VNNI, X86_FEAT_AVXVNNI},
	{ZYDIS_ISA_EXT_BMI1, X86_FEAT_BMI1},
	{ZYDIS_ISA_EXT_BMI2, X86_FEAT_BMI2},
	{ZYDIS_ISA_EXT_CLFLUSHOPT, X86_FEAT_CLFLUSHOPT},
	{ZYDIS_ISA_EXT_CLFSH, X86_FEAT_CLFSH},
	{ZYDIS_ISA_EXT_CLWB, X86_FEAT_CLWB},
	{ZYDIS_ISA_EXT_CLZERO, X86_FEAT_CLZERO},
	{ZYDIS_ISA_EXT_F16C, X86_FEAT_F16C},
	{ZYDIS_ISA_EXT_FMA, X86_FEAT_FMA},
	{ZYDIS_ISA_EXT_GFNI, X86_FEAT_GFNI},
	{ZYDIS_ISA_EXT_INVPCID, X86_FEAT_INVPCID},
	{ZYDIS_ISA_EXT_LZCNT, X86_FEAT_ABM},
	{ZYDIS_ISA_EXT_MONITOR, X86_FEAT_MONITOR},
	{ZYDIS_ISA_EXT_MOVBE, X86_FEAT_MOVBE},
	{ZYDIS_ISA_EXT_PCLMULQDQ, X86_FEAT_PCLMUL},
	{ZYDIS_ISA_EXT_PKU, X86_FEAT_PKU},
	{ZYDIS_ISA_EXT_RDPID, X86_FEAT_RDPID},
	{ZYDIS_ISA_EXT_RDRAND, X86_FEAT_RDRAND},
	{ZYDIS_ISA_EXT_RDSEED, X86_FEAT_RDSEED},
	{ZYDIS_ISA_EXT_RDTSCP, X86_FEAT_RDTSCP},
	{ZYDIS_ISA_EXT_RDWRFSGS, X86_FEAT_FSGSBASE},
	{ZYDIS_ISA_EXT_SHA, X86_FEAT_SHA},
	{ZYDIS_ISA_EXT_SMAP, X86_FEAT_SMAP},
	{ZYDIS_ISA_EXT_SSE, X86_FEAT_SSE},
	{ZYDIS_ISA_EXT_SSE2, X86_FEAT_SSE2},
	{ZYDIS_ISA_EXT_SSE3, X86_FEAT_SSE3},
	{ZYDIS_ISA_EXT_SSE4A, X86_FEAT_SSE4A},
	{ZYDIS_ISA_EXT_SSSE3, X86_FEAT_SSSE3},
	{ZYDIS_ISA_EXT_SVM, X86_FEAT_SVM},
	{ZYDIS_ISA_EXT_VAES, X86_FEAT_VAES},
	{ZYDIS_ISA_EXT_VPCLMULQDQ, X86_FEAT_VPCLMUL},
	{ZYDIS_ISA_EXT_VTX, X86_FEAT_VMX},
	{ZYDIS_ISA_EXT_XSAVE, X86_FEAT_XSAVE},
	{ZYDIS_ISA_EXT_XSAVEC, X86_FEAT_XSAVEC},
	{ZYDIS_ISA_EXT_XSAVEOPT, X86_FEAT_XSAVEOPT},
	{ZYDIS_ISA_EXT_XSAVES, X86_FEAT_XSAVES},
};

/* ---- counting -----------------------------------------------------------------------------------
 */

#define MAX_KINDS 2000

struct kind {
	char what[80];
	unsigned long count;
	char example[160];
	long ours, theirs; /* in the example */
};

struct run {
	ZydisDecoder decoder[3];
	struct kind kinds[MAX_KINDS];
	unsigned nkinds;
	unsigned long valid, excused;
	uint64_t random;
};

struct sample {
	uint8_t code[X86_MAX_INSN_LEN];
	unsigned len; /* bytes given */
	enum x86_mode mode;
	int got;
	struct x86_insn in;
	ZyanStatus status;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand zop[ZYDIS_MAX_OPERAND_COUNT];
};

static uint64_t next_random(struct run *r)
{
	/* splitmix64 */
	uint64_t z = r->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static const char *their_name(const struct sample *s)
{
	const char *name = ZYAN_SUCCESS(s->status) ? ZydisMnemonicGetString(s->z.mnemonic) : NULL;

	return name ? name : "-";
}

static bool matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (n && pattern[n - 1] == '*')
		return !strncmp(pattern, name, n - 1);
	return !strcmp(pattern, name);
}

/* The feature of an AVX-512 instruction; *known is false if it is none. */
static enum x86_feature avx512_feature(const struct sample *s, bool *known)
{
	const char *set = ZydisISASetGetString(s->z.meta.isa_set);
	size_t i;

	for (i = 0; i < sizeof(avx512_sets) / sizeof(avx512_sets[0]); i++) {
		*known = set && matches(avx512_sets[i].theirs, set);
		if (*known)
			return avx512_sets[i].feature;
	}
	return X86_FEAT_NONE;
}

static bool is_absent(const struct sample *s)
{
	bool known;
	size_t i;

	if (!ZYAN_SUCCESS(s->status))
		return false;
	for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		if (s->z.meta.isa_ext == absent[i])
			return true;
	return avx512_feature(s, &known) == X86_FEAT_NONE && known;
}

static bool excused(const struct sample *s, unsigned aspect)
{
	const char *name = ZYAN_SUCCESS(s->status) ? their_name(s) : x86_op_name(s->in.op);
	size_t i;

	for (i = 0; i < sizeof(excuses) / sizeof(excuses[0]); i++)
		if (excuses[i].aspects & aspect && matches(excuses[i].theirs, name))
			return true;
	return is_absent(s);
}

static void example(const struct sample *s, char *buf, size_t size)
{
	size_t at = snprintf(buf, size, "%d-bit:", 16 << s->mode);
	unsigned i;

	for (i = 0; i < s->len && at < size; i++)
		at += snprintf(buf + at, size - at, " %02x", s->code[i]);
	if (at < size)
		snprintf(buf + at, size - at, "  ours %d %s, theirs %d %s (%" PRIx32 ")", s->got,
			 x86_op_name(s->in.op), ZYAN_SUCCESS(s->status) ? s->z.length : -1,
			 their_name(s), (uint32_t)s->status);
}

static void differ(struct run *r, const struct sample *s, unsigned aspect, const char *text,
		   long ours, long theirs)
{
	struct kind *k;
	char what[sizeof(k->what)];
	unsigned i;

	if (excused(s, aspect)) {
		r->excused++;
		return;
	}
	snprintf(what, sizeof(what), "%s %s/%s", text, x86_op_name(s->in.op), their_name(s));
	for (i = 0; i < r->nkinds && strcmp(r->kinds[i].what, what); i++)
		;
	if (i == MAX_KINDS)
		return;
	k = &r->kinds[i];
	if (i == r->nkinds) {
		r->nkinds++;
		memcpy(k->what, what, sizeof(what));
		example(s, k->example, sizeof(k->example));
		k->ours = ours;
		k->theirs = theirs;
	}
	k->count++;
}

/* ---- comparison ---------------------------------------------------------------------------------
 */

static bool in_list(const char *list, const char *name)
{
	size_t n = strlen(name);
	const char *p;

	for (p = list; (p = strstr(p, name)); p++)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

static bool same_name(const struct x86_insn *in, const char *theirs)
{
	static const char *const cc[16] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
					   "s", "ns", "p", "np", "l", "nl", "le", "nle"};
	size_t i;

	switch (in->op) {
	case X86_OP_JCC:
		return theirs[0] == 'j' && !strcmp(theirs + 1, cc[in->opcode & 15]);
	case X86_OP_SETCC:
		return !strncmp(theirs, "set", 3) && !strcmp(theirs + 3, cc[in->opcode & 15]);
	case X86_OP_CMOVCC:
		return !strncmp(theirs, "cmov", 4) && !strcmp(theirs + 4, cc[in->opcode & 15]);
	}
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (families[i].op == in->op)
			return in_list(families[i].theirs, theirs);
	return !strcmp(x86_op_name(in->op), theirs);
}

static uint8_t register_kind(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return X86_OPK_GPR;
	case ZYDIS_REGCLASS_X87:
		return X86_OPK_X87;
	case ZYDIS_REGCLASS_MMX:
		return X86_OPK_MMX;
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		return X86_OPK_VEC;
	case ZYDIS_REGCLASS_SEGMENT:
		return X86_OPK_SEG;
	case ZYDIS_REGCLASS_CONTROL:
		return X86_OPK_CR;
	case ZYDIS_REGCLASS_DEBUG:
		return X86_OPK_DR;
	case ZYDIS_REGCLASS_MASK:
		return X86_OPK_MASK;
	default:
		return X86_OPK_NONE;
	}
}

static uint8_t their_kind(const ZydisDecodedOperand *o)
{
	switch (o->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return register_kind(o->reg.value);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return X86_OPK_MEM;
	case ZYDIS_OPERAND_TYPE_POINTER:
		return X86_OPK_FAR;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return o->imm.is_relative ? X86_OPK_REL : X86_OPK_IMM;
	default:
		return X86_OPK_NONE;
	}
}

/* Zydis numbers byte registers AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B..., segments as here. */
static unsigned their_number(ZydisRegister reg)
{
	unsigned id = ZydisRegisterGetId(reg);

	if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8 || id < 4)
		return id;
	return id < 8 ? id + 12 : id - 4;
}

static uint8_t their_gpr(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return X86_REG_NONE;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return X86_REG_RIP;
	return their_number(reg);
}

/*
 * SIB with base 101 and mod 00 has no base register, whatever REX.B (SDM volume 2A table 2-3).
 * Zydis 4.0 says R13D when the address size is 32 bits.
 */
static bool zydis_r13d(const struct x86_insn *in)
{
	return in->mode == X86_MODE_64 && in->addrsize == 4 && (in->modrm & 0xc7) == 4 &&
	       (in->sib & 7) == 5;
}

static void compare_memory(struct run *r, const struct sample *s, const ZydisDecodedOperandMem *m)
{
	const struct x86_insn *in = &s->in;
	uint64_t mask = in->addrsize == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * in->addrsize) - 1;

	if (zydis_r13d(in))
		return;
	if (in->mem.base != their_gpr(m->base))
		differ(r, s, ASPECT_OPERANDS, "memory base", in->mem.base, their_gpr(m->base));
	if (in->mem.index != their_gpr(m->index))
		differ(r, s, ASPECT_OPERANDS, "memory index", in->mem.index, their_gpr(m->index));
	if (m->index != ZYDIS_REGISTER_NONE && in->mem.scale != m->scale && m->scale)
		differ(r, s, ASPECT_OPERANDS, "memory scale", in->mem.scale, m->scale);
	if (in->mem.seg != ZydisRegisterGetId(m->segment))
		differ(r, s, ASPECT_OPERANDS, "memory segment", in->mem.seg,
		       ZydisRegisterGetId(m->segment));
	if ((in->mem.disp ^ (m->disp.has_displacement ? m->disp.value : 0)) & mask)
		differ(r, s, ASPECT_OPERANDS, "memory displacement", in->mem.disp, m->disp.value);
}

static uint8_t their_access(const ZydisDecodedOperand *o)
{
	return (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? X86_ACC_READ : 0) |
	       (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? X86_ACC_WRITE : 0);
}

static void compare_imm(struct run *r, const struct sample *s, unsigned i, uint64_t imm)
{
	uint64_t ours =
		i + 1 < s->in.nops || s->in.nops < 2 || s->in.opnd[i - 1].kind != X86_OPK_IMM
			? s->in.imm
			: s->in.imm2;
	unsigned bits = 8 * s->in.opnd[i].size;
	uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

	if ((ours ^ imm) & mask)
		differ(r, s, ASPECT_OPERANDS, "immediate", ours, imm);
}

/*
 * Zydis tells no size of displacements, 64 bits of every mask register and, in EVEX instructions,
 * the whole XMM register for a part that counts.
 */
static bool has_size(const struct sample *s, const struct x86_operand *o,
		     const ZydisDecodedOperand *z)
{
	uint8_t kind = o->kind;

	if (s->in.is_evex && kind == X86_OPK_VEC && o->size < 16 && z->size == 128)
		return false;
	return kind != X86_OPK_IMM && kind != X86_OPK_REL && kind != X86_OPK_MASK;
}

/* A masked store keeps bytes of its memory, which Zydis does not tell. */
static bool has_access(const struct x86_insn *in, const struct x86_operand *o)
{
	return o->kind != X86_OPK_REL && !(in->evex_aaa && o->kind == X86_OPK_MEM);
}

static void compare_operand(struct run *r, const struct sample *s, unsigned i,
			    const ZydisDecodedOperand *z)
{
	const struct x86_operand *o = &s->in.opnd[i];
	char text[32];

	if (o->kind != their_kind(z)) {
		snprintf(text, sizeof(text), "operand %u kind", i);
		differ(r, s, ASPECT_OPERANDS, text, o->kind, their_kind(z));
		return;
	}
	if (z->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg != their_number(z->reg.value))
		differ(r, s, ASPECT_OPERANDS, "register", o->reg, their_number(z->reg.value));
	if (z->type == ZYDIS_OPERAND_TYPE_MEMORY)
		compare_memory(r, s, &z->mem);
	if (z->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		compare_imm(r, s, i, z->imm.value.u);
	if (o->size * 8 != z->size && has_size(s, o, z)) {
		snprintf(text, sizeof(text), "operand %u size (kind %u)", i, o->kind);
		differ(r, s, ASPECT_SIZE, text, o->size, z->size / 8);
	}
	if (o->access != their_access(z) && has_access(&s->in, o)) {
		snprintf(text, sizeof(text), "operand %u access", i);
		differ(r, s, ASPECT_ACCESS, text, o->access, their_access(z));
	}
}

/* ST0 and XMM0 where Zydis hides them. */
static bool is_hidden(const struct x86_insn *in, unsigned i)
{
	const struct x86_operand *o = &in->opnd[i];

	return o->reg == 0 && (o->kind == X86_OPK_X87 || (o->kind == X86_OPK_VEC && i == 2));
}

/* Zydis lists an EVEX mask as an operand; here it is evex_aaa. */
static unsigned without_mask(struct sample *s)
{
	unsigned i, n = 0;

	for (i = 0; i < s->z.operand_count_visible; i++)
		if (s->zop[i].encoding != ZYDIS_OPERAND_ENCODING_MASK)
			s->zop[n++] = s->zop[i];
	return n;
}

static void compare_operands(struct run *r, struct sample *s)
{
	unsigned theirs = without_mask(s);
	int extra = s->in.nops - theirs;
	unsigned i, j = 0;

	if (s->in.desc->cls == X86_CLS_STRING)
		return;
	for (i = 0; i < s->in.nops; i++) {
		if (extra > 0 && is_hidden(&s->in, i))
			extra--;
		else if (j < theirs)
			compare_operand(r, s, i, &s->zop[j++]);
	}
	if (extra)
		differ(r, s, ASPECT_OPERANDS, "operand count", s->in.nops, theirs);
}

static void compare_flags(struct run *r, const struct sample *s)
{
	const unsigned status = X86_F_STATUS | X86_F_DF;
	const struct x86_desc *d = s->in.desc;
	const ZydisAccessedFlags *f = s->z.cpu_flags;
	unsigned read = f ? f->tested & status : 0;
	unsigned undef = f ? f->undefined & status : 0;
	unsigned write = f ? (f->modified | f->set_0 | f->set_1) & status : 0;

	if ((d->flags_read & status) != read)
		differ(r, s, ASPECT_FLAGS, "flags read", d->flags_read, read);
	if ((d->flags_write & status) != write)
		differ(r, s, ASPECT_FLAGS, "flags written", d->flags_write, write);
	if ((d->flags_undef & status) != undef)
		differ(r, s, ASPECT_FLAGS, "flags undefined", d->flags_undef, undef);
}

static void compare_feature(struct run *r, const struct sample *s)
{
	bool known;
	enum x86_feature theirs = avx512_feature(s, &known);
	size_t i;

	if (known && theirs != s->in.desc->feature)
		differ(r, s, ASPECT_FEATURE, "feature", s->in.desc->feature, theirs);

	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].ext == s->z.meta.isa_ext &&
		    features[i].feature != s->in.desc->feature)
			differ(r, s, ASPECT_FEATURE, "feature", s->in.desc->feature,
			       features[i].feature);
}

/* Fewer bytes of a valid instruction are a part of it, and never something else. */
static void check_parts(struct run *r, const struct sample *s)
{
	struct x86_insn in;
	int n;

	for (n = 0; n < s->got; n++)
		if (x86_decode(s->code, n, s->mode, &in) != X86_DECODE_PARTIAL)
			differ(r, s, 0, "not PARTIAL", n, s->got);
}

static void compare(struct run *r, struct sample *s)
{
	bool valid;

	s->got = x86_decode(s->code, s->len, s->mode, &s->in);
	s->status = ZydisDecoderDecodeFull(&r->decoder[s->mode], s->code, s->len, &s->z, s->zop);
	valid = ZYAN_SUCCESS(s->status);
	if ((s->got > 0) != valid) {
		differ(r, s, ASPECT_VALID, s->got > 0 ? "valid only here" : "valid only there", 0,
		       0);
		return;
	}
	if (!valid)
		return;
	r->valid++;
	check_parts(r, s);
	if (s->got != s->z.length)
		differ(r, s, ASPECT_LEN, "length", s->got, s->z.length);
	else if (!same_name(&s->in, their_name(s)))
		differ(r, s, ASPECT_NAME, "mnemonic", 0, 0);
	else {
		compare_operands(r, s);
		compare_flags(r, s);
		compare_feature(r, s);
	}
}

/* ---- samples ------------------------------------------------------------------------------------
 */

/* What follows C4 and 62 such that it is seldom undefined: bytes written. */
static unsigned vector_prefix(struct run *r, uint8_t escape, uint8_t *out)
{
	uint64_t bits = next_random(r);
	uint8_t map = 1 + (bits >> 8) % 3;

	if (escape != 0xc4 && escape != 0x62)
		return 0;
	out[0] = (bits & 0xe0) | map;
	if (escape == 0xc4)
		return 1;
	out[0] |= bits & 0x10;
	out[1] = (bits >> 16) | (bits >> 24 & 7 ? 4 : 0);
	out[2] = bits >> 32;
	if (bits >> 40 & 1)
		out[2] &= 0x68;
	if (bits >> 41 & 1)
		out[1] |= 0x78;
	return 3;
}

/* Up to two legacy prefixes and REX; vector prefixes may not follow some of them, so mostly none.
 */
static unsigned legacy_prefixes(struct run *r, bool vector, struct sample *s)
{
	static const uint8_t prefixes[16] = {0x66, 0x66, 0xf2, 0xf3, 0xf2, 0xf3, 0x66, 0x67,
					     0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66};
	uint64_t bits = next_random(r);
	unsigned at = 0, i;

	if (vector && bits >> 40 & 7)
		return 0;
	for (i = bits & 3; i > 1; i--)
		s->code[at++] = prefixes[bits >> (4 * i) & 15];
	if (s->mode == X86_MODE_64 && bits >> 16 & 1)
		s->code[at++] = 0x40 | (bits >> 17 & 15);
	return at;
}

static void random_bytes(struct run *r, uint8_t *out, unsigned n)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < n; i++, v >>= 8) {
		if (i % 8 == 0)
			v = next_random(r);
		out[i] = v;
	}
}

/* Prefixes, an opcode map (some more often than others), then random bytes. */
static void make_sample(struct run *r, struct sample *s)
{
	static const uint8_t escapes[16][2] = {
		{0},    {0},    {0},    {0x0f}, {0x0f}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a},
		{0xc5}, {0xc5}, {0xc4}, {0xc4}, {0xc4}, {0x62}, {0x62},       {0x62},
	};
	uint64_t bits = next_random(r);
	const uint8_t *escape = escapes[bits >> 2 & 15];
	unsigned at, i;

	memset(s, 0, sizeof(*s));
	s->mode = bits % 4 == 3 ? X86_MODE_64 : bits % 4;
	s->len = bits >> 6 & 15 ? X86_MAX_INSN_LEN : 1 + (bits >> 10) % X86_MAX_INSN_LEN;
	at = legacy_prefixes(r, escape[0] >= 0x62, s);
	for (i = 0; i < 2 && escape[i]; i++)
		s->code[at++] = escape[i];
	at += vector_prefix(r, escape[0], s->code + at);
	random_bytes(r, s->code + at, X86_MAX_INSN_LEN - at);
}

static void init_decoder(ZydisDecoder *d, enum x86_mode mode)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth width;
	} modes[] = {
		{ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
		{ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
		{ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	};

	ZydisDecoderInit(d, modes[mode].mode, modes[mode].width);
	/* These execute as NOP or as the instruction without the prefix where they are missing. */
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_FALSE);
	ZydisDecoderEnableMode(d, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
}

static struct run run;

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_COUNT;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : DEFAULT_SEED;
	struct sample s;
	unsigned long i;
	unsigned m;

	for (m = X86_MODE_16; m <= X86_MODE_64; m++)
		init_decoder(&run.decoder[m], m);
	run.random = seed;
	for (i = 0; i < count; i++) {
		make_sample(&run, &s);
		compare(&run, &s);
	}
	for (m = 0; m < run.nkinds; m++)
		printf("%8lu %s: %lx, Zydis %lx\n         %s\n", run.kinds[m].count,
		       run.kinds[m].what, run.kinds[m].ours, run.kinds[m].theirs,
		       run.kinds[m].example);
	printf("%lu encodings (seed %" PRIu64 "), %lu valid, %lu known differences, %u kinds of "
	       "unknown ones\n",
	       count, seed, run.valid, run.excused, run.nkinds);
	return run.nkinds != 0;
}
