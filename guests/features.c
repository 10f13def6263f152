/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID says exactly what works: every feature bit that it shows has a row here, with an
 * instruction, a bit of CR4 or a register that must work if the bit is set and be refused if not,
 * or with the place of its test.
 */
#include "guests/lib/guest.h"

#define OSXSAVE (1ul << 18)

enum reg {
	EAX,
	EBX,
	ECX,
	EDX
};

struct row {
	uint32_t leaf;
	uint8_t sub, reg, bit;
	const char *name;
	const void *code;  /* must run */
	bool runs_anyway;  /* hidden: it means another instruction, or nothing */
	uint32_t msr;      /* must be readable */
	uint8_t cr4;       /* bit that cannot be set where the feature is hidden */
	const char *where; /* guest and check, or another test */
};

/* The instructions use what lies around `word`, and registers that a called function may. */
uint8_t operands[256] __attribute__((aligned(64)));

#define ARG "operands+64(%rip)"
#define INSNS(I)                                                                    \
	I(fpu, "fninit")                                                            \
	I(tsc, "rdtsc")                                                             \
	I(cx8, "lock cmpxchg8b " ARG)                                               \
	I(cmov, "cmovz %rax, %rcx")                                                 \
	I(clflush, "clflush " ARG)                                                  \
	I(mmx, "pxor %mm0, %mm0\n\temms")                                           \
	I(fxsr, "fxsave operands(%rip)")                                            \
	I(sse, "xorps %xmm0, %xmm0")                                                \
	I(sse2, "pxor %xmm0, %xmm0")                                                \
	I(sse3, "haddps %xmm0, %xmm0")                                              \
	I(pclmul, "pclmulqdq $0, %xmm0, %xmm0")                                     \
	I(monitor, "xor %eax, %eax\n\txor %ecx, %ecx\n\txor %edx, %edx\n\tmonitor") \
	I(ssse3, "pabsb %xmm0, %xmm0")                                              \
	I(fma, "vfmadd132ps %xmm0, %xmm0, %xmm0")                                   \
	I(cx16, "mov %rbx, %r8\n\tlock cmpxchg16b " ARG "\n\tmov %r8, %rbx")        \
	I(sse41, "pmulld %xmm0, %xmm0")                                             \
	I(sse42, "crc32b %cl, %eax")                                                \
	I(movbe, "movbe " ARG ", %eax")                                             \
	I(popcnt, "popcnt %eax, %eax")                                              \
	I(aes, "aesenc %xmm0, %xmm0")                                               \
	I(xsave, "xor %ecx, %ecx\n\txgetbv")                                        \
	I(avx, "vxorps %ymm0, %ymm0, %ymm0")                                        \
	I(f16c, "vcvtph2ps %xmm0, %xmm0")                                           \
	I(rdrand, "rdrand %eax")                                                    \
	I(bmi1, "andn %eax, %ecx, %eax")                                            \
	I(avx2, "vpabsb %ymm0, %ymm0")                                              \
	I(bmi2, "shlx %eax, %ecx, %eax")                                            \
	I(invpcid, "mov $2, %eax\n\tinvpcid operands+64(%rip), %rax")               \
	I(avx512f, "vpaddd %zmm0, %zmm0, %zmm0")                                    \
	I(avx512dq, "vpmullq %zmm0, %zmm0, %zmm0")                                  \
	I(rdseed, "rdseed %eax")                                                    \
	I(adx, "adcx %eax, %eax")                                                   \
	I(ifma, "vpmadd52luq %zmm0, %zmm0, %zmm0")                                  \
	I(clflushopt, "clflushopt " ARG)                                            \
	I(clwb, "clwb " ARG)                                                        \
	I(avx512cd, "vplzcntd %zmm0, %zmm0")                                        \
	I(sha, "sha1nexte %xmm0, %xmm0")                                            \
	I(avx512bw, "vpaddb %zmm0, %zmm0, %zmm0")                                   \
	I(avx512vl, "vpaddd %ymm16, %ymm16, %ymm16")                                \
	I(vbmi, "vpermb %zmm0, %zmm0, %zmm0")                                       \
	I(vbmi2, "vpcompressb %zmm0, %zmm0")                                        \
	I(gfni, "gf2p8mulb %xmm0, %xmm0")                                           \
	I(vaes, "vaesenc %ymm0, %ymm0, %ymm0")                                      \
	I(vpclmul, "vpclmulqdq $0, %ymm0, %ymm0, %ymm0")                            \
	I(vnni, "vpdpbusd %zmm0, %zmm0, %zmm0")                                     \
	I(bitalg, "vpopcntb %zmm0, %zmm0")                                          \
	I(vpopcntdq, "vpopcntd %zmm0, %zmm0")                                       \
	I(rdpid, "rdpid %rax")                                                      \
	I(avxvnni, "{vex} vpdpbusd %xmm0, %xmm0, %xmm0")                            \
	I(bf16, "vcvtneps2bf16 %zmm0, %ymm0")                                       \
	I(xsaveopt, "xor %eax, %eax\n\txor %edx, %edx\n\txsaveopt operands(%rip)")  \
	I(xsavec, "xor %eax, %eax\n\txor %edx, %edx\n\txsavec operands(%rip)")      \
	I(xgetbv1, "mov $1, %ecx\n\txgetbv")                                        \
	I(xsaves, "xor %eax, %eax\n\txor %edx, %edx\n\txsaves operands(%rip)")      \
	I(rdtscp, "rdtscp")                                                         \
	I(lahf, "lahf")                                                             \
	I(abm, "lzcnt %eax, %eax")                                                  \
	I(sse4a, "extrq $0, $0, %xmm0")                                             \
	I(prefetchw, "prefetchw " ARG)                                              \
	I(clzero, "lea operands+64(%rip), %rax\n\tclzero")

#define I(name, text)                    \
	extern const char insn_##name[]; \
	__asm__(".text\ninsn_" #name ":\n\t" text "\n\tret\n");
INSNS(I)
#undef I

#define RUNS(leaf, sub, reg, bit, name)                                    \
	{                                                                  \
		leaf, sub, reg, bit, #name, insn_##name, false, 0, 0, NULL \
	}
#define RUNS_ANYWAY(leaf, sub, reg, bit, name)                            \
	{                                                                 \
		leaf, sub, reg, bit, #name, insn_##name, true, 0, 0, NULL \
	}
#define READS(leaf, sub, reg, bit, name, msr)                         \
	{                                                             \
		leaf, sub, reg, bit, #name, NULL, false, msr, 0, NULL \
	}
#define ENABLES(leaf, sub, reg, bit, name, cr4, where)                 \
	{                                                              \
		leaf, sub, reg, bit, #name, NULL, false, 0, cr4, where \
	}
#define SEE(leaf, sub, reg, bit, name, where)                        \
	{                                                            \
		leaf, sub, reg, bit, #name, NULL, false, 0, 0, where \
	}

#define AMD1 0x80000001

/* AVX-512 has state of its own: without it no EVEX instruction runs, whatever else is shown. */
static const struct row rows[] = {
	RUNS(1, 0, EDX, 0, fpu),
	ENABLES(1, 0, EDX, 1, vme, 0, "never shown"),
	ENABLES(1, 0, EDX, 2, de, 3, "steps 9, 11"),
	ENABLES(1, 0, EDX, 3, pse, 4, "protected 20"),
	RUNS(1, 0, EDX, 4, tsc),
	READS(1, 0, EDX, 5, msr, 0xc0000080),
	SEE(1, 0, EDX, 6, pae, "protected 21"),
	RUNS(1, 0, EDX, 8, cx8),
	READS(1, 0, EDX, 9, apic, 0x1b),
	READS(1, 0, EDX, 11, sep, 0x174),
	READS(1, 0, EDX, 12, mtrr, 0xfe),
	ENABLES(1, 0, EDX, 13, pge, 7, "paging 16"),
	RUNS(1, 0, EDX, 15, cmov),
	READS(1, 0, EDX, 16, pat, 0x277),
	SEE(1, 0, EDX, 17, pse36, "protected 20"),
	RUNS(1, 0, EDX, 19, clflush),
	RUNS(1, 0, EDX, 23, mmx),
	RUNS(1, 0, EDX, 24, fxsr),
	RUNS(1, 0, EDX, 25, sse),
	RUNS(1, 0, EDX, 26, sse2),
	SEE(1, 0, EDX, 28, ht, "tests/unit/kvm/test_cpuid.c"),
	RUNS(1, 0, ECX, 0, sse3),
	RUNS(1, 0, ECX, 1, pclmul),
	RUNS(1, 0, ECX, 3, monitor),
	RUNS(1, 0, ECX, 9, ssse3),
	RUNS(1, 0, ECX, 12, fma),
	RUNS(1, 0, ECX, 13, cx16),
	ENABLES(1, 0, ECX, 17, pcid, 17, "paging 21"),
	RUNS(1, 0, ECX, 19, sse41),
	RUNS(1, 0, ECX, 20, sse42),
	SEE(1, 0, ECX, 21, x2apic, "interrupts 16, 20"),
	RUNS(1, 0, ECX, 22, movbe),
	RUNS(1, 0, ECX, 23, popcnt),
	READS(1, 0, ECX, 24, tsc_deadline, 0x6e0),
	RUNS(1, 0, ECX, 25, aes),
	RUNS(1, 0, ECX, 26, xsave),
	SEE(1, 0, ECX, 27, osxsave, "fpu 10"),
	RUNS(1, 0, ECX, 28, avx),
	RUNS(1, 0, ECX, 29, f16c),
	RUNS(1, 0, ECX, 30, rdrand),
	SEE(1, 0, ECX, 31, hypervisor, "leaf 40000000h answers"),
	SEE(6, 0, EAX, 2, arat, "interrupts 3, 11: the timer runs while the processor halts"),
	ENABLES(7, 0, EBX, 0, fsgsbase, 16, "corners 7"),
	READS(7, 0, EBX, 1, tsc_adjust, 0x3b),
	RUNS(7, 0, EBX, 3, bmi1),
	RUNS(7, 0, EBX, 5, avx2),
	ENABLES(7, 0, EBX, 7, smep, 20, "paging 19"),
	RUNS(7, 0, EBX, 8, bmi2),
	SEE(7, 0, EBX, 9, erms, "cpu 1: REP MOVSB is not slow"),
	RUNS(7, 0, EBX, 10, invpcid),
	RUNS(7, 0, EBX, 16, avx512f),
	RUNS(7, 0, EBX, 17, avx512dq),
	RUNS(7, 0, EBX, 18, rdseed),
	RUNS(7, 0, EBX, 19, adx),
	ENABLES(7, 0, EBX, 20, smap, 21, "paging 20"),
	RUNS(7, 0, EBX, 21, ifma),
	RUNS(7, 0, EBX, 23, clflushopt),
	RUNS(7, 0, EBX, 24, clwb),
	RUNS(7, 0, EBX, 28, avx512cd),
	RUNS(7, 0, EBX, 29, sha),
	RUNS(7, 0, EBX, 30, avx512bw),
	RUNS(7, 0, EBX, 31, avx512vl),
	RUNS(7, 0, ECX, 1, vbmi),
	ENABLES(7, 0, ECX, 2, umip, 11, "umip() below"),
	RUNS(7, 0, ECX, 6, vbmi2),
	RUNS(7, 0, ECX, 8, gfni),
	RUNS(7, 0, ECX, 9, vaes),
	RUNS(7, 0, ECX, 10, vpclmul),
	RUNS(7, 0, ECX, 11, vnni),
	RUNS(7, 0, ECX, 12, bitalg),
	RUNS(7, 0, ECX, 14, vpopcntdq),
	RUNS(7, 0, ECX, 22, rdpid),
	SEE(7, 0, EDX, 4, fsrm, "cpu 1: short REP MOVSB is not slow"),
	RUNS(7, 1, EAX, 4, avxvnni),
	RUNS(7, 1, EAX, 5, bf16),
	RUNS(13, 1, EAX, 0, xsaveopt),
	RUNS(13, 1, EAX, 1, xsavec),
	RUNS(13, 1, EAX, 2, xgetbv1),
	RUNS(13, 1, EAX, 3, xsaves),
	SEE(AMD1, 0, ECX, 1, cmp_legacy, "tests/unit/kvm/test_cpuid.c"),
	RUNS(AMD1, 0, ECX, 0, lahf),
	READS(AMD1, 0, ECX, 2, svm, 0xc0010114),
	RUNS_ANYWAY(AMD1, 0, ECX, 5, abm),
	RUNS(AMD1, 0, ECX, 6, sse4a),
	RUNS_ANYWAY(AMD1, 0, ECX, 8, prefetchw),
	SEE(AMD1, 0, EDX, 11, syscall, "gates 12, 13"),
	SEE(AMD1, 0, EDX, 20, nx, "paging 7, 9"),
	SEE(AMD1, 0, EDX, 26, pdpe1gb, "paging 14"),
	RUNS(AMD1, 0, EDX, 27, rdtscp),
	SEE(AMD1, 0, EDX, 29, lm, "this guest runs"),
	SEE(0x80000007, 0, EDX, 8, constant_tsc, "tests/e2e/test_linux.py: the guest's clock"),
	RUNS(0x80000008, 0, EBX, 0, clzero),
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

/* Bits of leaf 1 that AMD repeats here. */
#define AMD1_REPEATED 0x0183f3ffu

static uint32_t answer(uint32_t leaf, uint32_t sub, unsigned reg)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return reg == EAX ? r.a : reg == EBX ? r.b : reg == ECX ? r.c : r.d;
}

static bool is_shown(const struct row *r)
{
	return answer(r->leaf, r->sub, r->reg) >> r->bit & 1;
}

static void enable_vectors(void)
{
	uint32_t low, high;

	if (!(answer(1, 0, ECX) >> 26 & 1))
		return;
	WRITE_CR(4, READ_CR(4) | OSXSAVE);
	low = answer(13, 0, EAX);
	high = answer(13, 0, EDX);
	__asm__ volatile("xsetbv" : : "c"(0), "a"(low), "d"(high));
}

/* ---- what is shown works ----------------------------------------------------------------------
 */

static int read_msr(uint32_t msr)
{
	return TRY("rdmsr", : : "c"(msr) : "rax", "rdx", "memory");
}

static bool shown_work(void)
{
	bool good = true;

	enable_vectors();
	for (unsigned i = 0; i < NROWS; i++) {
		const struct row *r = &rows[i];

		if (!is_shown(r))
			continue;
		if (r->code)
			good &= expect(r->name, (unsigned)try_exec((void *)r->code), (unsigned)-1);
		else if (r->msr)
			good &= expect(r->name, (unsigned)read_msr(r->msr), (unsigned)-1);
		else
			good &= expect(r->name, r->where != NULL, true);
	}
	return good;
}

/* ---- what is hidden is refused ----------------------------------------------------------------
 */

static int set_cr4(unsigned bit)
{
	return TRY("mov %0, %%cr4", : : "r"(READ_CR(4) | 1ul << bit) : "memory");
}

static bool hidden_refused(void)
{
	bool good = true;

	enable_vectors();
	for (unsigned i = 0; i < NROWS; i++) {
		const struct row *r = &rows[i];
		int v = VEC_UD;

		if (is_shown(r))
			continue;
		if (r->code && !r->runs_anyway)
			v = try_exec((void *)r->code);
		else if (r->cr4 && set_cr4(r->cr4) != VEC_GP)
			v = -1;
		if (v == VEC_GP && r->code == insn_xgetbv1) /* the register is not there */
			v = VEC_UD;
		good &= expect(r->name, (unsigned)v, VEC_UD);
	}
	return good;
}

/* ---- nothing is shown that has no row ---------------------------------------------------------
 */

static const struct {
	uint32_t leaf;
	uint8_t sub, reg;
} registers[] = {
	{1, 0, ECX},          {1, 0, EDX},          {6, 0, EAX},          {7, 0, EBX},
	{7, 0, ECX},          {7, 0, EDX},          {7, 1, EAX},          {13, 1, EAX},
	{AMD1, 0, ECX},       {AMD1, 0, EDX},       {0x80000007, 0, EDX}, {0x80000008, 0, EBX},
	{0x80000007, 0, EBX}, {0x80000007, 0, ECX}, {7, 1, EBX},          {7, 1, ECX},
	{7, 1, EDX},          {7, 2, EDX},          {6, 0, ECX},          {13, 1, ECX},
};

static uint32_t tested(unsigned n)
{
	uint32_t bits = registers[n].leaf == AMD1 && registers[n].reg == EDX ? AMD1_REPEATED : 0;

	for (unsigned i = 0; i < NROWS; i++)
		if (rows[i].leaf == registers[n].leaf && rows[i].sub == registers[n].sub &&
		    rows[i].reg == registers[n].reg)
			bits |= 1u << rows[i].bit;
	return bits;
}

static bool shown_are_known(void)
{
	bool good = true;

	for (unsigned n = 0; n < sizeof(registers) / sizeof(registers[0]); n++) {
		uint32_t bits = answer(registers[n].leaf, registers[n].sub, registers[n].reg);

		if (bits & ~tested(n))
			print("  leaf %x subleaf %u register %u:\n",
			      (unsigned long)registers[n].leaf, registers[n].sub, registers[n].reg);
		good &= expect("bits without a test", bits & ~tested(n), 0);
	}
	return good;
}

/* AMD's copy of leaf 1 agrees with it. */
static bool repeated_bits(void)
{
	return expect("edx", answer(AMD1, 0, EDX) & AMD1_REPEATED,
		      answer(1, 0, EDX) & AMD1_REPEATED);
}

/* ---- UMIP -------------------------------------------------------------------------------------
 */

#define USER_CODE(name, text) \
	void name(void);      \
	__asm__(".text\n" #name ":\n" text)

USER_CODE(user_sgdt, "sgdt -64(%rsp)\nint $0x80\n");
USER_CODE(user_sldt, "sldt %eax\nint $0x80\n");
USER_CODE(user_str, "str %eax\nint $0x80\n");
USER_CODE(user_smsw, "smsw %eax\nint $0x80\n");

static bool umip(void)
{
	static void (*const list[])(void) = {user_sgdt, user_sldt, user_str, user_smsw};
	bool good = true;

	for (unsigned i = 0; i < 4; i++)
		good &= expect("without UMIP", (unsigned)user_run(list[i], 0), 0x80);
	if (!(answer(7, 0, ECX) >> 2 & 1))
		return good;
	WRITE_CR(4, READ_CR(4) | 1ul << 11);
	for (unsigned i = 0; i < 4; i++)
		good &= expect("with UMIP", (unsigned)user_run(list[i], 0), VEC_GP);
	WRITE_CR(4, READ_CR(4) & ~(1ul << 11));
	return good;
}

/* ---- KVM's calls ------------------------------------------------------------------------------
 */

#define NO_SUCH_CALL ((uint64_t)-1000)

USER_CODE(user_vmmcall, "mov $9, %eax\nvmmcall\nint $0x80\n");

static bool hypercall(void)
{
	uint64_t got = 12345;
	int v;
	bool good;

	if (answer(0x40000000, 0, EBX) != 0x4b4d564b) /* "KVMK" */
		return true;
	v = TRY("vmmcall", : "+a"(got) : : "memory");
	good = expect("vmmcall", (unsigned)v, (unsigned)-1) & expect("result", got, NO_SUCH_CALL);
	v = TRY("vmcall", : "+a"(got) : : "memory");
	good &= expect("vmcall", (unsigned)v, (unsigned)-1) & expect("result", got, NO_SUCH_CALL);
	good &= expect("of a user", (unsigned)user_run(user_vmmcall, 0), 0x80);
	return good & expect("result", trap.frame.rax, (uint64_t)-1);
}

/* Every AMD since the K7 has four counters that no feature bit announces; Xen clears them. */
static bool performance_counters(void)
{
	static const uint32_t first[] = {0xc0010000, 0xc0010004};
	bool good = true;

	if (answer(0, 0, EBX) != 0x68747541) /* "Auth" */
		return true;
	for (unsigned i = 0; i < 8; i++) {
		uint32_t msr = first[i / 4] + i % 4;
		int v = TRY("wrmsr", : : "c"(msr), "a"(0), "d"(0) : "memory");

		good &= expect("written", (unsigned)v, (unsigned)-1) &
			expect("read", (unsigned)read_msr(msr), (unsigned)-1);
	}
	return good;
}

const struct check checks[] = {
	{1, "CPUID: what a bit shows works", shown_work},
	{2, "CPUID: what no bit shows is refused", hidden_refused},
	{3, "CPUID: every bit has a test", shown_are_known},
	{4, "CPUID: AMD's copy of leaf 1", repeated_bits},
	{5, "2.5: UMIP", umip},
	{6, "KVM's hypercalls: one that there is not", hypercall},
	{7, "AMD's first performance counters are there", performance_counters},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 5;
