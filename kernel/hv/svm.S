/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void svm_enter(uint64_t vmcb_phys, uint64_t *gpr, uint64_t host_phys)
 *
 * VMRUN changes RAX, RSP, RIP and RFLAGS by the VMCB; the other general registers are changed here,
 * FS, GS, TR, LDTR and the system-call MSRs by VMLOAD and VMSAVE. Interrupts are on inside, so that
 * one of the host ends the run; GIF keeps it from being taken before the host's state is back.
 * `gpr` is in the order of enum x86_reg.
 */
	.text
	.global svm_enter
svm_enter:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdx
	pushq %rsi
	pushq %rdi
	clgi
	sti
	movq %rdx, %rax
	vmsave %rax
	movq (%rsp), %rax
	vmload %rax
	movq 8(%rsi), %rcx
	movq 16(%rsi), %rdx
	movq 24(%rsi), %rbx
	movq 40(%rsi), %rbp
	movq 56(%rsi), %rdi
	movq 64(%rsi), %r8
	movq 72(%rsi), %r9
	movq 80(%rsi), %r10
	movq 88(%rsi), %r11
	movq 96(%rsi), %r12
	movq 104(%rsi), %r13
	movq 112(%rsi), %r14
	movq 120(%rsi), %r15
	movq 48(%rsi), %rsi
	vmrun %rax
	vmsave %rax
	movq 16(%rsp), %rax
	vmload %rax
	movq 8(%rsp), %rax
	movq %rcx, 8(%rax)
	movq %rdx, 16(%rax)
	movq %rbx, 24(%rax)
	movq %rbp, 40(%rax)
	movq %rsi, 48(%rax)
	movq %rdi, 56(%rax)
	movq %r8, 64(%rax)
	movq %r9, 72(%rax)
	movq %r10, 80(%rax)
	movq %r11, 88(%rax)
	movq %r12, 96(%rax)
	movq %r13, 104(%rax)
	movq %r14, 112(%rax)
	movq %r15, 120(%rax)
	cli
	stgi
	addq $24, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	.section .note.GNU-stack,"",@progbits
