/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bool vmx_enter(uint64_t *gpr, bool launched)
 *
 * The VMCS changes RSP, RIP, RFLAGS, segments and control registers; the other general registers are
 * changed here. An exit arrives at vmx_left with RSP as it was told. True: the processor refused
 * the instruction.
 */
#include "kernel/hv/gpr.inc"

	.text
	.global vmx_enter, vmx_left
vmx_enter:
	save_own
	pushq %rdi
	movl $0x6c14, %eax		/* host RSP */
	vmwrite %rsp, %rax
	testb %sil, %sil
	movq 0(%rdi), %rax
	load_guest
	jnz 1f
	vmlaunch
	jmp 2f
1:	vmresume
2:	movl $1, %eax
	jmp 3f
vmx_left:
	pushq %rax
	movq 8(%rsp), %rax
	store_guest
	popq 0(%rax)
	xorl %eax, %eax
3:	addq $8, %rsp
	restore_own
	ret

	.section .note.GNU-stack,"",@progbits
