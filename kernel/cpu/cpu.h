/* SPDX-License-Identifier: Apache-2.0 */
/* The processor: registers, instructions, and what each CPU has for itself. */
#ifndef KERNEL_CPU_CPU_H
#define KERNEL_CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CPUS 64

/* Selectors; the order of the user ones is SYSRET's (Intel SDM vol. 2, SYSRET). */
#define SEL_KCODE 0x08
#define SEL_KDATA 0x10
#define SEL_UDATA 0x23
#define SEL_UCODE 0x2b
#define SEL_TSS   0x30

#define RFLAGS_TF 0x100UL
#define RFLAGS_IF 0x200UL
#define RFLAGS_DF 0x400UL
/* What a program may set by itself: status, TF, DF, RF?, AC, ID. */
#define RFLAGS_USER 0x240dd5UL

#define CR0_WP         (1UL << 16)
#define CR4_OSFXSR     (1UL << 9)
#define CR4_OSXMMEXCPT (1UL << 10)
#define CR4_UMIP       (1UL << 11)
#define CR4_MCE        (1UL << 6)
#define CR4_PGE        (1UL << 7)
#define CR4_FSGSBASE   (1UL << 16)
#define CR4_OSXSAVE    (1UL << 18)
#define CR4_SMEP       (1UL << 20)
#define CR4_SMAP       (1UL << 21)

#define MSR_APIC_BASE      0x1b
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_SFMASK         0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define EFER_SCE           1UL

/* What trap.S pushes. The general registers stand as in the frame of a signal. */
struct regs {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx;
	uint64_t vector, error; /* error: the system call's number on that way in */
	uint64_t rip, cs, rflags, rsp, ss;
};

static inline bool regs_user(const struct regs *r)
{
	return r->cs & 3;
}

struct space;
struct thread;

struct tss {
	uint32_t reserved;
	uint64_t rsp[3];
	uint64_t reserved2, ist[7], reserved3;
	uint16_t reserved4, iomap;
} __attribute__((packed));

/* Reached through GS in the kernel; the first fields are known to trap.S. */
struct cpu {
	struct cpu *self;
	uint64_t kernel_rsp;    /* 8: top of the current thread's stack */
	uint64_t user_rsp;      /* 16: scratch of the system call entry */
	struct thread *current; /* 24 */
	struct thread *idle;
	struct thread *previous; /* during a switch */
	unsigned index;
	uint32_t apic_id;
	bool online;
	volatile bool need_resched;
	uint64_t timer_ticks;
	uint8_t nmi_reason;                 /* port 61h at the last NMI */
	volatile bool nmi_came, apic_ready; /* apic_ready: it can be told, by VECTOR_NMI */
	struct tss tss;
	uint64_t gdt[8];
	uint64_t ist_stack[3]; /* double fault, NMI, machine check */
	struct space *space;   /* whose page table is loaded; NULL: the kernel's own */
	void *hv;              /* kernel/hv: VMXON region or host save area */
};

extern struct cpu cpus[MAX_CPUS];
extern unsigned ncpus;

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(c));
	return c;
}

static inline struct thread *current_thread(void)
{
	struct thread *t;

	__asm__ volatile("movq %%gs:24, %0" : "=r"(t));
	return t;
}

static inline _Noreturn void cpu_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

/* XCR0 */
static inline void xsetbv(uint64_t v)
{
	__asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* What LGDT, LIDT and SIDT take and give. */
struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* Control and debug registers. */
#define REG_ACCESS(name)                                                      \
	static inline uint64_t read_##name(void)                              \
	{                                                                     \
		uint64_t v;                                                   \
                                                                              \
		__asm__ volatile("movq %%" #name ", %0" : "=r"(v)::"memory"); \
		return v;                                                     \
	}                                                                     \
	static inline void write_##name(uint64_t v)                           \
	{                                                                     \
		__asm__ volatile("movq %0, %%" #name ::"r"(v) : "memory");    \
	}
REG_ACCESS(cr0)
REG_ACCESS(cr2)
REG_ACCESS(cr3)
REG_ACCESS(cr4)
REG_ACCESS(dr0)
REG_ACCESS(dr1)
REG_ACCESS(dr2)
REG_ACCESS(dr3)
REG_ACCESS(dr6)

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid c;

	__asm__ volatile("cpuid"
			 : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx)
			 : "a"(leaf), "c"(sub));
	return c;
}

static inline void invlpg(uint64_t virt)
{
	__asm__ volatile("invlpg (%0)" ::"r"(virt) : "memory");
}

/* User memory may be touched between these two (SMAP); see mm/user.h for the checks. */
void user_access_begin(void);
void user_access_end(void);

/* Descriptor tables, control registers and MSRs of the CPU this runs on. */
void cpu_setup(struct cpu *c);
/* The interrupt descriptor table: made once, then loaded by each CPU. */
void idt_init(void);
void idt_load(void);

/* Machine checks: on each CPU they are switched on; what the banks of this one tell. */
void mce_setup(void);
void mce_report(void);

/* ---- interrupts (trap.c) --------------------------------------------------------------------- */

#define VECTOR_IRQ      0x30 /* devices' interrupts, up to VECTOR_IRQ_END */
#define VECTOR_IRQ_END  0xef
#define VECTOR_TIMER    0xf0
#define VECTOR_RESCHED  0xf1
#define VECTOR_FLUSH    0xf2
#define VECTOR_KICK     0xf4 /* takes a CPU out of a guest, nothing else */
#define VECTOR_NMI      0xf5 /* there was one: it itself may take no lock to say so */
#define VECTOR_SPURIOUS 0xff

typedef void irq_fn(void *opaque);
/* Gives a free device vector to `fn`, which runs with interrupts off. 0 if none is left. */
unsigned irq_alloc(irq_fn *fn, void *opaque);
void trap_init(void);

#endif
