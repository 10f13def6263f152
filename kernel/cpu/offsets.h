/* SPDX-License-Identifier: Apache-2.0 */
/* Places in C structs that assembly knows, checked where C includes this (trap.c). */
#ifndef KERNEL_CPU_OFFSETS_H
#define KERNEL_CPU_OFFSETS_H

#define REGS_R11    (3 * 8)
#define REGS_RCX    (14 * 8)
#define REGS_VECTOR (15 * 8)
#define REGS_RIP    (17 * 8)
#define REGS_CS     (18 * 8)
#define REGS_RFLAGS (19 * 8)

#define REGS_SIZE (22 * 8)

#define CPU_KERNEL_RSP 8
#define CPU_USER_RSP   16

#define SEL_UDATA_     0x23
#define SEL_UCODE_     0x2b
#define VECTOR_SYSCALL 0x100
#define MSR_GS_BASE_   0xc0000101

#ifndef __ASSEMBLER__
#include "kernel/cpu/cpu.h"

#define AT(type, field, place) _Static_assert(offsetof(type, field) == (place), #field)
AT(struct regs, r11, REGS_R11);
AT(struct regs, rcx, REGS_RCX);
AT(struct regs, vector, REGS_VECTOR);
AT(struct regs, rip, REGS_RIP);
AT(struct regs, cs, REGS_CS);
AT(struct regs, rflags, REGS_RFLAGS);
_Static_assert(sizeof(struct regs) == REGS_SIZE, "struct regs");
AT(struct cpu, kernel_rsp, CPU_KERNEL_RSP);
AT(struct cpu, user_rsp, CPU_USER_RSP);
AT(struct cpu, current, 24); /* current_thread() */
#endif

#endif
