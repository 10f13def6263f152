/* SPDX-License-Identifier: Apache-2.0 */
/* Ways into the kernel and out of it: exceptions, interrupts, SYSCALL, the switch of threads. */
#include "kernel/cpu/offsets.h"

	.text

/* 256 entries of 16 bytes; those without an error code push 0. */
	.align 16
	.global trap_entries
trap_entries:
	.set vector, 0
	.rept 256
	.align 16
	.if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
	.else
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

.macro save_regs
	pushq %rcx
	pushq %rax
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r15
	pushq %r14
	pushq %r13
	pushq %r12
	pushq %r11
	pushq %r10
	pushq %r9
	pushq %r8
.endm

.macro restore_regs
	popq %r8
	popq %r9
	popq %r10
	popq %r11
	popq %r12
	popq %r13
	popq %r14
	popq %r15
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rax
	popq %rcx
.endm

/* NMI, double fault and machine check may come between an entry and its SWAPGS, and a program may give
 * GS any base: they take the CPU's from the top of their stack and bring back what was there. */
trap_common:
	save_regs
	cld
	movq REGS_VECTOR(%rsp), %rdi
	cmpq $2, %rdi
	je paranoid
	cmpq $8, %rdi
	je paranoid
	cmpq $18, %rdi
	je paranoid
	testb $3, REGS_CS(%rsp)
	jz 1f
	swapgs
1:	movq %rsp, %rdi
	call trap_handle
	.global trap_return
trap_return:
	cli
	testb $3, REGS_CS(%rsp)
	jz 2f
	movq %rsp, %rdi
	call return_to_user
	swapgs
2:	restore_regs
	addq $16, %rsp
	iretq

paranoid:
	movl $MSR_GS_BASE_, %ecx
	rdmsr
	shlq $32, %rdx
	leaq (%rax,%rdx), %rbx
	movq REGS_SIZE(%rsp), %rax      /* struct cpu: see emergency_stack() */
	movq %rax, %rdx
	shrq $32, %rdx
	wrmsr
	movq %rsp, %rdi
	call trap_handle
	movl $MSR_GS_BASE_, %ecx
	movq %rbx, %rax
	movq %rbx, %rdx
	shrq $32, %rdx
	wrmsr
	jmp 2b

/* SYSCALL: RCX = RIP, R11 = RFLAGS, interrupts off (SFMASK). */
	.align 16
	.global syscall_entry
syscall_entry:
	swapgs
	movq %rsp, %gs:CPU_USER_RSP
	movq %gs:CPU_KERNEL_RSP, %rsp
	pushq $SEL_UDATA_
	pushq %gs:CPU_USER_RSP
	pushq %r11
	pushq $SEL_UCODE_
	pushq %rcx
	pushq %rax              /* error: the number, kept for a restart */
	pushq $VECTOR_SYSCALL
	save_regs
	cld
	movq %rsp, %rdi
	call syscall_handle
	cli
	movq %rsp, %rdi
	call return_to_user
	/* SYSRET needs RCX = RIP, R11 = RFLAGS and a canonical user address; else IRET. */
	movq REGS_RIP(%rsp), %rcx
	cmpq REGS_RCX(%rsp), %rcx
	jne by_iret
	movq REGS_RFLAGS(%rsp), %r11
	cmpq REGS_R11(%rsp), %r11
	jne by_iret
	btq $8, %r11            /* TF */
	jc by_iret
	movq %rcx, %rax
	shrq $47, %rax
	jnz by_iret
	restore_regs
	movq 40(%rsp), %rsp     /* vector, error, rip, cs, rflags, rsp */
	swapgs
	sysretq
by_iret:
	swapgs
	restore_regs
	addq $16, %rsp
	iretq

/* void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp); returns on the other stack. */
	.global switch_stacks
switch_stacks:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/* Where a new thread's stack returns to: kernel function in RBX with RBP, or to user mode. */
	.global thread_start
thread_start:
	call schedule_tail
	testq %rbx, %rbx
	jz trap_return
	sti
	movq %rbp, %rdi
	call *%rbx
	call thread_exit
	ud2

/* void enter_user(struct regs *r): the kernel's stack ends at r + 1. */
	.global enter_user
enter_user:
	movq %rdi, %rsp
	jmp trap_return

/*
 * size_t copy_user_raw(void *to, const void *from, size_t n): copies; not 0 if it faulted before the
 * end. One side is user memory.
 */
	.global copy_user_raw
copy_user_raw:
	movq %rdx, %rcx
	shrq $3, %rcx
	andl $7, %edx
1:	rep movsq
	movl %edx, %ecx
2:	rep movsb
3:	movq %rcx, %rax
	ret
	.pushsection .fixup_table, "a"
	.quad 1b, 3b
	.quad 2b, 3b
	.popsection

	.section .note.GNU-stack,"",@progbits
