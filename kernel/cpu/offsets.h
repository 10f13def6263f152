/* SPDX-License-Identifier: Apache-2.0 */
/* Places in C structs that assembly knows; trap.c checks them. */
#ifndef KERNEL_CPU_OFFSETS_H
#define KERNEL_CPU_OFFSETS_H

#define REGS_R11    (3 * 8)
#define REGS_RCX    (14 * 8)
#define REGS_VECTOR (15 * 8)
#define REGS_RIP    (17 * 8)
#define REGS_CS     (18 * 8)
#define REGS_RFLAGS (19 * 8)

#define CPU_KERNEL_RSP 8
#define CPU_USER_RSP   16

#define SEL_UDATA_     0x23
#define SEL_UCODE_     0x2b
#define VECTOR_SYSCALL 0x100

#endif
