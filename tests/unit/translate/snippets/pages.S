/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that are not there, and ways through many of them. */
#include "snippets.inc"

/* #PF in the middle of a block: the page at RDI + 2 MiB is not there. */
SNIP fault
	mov $3, %ecx
	xor %eax, %eax
2:	add $5, %rax
	push %rax
	dec %ecx
	jnz 2b
	add $1, %rbx
	mov %rax, 0x200000(%rdi)
	pushf
DONE fault

SNIP fault_divide
	mov $3, %ecx
	mov $10, %eax
	cltd
	mov $0, %ebx
	add $1, %rsi
	div %ebx
	pushf
DONE fault_divide

SNIP fault_aligned
	movups (%rdi), %xmm0
	inc %rbx
	movaps 8(%rdi), %xmm1
	pushf
DONE fault_aligned

/* The same where the flags that the #PF shows are overwritten without being read: flags=exact. */
SNIP exact_store
	mov $5, %ecx
2:	xor %eax, %eax
	sub $1, %al /* CF, AF, SF */
	mov %rax, (%rdi)
	add $0x33333, %rdi /* in the end beyond memory */
	cmp $0, %rdi
	dec %ecx
	jnz 2b
	stc
	mov %rax, 0x200000(%rdi)
	add $1, %rax
DONE exact_store

SNIP exact_window
	mov $3, %ecx
2:	cmp %ecx, %ebx
	mov (%rsi), %rax
	mov 8(%rsi), %rdx
	mov 16(%rsi), %r8
	add $1, %rax
	dec %ecx
	jnz 2b
	cmp $0x7f, %cl
	mov 0x200000(%rsi), %rax
	mov 0x200008(%rsi), %rdx
	xor %eax, %eax
DONE exact_window

/*
 * A list through 32 pages at 0x80000, whose frames have another order: more addends than guesses.
 * It is walked until it is followed, walked in another order, and once more when one of its pages
 * has moved to another frame. Node %ecx lies in page 13 * %ecx + 5, at 64 * %ecx.
 */
	.macro NODE reg
	imul $13, %ecx, %r8d
	add $5, %r8d
	and $31, %r8d
	shl $12, %r8d
	mov %ecx, \reg
	shl $6, \reg
	lea 0x80000(\reg, %r8d), \reg
	.endm
	.macro WALK steps
	mov $\steps, %ebp
2:	mov (%rsi), %rsi
	add %rsi, %rax
	rol $3, %rax
	dec %ebp
	jnz 2b
	.endm
	/* Each node points to the one `step` places on. */
	.macro LINK step
	xor %ecx, %ecx
2:	NODE %edx
	mov %ecx, %ebx
	add $\step, %ecx
	and $63, %ecx
	NODE %r9d
	mov %r9, (%rdx)
	lea 1(%rbx), %ecx
	cmp $64, %ecx
	jb 2b
	.endm
SNIP followed
	xor %ecx, %ecx
2:	imul $5, %ecx, %edx
	add $3, %edx
	and $31, %edx
	shl $12, %edx
	add $0x80007, %edx
	mov %rdx, 0x13000 + 8 * 0x80(, %rcx, 8)
	inc %ecx
	cmp $32, %ecx
	jb 2b
	mov %cr3, %rax
	mov %rax, %cr3
	LINK 1
	mov $0x85000, %esi
	WALK 30000
	LINK 5
	WALK 3000
	mov $0x85000, %esi
	mov $0xa0000, %edi
	mov $512, %ecx
	rep movsq
	mov $0x85000, %edi
	mov $512, %ecx
	mov %rdi, %rsi
	mov %rax, %rbx
	xor %eax, %eax
	rep stosq
	mov %rbx, %rax
	movq $0xa0007, 0x13000 + 8 * 0x85
	invlpg 0x85000
	WALK 3000
DONE followed

/* Page 0, whose tag is zero, as empty entries are. */
SNIP page_zero
	mov $40, %ecx
	xor %esi, %esi
2:	add $9, %rax
	mov %rax, 0x40(%rsi)
	adc 0x41(%rsi), %rbx
	add %rbx, 0xff8(%rsi)
	mov 0xffd(%rsi), %rdx
	adc %rdx, %rax
	dec %ecx
	jnz 2b
DONE page_zero

/* From the last page, which is not there, into page 0, with flags live. */
SNIP fault_around
	mov $9, %ecx
	mov %rdi, %rsi
	mov (0), %rdx
2:	cmp %eax, %eax
	stc
	mov (%rsi), %rbp
	lahf
	adc %rax, %rbx
	mov $-4, %rdx
	dec %ecx
	cmp $2, %ecx
	cmove %rdx, %rsi
	jns 2b
DONE fault_around

/* A loop's turn, the second, third or fourth of a block, faults: the flags are those of the turn
   before it, not of where the loop was entered last. */
SNIP fault_in_turn
	and $3, %eax
	mov $12, %ebp
	mov %rdi, %rsi
	mov %rdi, %r8
	lea 0x200000(%rdi), %r10
	mov $1, %ebx
2:	lea 9(%rax), %ecx
	cmp $1, %ebp
	cmove %r10, %r8
	xor %r9d, %r9d
	jmp 3f
3:	mov (%rsi), %rdx
	sub $1, %ecx
	cmp $2, %ecx
	cmove %r8, %rsi
	cmp %ebx, %ecx
	jne 3b
	dec %ebp
	jnz 2b
DONE fault_in_turn

/* The same where what faults is what has set the flags in the turn before. */
SNIP fault_in_third_turn
	mov $12, %ebp
	mov $0x1ffff0, %r8d
	mov $1, %ebx
	movq $77, 8(%rdi)
	mov $77, %eax
2:	mov %rdi, %rsi
	cmp $1, %ebp
	cmove %r8, %rsi
	sub $1, %ebp
	jmp 3f
3:	cmp (%rsi), %rax
	lea 8(%rsi), %rsi
	jne 3b
	test %ebp, %ebp
	jnz 2b
DONE fault_in_third_turn

/* Turns that are left by each of their branches, and what is live behind them. */
SNIP turns
	mov $90, %ebp
2:	mov %ebp, %ecx
	and $15, %ecx
	lea (%rdi), %rsi
	xor %eax, %eax
3:	cmp %ebp, (%rsi)
	je 4f
	add %rcx, (%rsi)
	adc 8(%rsi), %rax
	movzbl 1(%rsi), %r9d
	mov 256(%rdi, %r9), %r10b
	lea 1(%rsi), %rsi
	dec %ecx
	jns 3b
	setc %dl
	add %rdx, %rbx
4:	seto %dl
	add %rdx, %rbx
	mov %ebp, %ecx
	and $7, %ecx
5:	movb %cl, 64(%rdi, %rcx)
	dec %ecx
	jg 5b
	adc %rbx, %rbx
	dec %ebp
	jnz 2b
DONE turns

/* Nothing is there: an empty entry of the TLB is not taken for one of the last pages. */
SNIP fault_top
	mov $9, %ecx
2:	cmp $2, %ecx
	jne 3f
	mov -0x2000, %rdx
3:	dec %ecx
	jnz 2b
DONE fault_top

SNIP fault_top_live
	mov $9, %ecx
2:	cmp $2, %ecx
	jne 3f
	mov -0xf000, %rdx
	sete %al
3:	dec %ecx
	jnz 2b
DONE fault_top_live

/* Straight into the next page: 4096 bytes of increments. */
SNIP pages
	mov $6, %ecx
2:	.rept 700
	add $0x12345, %eax
	.byte 0x48, 0xff, 0xc3
	.endr
	dec %ecx
	jnz 2b
DONE pages
