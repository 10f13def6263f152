/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a processor's record. Tags in steps of ten for what has parts. */
#include "vmm/state/cpu.h"

/* clang-format off */
#define CPU(tag, field, name) \
	{ (tag), sizeof(((struct x86_cpu_state *)0)->field), 1, \
	  offsetof(struct x86_cpu_state, field), name }
#define F(tag, field)   CPU(tag, field, #field)
#define ARR(tag, field) ST_ARR(tag, struct x86_cpu_state, field)
#define SEG(tag, field, name) \
	CPU(tag, field.selector, name), CPU((tag) + 1, field.base, name ".base"), \
	CPU((tag) + 2, field.limit, name ".limit"), CPU((tag) + 3, field.attr, name ".attr")
#define TABLE(tag, field) F(tag, field.base), F((tag) + 1, field.limit)

static const struct state_field fields[] = {
	CPU(1, gpr[X86_RAX], "rax"), CPU(2, gpr[X86_RCX], "rcx"), CPU(3, gpr[X86_RDX], "rdx"),
	CPU(4, gpr[X86_RBX], "rbx"), CPU(5, gpr[X86_RSP], "rsp"), CPU(6, gpr[X86_RBP], "rbp"),
	CPU(7, gpr[X86_RSI], "rsi"), CPU(8, gpr[X86_RDI], "rdi"), CPU(9, gpr[X86_R8], "r8"),
	CPU(10, gpr[X86_R9], "r9"), CPU(11, gpr[X86_R10], "r10"), CPU(12, gpr[X86_R11], "r11"),
	CPU(13, gpr[X86_R12], "r12"), CPU(14, gpr[X86_R13], "r13"), CPU(15, gpr[X86_R14], "r14"),
	CPU(16, gpr[X86_R15], "r15"), F(17, rip), F(18, rflags),
	SEG(20, seg[X86_ES], "es"), SEG(30, seg[X86_CS], "cs"), SEG(40, seg[X86_SS], "ss"),
	SEG(50, seg[X86_DS], "ds"), SEG(60, seg[X86_FS], "fs"), SEG(70, seg[X86_GS], "gs"),
	SEG(80, ldt, "ldt"), SEG(90, tr, "tr"), TABLE(100, gdt), TABLE(110, idt),
	F(120, cr0), F(121, cr2), F(122, cr3), F(123, cr4), F(124, cr8), F(125, xcr0), ARR(126, dr),
	F(130, efer), F(131, apic_base), F(132, pat), F(133, star), F(134, lstar), F(135, cstar),
	F(136, sfmask), F(137, kernel_gs_base), F(138, sysenter_cs), F(139, sysenter_esp),
	F(140, sysenter_eip), F(141, tsc), F(142, tsc_aux), F(143, tsc_adjust),
	F(144, tsc_deadline), F(145, misc_enable), F(146, mtrr_def_type), ARR(147, mtrr_fixed),
	ARR(148, mtrr_base), ARR(149, mtrr_mask), F(150, kvmclock_system_time),
	F(151, kvmclock_wall_clock), F(160, activity), F(161, interrupt_shadow), F(162, nmi_masked),
	F(163, nmi_pending), F(164, exception_pending), F(165, exception_vector),
	F(166, exception_has_error), F(167, exception_error), ARR(170, lapic), ARR(171, xsave),
	ST_END,
};
/* clang-format on */

const struct state_desc cpu_state_desc = {"cpu", 1, sizeof(struct x86_cpu_state), fields};
