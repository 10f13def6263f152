/* SPDX-License-Identifier: Apache-2.0 */
/* What zydis_compare.c knows of Zydis: deliberate differences, names, instruction sets. */
#ifndef TESTS_UNIT_X86_ZYDIS_KNOWN_H
#define TESTS_UNIT_X86_ZYDIS_KNOWN_H

#include <Zydis/Zydis.h>

#include "x86/cpuid.h"
#include "x86/ops.h"

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

#endif
