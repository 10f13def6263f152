/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bare-metal test guests share: output, checks, ports, and traps that a check expects.
 *
 * A guest is a table of numbered checks. Each prints "ok N" or "FAIL N: sentence" after the
 * details of what differed, on COM1 and on port 402h. The guest ends through port f4h: value 10h
 * when all passed (exit status 33), 11h otherwise (35).
 */
#ifndef GUESTS_LIB_GUEST_H
#define GUESTS_LIB_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/lib/layout.h"

#define EXIT_PORT   0xf4
#define EXIT_PASSED 0x10
#define EXIT_FAILED 0x11

/* Every guest defines these three. Sections are those of the Intel SDM. */
struct check {
	unsigned n;
	const char *what; /* "section: what must hold" */
	bool (*run)(void);
};
extern const struct check checks[];
extern const unsigned nchecks;
/* How often the table runs: guests without clocks in them go round until translated code is hot. */
extern const unsigned rounds;
extern const char *guest_command_line;

/* printf with %s %c %u %x (unsigned long), %d (int as unsigned) only. */
void print(const char *fmt, ...);
/* Prints when `got` differs from `want`; gives whether they agree. */
bool expect(const char *what, uint64_t got, uint64_t want);
__attribute__((noreturn)) void guest_exit(uint8_t value);

/* ---- instructions ---------------------------------------------------------------------------- */

static inline void outb(uint16_t port, uint8_t val)
{
	__asm__ volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t val)
{
	__asm__ volatile("outl %0, %1" : : "a"(val), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t val;

	__asm__ volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t val;

	__asm__ volatile("inl %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (uint64_t)high << 32;
}

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
	return r;
}

#define READ_CR(n)                                                 \
	({                                                         \
		unsigned long v_;                                  \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v_)); \
		v_;                                                \
	})
#define WRITE_CR(n, val) \
	__asm__ volatile("mov %0, %%cr" #n : : "r"((unsigned long)(val)) : "memory")

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* ---- traps ----------------------------------------------------------------------------------- */

#ifdef __x86_64__
/* As trap_common in start64.S pushes it. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
#else
/* As trap_common in start32.S pushes it; what the processor does not push is not there. */
struct frame {
	uint32_t edi, esi, ebp, esp_here, ebx, edx, ecx, eax;
	uint32_t vector, error, rip, cs, rflags, rsp, ss, v86_es, v86_ds, v86_fs, v86_gs;
};
#endif

struct trap {
	struct frame frame;
	uint64_t cr2;
	unsigned long sp; /* where the frame was */
	unsigned count;   /* since trap_clear() */
};
extern struct trap trap;            /* the last one */
extern volatile unsigned hits[256]; /* by vector, since trap_clear() */

typedef void trap_fn(struct frame *f);
extern trap_fn *trap_handler[256]; /* NULL: the trap ends a TRY() or the guest */

void trap_clear(void);
void trap_init(void);

enum {
	GATE_INTERRUPT = 0xe,
	GATE_TRAP = 0xf
};
/* Gate `vector` of the IDT back to its stub: type, DPL; IST in 64-bit guests. */
void gate_set(unsigned vector, unsigned type, unsigned dpl, unsigned ist);
void gate_present(unsigned vector, bool present);

/* Calls code that may trap. -1, or the vector in which it ended. */
int try_exec(void *code);

extern unsigned long try_resume, try_rsp;
extern long try_vector;

/*
 * One asm statement that may trap, inline: gives -1 or the vector. `trap` tells the rest.
 * Operands follow the text as in asm; the statement must leave the stack as it was.
 */
#ifdef __x86_64__
#define TRY(text, ...)                                                            \
	({                                                                        \
		__asm__ volatile("movq $-1, try_vector\n\tmov %%rsp, try_rsp\n\t" \
				 "movq $9f, try_resume\n\t" text                  \
				 "\n9:\tmovq $0, try_resume" __VA_ARGS__);        \
		(int)*(volatile long *)&try_vector;                               \
	})
#else
#define TRY(text, ...)                                                            \
	({                                                                        \
		__asm__ volatile("movl $-1, try_vector\n\tmov %%esp, try_rsp\n\t" \
				 "movl $9f, try_resume\n\t" text                  \
				 "\n9:\tmovl $0, try_resume" __VA_ARGS__);        \
		(int)*(volatile long *)&try_vector;                               \
	})
#endif

/* Ring 3: runs until a trap, which is then in `trap`. IF as in rflags; gives the vector. */
int user_run(void *code, unsigned long rflags);

#define VEC_DE  0
#define VEC_DB  1
#define VEC_NMI 2
#define VEC_BP  3
#define VEC_OF  4
#define VEC_BR  5
#define VEC_UD  6
#define VEC_NM  7
#define VEC_DF  8
#define VEC_TS  10
#define VEC_NP  11
#define VEC_SS  12
#define VEC_GP  13
#define VEC_PF  14
#define VEC_MF  16
#define VEC_AC  17
#define VEC_XM  19

/* ---- task state segment ---------------------------------------------------------------------- */

#ifdef __x86_64__
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, iomap;
	uint8_t bitmap[0x404 / 8 + 2]; /* ports up to 0x40f */
} __attribute__((packed));
#else
struct tss {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, gpr[8], seg[6], ldt;
	uint16_t trace, iomap;
	uint8_t bitmap[0x404 / 8 + 2];
} __attribute__((packed));
#endif
extern struct tss tss;
extern uint64_t gdt[];

/* ---- time ------------------------------------------------------------------------------------ */

/* Waits, counted by the PIT's channel 2. */
void delay_us(unsigned us);

#endif
