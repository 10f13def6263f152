/* SPDX-License-Identifier: Apache-2.0 */
/* Enters an instruction with a complete register state and comes back with it. See native.c. */

#define CTX(off) native_context+(off)(%rip)
#define RFLAGS   128
#define ENTRY    136
#define HOST_RSP 144
#define FS_BASE  152
#define GS_BASE  160
#define HOST_FS  168
#define FAR      176
#define DATA_SEL 182
#define FP       192

.macro each_gpr do
	\do	%rax, 0
	\do	%rcx, 8
	\do	%rdx, 16
	\do	%rbx, 24
	\do	%rbp, 40
	\do	%rsi, 48
	\do	%rdi, 56
	\do	%r8, 64
	\do	%r9, 72
	\do	%r10, 80
	\do	%r11, 88
	\do	%r12, 96
	\do	%r13, 104
	\do	%r14, 112
	\do	%r15, 120
	\do	%rsp, 32
.endm
.macro load reg, off
	mov	CTX(\off), \reg
.endm
.macro store reg, off
	mov	\reg, CTX(\off)
.endm

	.text
	.globl	native_enter
native_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, CTX(HOST_RSP)
	rdfsbase %rax
	mov	%rax, CTX(HOST_FS)
	mov	CTX(FS_BASE), %rax
	wrfsbase %rax
	mov	CTX(GS_BASE), %rax
	wrgsbase %rax
	movzwl	CTX(DATA_SEL), %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0xe7, %eax
	xor	%edx, %edx
	lea	CTX(FP), %rcx
	xrstor64 (%rcx)
	pushq	CTX(RFLAGS)
	popfq
	each_gpr load
	jmp	*CTX(ENTRY)

/* ENTRY of 32- and 16-bit code. */
	.globl	native_far
native_far:
	ljmp	*CTX(FAR)

/* The code behind the instruction jumps here. */
	.globl	native_exit
native_exit:
	each_gpr store
	mov	$0x2b, %eax
	mov	%eax, %ss
	mov	CTX(HOST_RSP), %rsp
	pushfq
	popq	CTX(RFLAGS)
	pushq	$2
	popfq
	mov	CTX(HOST_FS), %rax
	wrfsbase %rax
	lea	CTX(FP), %rcx
	movq	$0, 512(%rcx)
	mov	$0xe7, %eax
	xor	%edx, %edx
	xsave64	(%rcx)

/* The signal handler resumes here, with the host's stack pointer. */
	.globl	native_resume
native_resume:
	fninit
	pushq	$0x1f80
	ldmxcsr	(%rsp)
	pop	%rax
	vzeroupper
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .note.GNU-stack, "", @progbits
