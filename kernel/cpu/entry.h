/* SPDX-License-Identifier: Apache-2.0 */
/* What assembly calls, and what it offers to C. */
#ifndef KERNEL_CPU_ENTRY_H
#define KERNEL_CPU_ENTRY_H

#include <stdint.h>

struct regs;

void kmain(unsigned protocol, uint64_t info); /* boot/entry.S */
void trap_handle(struct regs *r);
void syscall_handle(struct regs *r);
void return_to_user(struct regs *r); /* last stop before user mode, interrupts off */
void schedule_tail(void);            /* first call on a stack that switch_stacks() changed to */

extern char trap_entries[];
void syscall_entry(void);
void thread_start(void);
_Noreturn void enter_user(struct regs *r);
void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp);

#endif
