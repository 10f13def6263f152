/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a re-encoded vector instruction with the registers it wants. See vector.h. */

	.text

/* int bt_vector_call(struct vector_regs *r, const void *code) */
	.globl	bt_vector_call
	.type	bt_vector_call, @function
bt_vector_call:
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	mov	%rdi, %rbp
	mov	0(%rbp), %rax
	mov	8(%rbp), %rcx
	mov	16(%rbp), %rdx
	mov	24(%rbp), %rbx
	pushq	32(%rbp)
	popfq
	call	*%rsi
	pushfq
	popq	32(%rbp)
	mov	%rax, 0(%rbp)
	mov	%rcx, 8(%rbp)
	mov	%rdx, 16(%rbp)
	xor	%eax, %eax
0:	pop	%rbp
	.cfi_adjust_cfa_offset -8
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	ret

	.globl	bt_vector_trapped
bt_vector_trapped:
	.cfi_adjust_cfa_offset 24
	lea	8(%rsp), %rsp
	.cfi_adjust_cfa_offset -8
	jmp	0b
	.cfi_endproc
	.size	bt_vector_call, . - bt_vector_call

	.section .note.GNU-stack, "", @progbits
