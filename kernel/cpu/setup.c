/* SPDX-License-Identifier: Apache-2.0 */
/* What every CPU needs before it can run threads. */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/entry.h"
#include "kernel/cpu/fpu.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/layout.h"

struct cpu cpus[MAX_CPUS];
unsigned ncpus;

static bool has_smap;

void user_access_begin(void)
{
	if (has_smap)
		__asm__ volatile("stac" ::: "memory", "cc");
}

void user_access_end(void)
{
	if (has_smap)
		__asm__ volatile("clac" ::: "memory", "cc");
}

/* Its top, above which the trap's entry finds the CPU. */
static uint64_t emergency_stack(struct cpu *c)
{
	char *end = (char *)must(kzalloc(2 * PAGE_SIZE), "a CPU's stacks") + 2 * PAGE_SIZE;

	*(struct cpu **)(end - 16) = c;
	return (uint64_t)end - 16;
}

static void load_gdt(struct cpu *c)
{
	uint64_t tss = (uint64_t)&c->tss;
	struct table_register gdtr = {sizeof(c->gdt) - 1, (uint64_t)c->gdt};

	c->gdt[1] = 0x00af9b000000ffff; /* kernel code */
	c->gdt[2] = 0x00cf93000000ffff; /* kernel data */
	c->gdt[4] = 0x00cff3000000ffff; /* user data */
	c->gdt[5] = 0x00affb000000ffff; /* user code */
	c->gdt[6] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | 0x89UL << 40 |
		    (tss >> 24 & 0xff) << 56;
	c->gdt[7] = tss >> 32;
	c->tss.iomap = sizeof(struct tss);
	for (unsigned i = 0; i < 3; i++)
		c->tss.ist[i] = c->ist_stack[i] = emergency_stack(c);
	__asm__ volatile(
		"lgdt %0\n\t"
		"pushq %1\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n"
		"1:\tmovl %2, %%eax\n\tmovl %%eax, %%ds\n\tmovl %%eax, %%es\n\tmovl %%eax, %%ss\n\t"
		"xorl %%eax, %%eax\n\tmovl %%eax, %%fs\n\tmovl %%eax, %%gs\n\t"
		"ltr %w3"
		:
		: "m"(gdtr), "i"(SEL_KCODE), "i"(SEL_KDATA), "r"(SEL_TSS)
		: "rax", "memory");
}

static void load_control_registers(void)
{
	struct cpuid c7 = cpuid(7, 0);
	uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PGE;

	if (cpuid(1, 0).edx & 1 << 7)
		cr4 |= CR4_MCE;
	if (c7.ebx & 1)
		cr4 |= CR4_FSGSBASE;
	if (c7.ebx & 1 << 7)
		cr4 |= CR4_SMEP;
	if (c7.ebx & 1 << 20)
		cr4 |= CR4_SMAP;
	if (c7.ecx & 1 << 2)
		cr4 |= CR4_UMIP;
	if (cpuid(1, 0).ecx & 1 << 26)
		cr4 |= CR4_OSXSAVE;
	write_cr4(cr4);
	has_smap = cr4 & CR4_SMAP;
	/* MP, NE, WP on; EM, TS off. */
	write_cr0((read_cr0() | 0x22 | CR0_WP) & ~0xcUL);
}

void cpu_setup(struct cpu *c)
{
	c->self = c;
	load_gdt(c);
	wrmsr(MSR_GS_BASE, (uint64_t)c);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	load_control_registers();
	fpu_setup();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	wrmsr(MSR_STAR, (uint64_t)(SEL_UDATA - 8) << 48 | (uint64_t)SEL_KCODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_SFMASK, RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | 0x40000 /* AC */);
	idt_load();
	mce_setup();
}
