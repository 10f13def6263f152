/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status flags that an exception's handler finds, though the code behind the instruction that
 * faults sets all of them again: a processor shows those from before it.
 */
#include "guests/lib/guest.h"

#define STATUS 0x8d5
#define AF     0x10ul

extern uint8_t flags_image[]; /* 64 bytes, aligned */
__asm__(".bss\n.balign 64\nflags_image: .skip 64\n.text\n");

/*
 * Two functions from one text that sets flags: what they are then, and the same before an
 * instruction that faults. RDI points to nothing, RSI to flags_image.
 */
#define CASE(name, set, fault)                                                         \
	uint64_t name##_flags(void);                                                   \
	void name##_fault(void);                                                       \
	__asm__(".text\n" #name                                                        \
		"_flags:\n\tmov $0x7f00000000, %rdi\n\tmov $flags_image, %esi\n\t" set \
		"\n\tpushfq\n\tpop %rax\n\tret\n" #name                                \
		"_fault:\n\tmov $0x7f00000000, %rdi\n\tmov $flags_image, %esi\n\t" set \
		"\n\t" fault "\n\txor %eax, %eax\n\tret\n");

#define LOAD "mov 8(%rdi), %rdx"

CASE(add, "mov $-1, %eax\n\tmov $1, %ecx\n\tadd %ecx, %eax", LOAD)
CASE(add_lost, "mov $0x7fffffff, %eax\n\tadd $3, %eax\n\tmov $5, %eax", LOAD)
CASE(add_self, "mov $0x80000001, %eax\n\tadd %eax, %eax", LOAD)
CASE(sub,
     "mov $3, %eax\n\tmov $0x80000008, %ecx\n\tsub %ecx, %eax\n\tmov %eax, %edx\n\tmov $1, %eax",
     LOAD)
CASE(cmp, "mov $0x12, %eax\n\tcmp $0x93, %al", "mov %rax, (%rdi)")
CASE(cmp_high, "mov $0x8012, %eax\n\tmov $0x91, %ecx\n\tcmp %cl, %ah", LOAD)
CASE(cmp_memory, "movl $0x93, (%rsi)\n\tmov $0x12, %eax\n\tcmp (%rsi), %al", LOAD)
CASE(cmp_stored, "movl $0x93, (%rsi)\n\tmov $0x12, %eax\n\tcmp (%rsi), %al\n\tmovl $0x12, (%rsi)",
     LOAD)
CASE(add_memory, "movl $0xfffffff8, 4(%rsi)\n\tmov $0x12, %eax\n\tadd %eax, 4(%rsi)", LOAD)
CASE(test, "mov $0x80000003, %eax\n\ttest %eax, %eax", "push (%rdi)")
CASE(logic, "mov $0x80000003, %eax\n\tand $0x80000000, %eax", LOAD)
CASE(cleared, "xor %ecx, %ecx\n\tmov $7, %ecx", LOAD)
CASE(step, "stc\n\tmov $0x7fffffff, %eax\n\tinc %eax", LOAD)
CASE(step_down, "clc\n\tmov $0x80000000, %eax\n\tdec %eax", LOAD)
CASE(negated, "mov $0x80000000, %eax\n\tneg %eax", LOAD)
CASE(shifted, "mov $0x80000001, %eax\n\tshl $1, %eax", LOAD)
CASE(by_cl, "mov $9, %eax\n\tcmp $10, %eax\n\txor %ecx, %ecx\n\tstc\n\tshl %cl, %eax", LOAD)
CASE(product, "mov $0x10000, %eax\n\timul %eax, %eax\n\tand $0xffffffff, %eax\n\tstc", LOAD)
CASE(borrowed, "mov $1, %eax\n\tcmp $2, %eax\n\tsbb %eax, %eax", LOAD)
CASE(popped, "push $0xc5\n\tpopfq", LOAD)
CASE(behind_jump, "mov $1, %eax\n\tcmp $2, %eax\n\tje 1f\n\tlea 1(%rax), %rcx\n\t1:", LOAD)
CASE(jumped, "mov $1, %eax\n\tcmp $2, %eax\n\tjb 1f\n\tud2\n\t1:", LOAD)
CASE(joined,
     "mov $1, %eax\n\tjmp 2f\n\t1: mov $3, %eax\n\tcmp $7, %eax\n\tjne 3f\n\tud2\n\t"
     "2: test $1, %al\n\tjne 1b\n\tud2\n\t3:",
     LOAD)
CASE(went_on, "mov $1, %eax\n\tcmp $2, %eax\n\tlea (%rax), %rcx\n\tjmp 1f\n\t1:\tlea (%rax), %rdx",
     LOAD)
CASE(window, "mov $1, %eax\n\tcmp $2, %eax",
     "mov (%rdi), %rdx\n\tmov 8(%rdi), %rcx\n\tmov 16(%rdi), %rdx")
CASE(divided, "xor %ecx, %ecx\n\tmov $1, %eax\n\tcmp $2, %eax", "div %ecx")
CASE(undefined, "mov $1, %eax\n\tcmp $2, %eax", "ud2")
CASE(broken, "mov $1, %eax\n\tcmp $2, %eax", "int3")
CASE(copied,
     "mov $1, %eax\n\tmov %rdi, %rdx\n\tmov %rsi, %rdi\n\tmov %rdx, %rsi\n\tmov $4, %ecx\n\tcmp "
     "$2, %eax",
     "rep movsb")

CASE(unaligned, "mov $1, %eax\n\tcmp $2, %eax", "movaps 1(%rsi), %xmm0")

struct pair {
	const char *name;
	uint64_t (*flags)(void);
	void (*fault)(void);
};

#define PAIR(name)                                \
	{                                         \
#name, name##_flags, name##_fault \
	}
#define ALL(...)                                                   \
	({                                                         \
		static const struct pair pairs_[] = {__VA_ARGS__}; \
		agree(pairs_, sizeof(pairs_) / sizeof(*pairs_));   \
	})

/* AF is left undefined by many. */
static bool agree(const struct pair *p, unsigned n)
{
	bool good = true;

	for (unsigned i = 0; i < n; i++) {
		uint64_t want = p[i].flags() & (STATUS & ~AF);

		good &= expect("it faults", try_exec(p[i].fault) >= 0, true);
		good &= expect(p[i].name, trap.frame.rflags & (STATUS & ~AF), want);
	}
	return good;
}

static bool sums(void)
{
	return ALL(PAIR(add), PAIR(add_lost), PAIR(add_self), PAIR(sub), PAIR(cmp), PAIR(cmp_high),
		   PAIR(step), PAIR(step_down), PAIR(negated), PAIR(borrowed), PAIR(product));
}

static bool of_memory(void)
{
	return ALL(PAIR(cmp_memory), PAIR(cmp_stored), PAIR(add_memory));
}

static bool logical(void)
{
	return ALL(PAIR(test), PAIR(logic), PAIR(cleared), PAIR(shifted), PAIR(by_cl));
}

static bool of_others(void)
{
	return ALL(PAIR(popped), PAIR(behind_jump));
}

static bool exceptions(void)
{
	return ALL(PAIR(divided), PAIR(undefined), PAIR(broken), PAIR(copied), PAIR(unaligned));
}

static bool of_several(void)
{
	return ALL(PAIR(window));
}

static bool behind_branches(void)
{
	return ALL(PAIR(jumped), PAIR(joined), PAIR(went_on));
}

const struct check checks[] = {
	{1, "1 3.4.3.1: sums, differences and their flags", sums},
	{2, "1 3.4.3.1: the same of memory, which may have changed", of_memory},
	{3, "1 3.4.3.1: logic and shifts", logical},
	{4, "1 3.4.3.1: popped, and behind a jump", of_others},
	{5, "3 6.12.1: what exceptions of every kind push", exceptions},
	{6, "3 6.12.1: of several accesses side by side the first", of_several},
	{7, "1 3.4.3.1: set before a jump", behind_branches},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 40;
