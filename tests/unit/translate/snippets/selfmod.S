/* SPDX-License-Identifier: Apache-2.0 */
/* Code that changes itself, or is in two places. */
#include "snippets.inc"

/* Stores into its own code: the immediate of an instruction that was translated already. */
SNIP self_modifying
	mov $40, %ecx
	lea 3f+1(%rip), %rsi
2:	mov %ecx, (%rsi)
3:	mov $0, %edx
	add %rdx, %rax
	dec %ecx
	jnz 2b
DONE self_modifying

/* So often that it is left to the interpreter, then executed so often that it is translated again.
 */
SNIP changing
	mov $300, %ecx
	lea 3f+1(%rip), %rsi
2:	mov %ecx, (%rsi)
	call 3f
	dec %ecx
	jnz 2b
	mov $300, %ecx
2:	call 3f
	dec %ecx
	jnz 2b
	jmp 4f
	.balign 64
3:	mov $0, %edx
	add %rdx, %rax
	ret
4:
DONE changing

/* Two targets with one place in the jump cache, both of which read the flags of the call. */
SNIP places
	mov $20, %ebp
	lea 5f(%rip), %rsi
	lea 6f(%rip), %r8
2:	cmp $10, %ebp
	call *%rsi
	cmp $15, %ebp
	call *%r8
	dec %ebp
	jnz 2b
	jmp 7f
5:	adc $3, %rax
	ret
	.skip 32768 - 5
6:	adc $5, %rbx
	ret
7:
DONE places

/* The same, with the store right before the changed instruction in a straight line. */
SNIP self_modifying_other
	mov $40, %ecx
	lea 3f+3(%rip), %rsi
2:	call 3f
	incb (%rsi)
	dec %ecx
	jnz 2b
	jmp 4f
	.balign 64
3:	add $1, %rax
	ret
4:
DONE self_modifying_other

/* Code in a page that is written at many addresses, of which each has its own TLB entry. */
SNIP aliases
	lea 0x2000(%rdi), %rbx		/* 42000h */
	movl $0x00c083, (%rbx)		/* add $imm8, %eax */
	movb $0xc3, 3(%rbx)
	mov $40, %ebp
2:	xor %ecx, %ecx
3:	mov $0x42067, %edx		/* 51000h to 56000h are the same page */
	mov %rdx, 0x13000 + 8 * 0x51(, %rcx, 8)
	mov %ecx, %esi
	shl $12, %esi
	add $0x51000, %esi
	test $7, %ebp
	jnz 4f
	invlpg (%rsi)
4:	incb 8(%rsi)			/* beside the code: a write tag where there may be one */
	inc %ecx
	cmp $6, %ecx
	jne 3b
	call *%rbx
	call *%rbx
	call *%rbx
	call *%rbx
	mov %ebp, %edx
	and $3, %edx
	lea 1(%rdx, %rdx), %edx		/* through one after the other */
	cmp $6, %edx
	jb 5f
	mov $4, %edx
5:	shl $12, %edx
	incb 0x51002(%rdx)
	call *%rbx
	mov %rax, 16(%rdi, %rbp, 8)
	dec %ebp
	jnz 2b
DONE aliases

/* Counters in the page of the code that writes them, by constant addresses and by others. */
SNIP data_beside
	mov $300, %ecx
	lea 3f(%rip), %rsi
	xor %ebx, %ebx
2:	incl 3f(%rip)
	mov %rcx, 3f+8(%rip)
	cmp $100, %ecx
	movb $7, 3f+16(%rip)		/* flags are live */
	adc $0, %eax
	lock xadd %rbx, 3f+24(%rip)
	add %rcx, 32(%rsi)
	mov %r10, 40(%rsi)
	sub 3f(%rip), %edx
	dec %ecx
	jnz 2b
	jmp 4f
	.balign 64
3:	.skip 64
4:
DONE data_beside

/* Stores by constant addresses to code, beside it, and to both. */
SNIP code_beside
	mov $30, %ecx
3:	movb %cl, 5f+2(%rip)
	call 4f
	incb 5f+2(%rip)
	call 4f
	incq 6f-4(%rip)
	call 4f
	incl 6f(%rip)
	call 4f
	dec %ecx
	jnz 3b
	jmp 7f
	.balign 8
4:	add 6f(%rip), %ebx
5:	add $0, %eax			/* the byte that changes */
	ret
	.balign 16, 0xc3
6:	.skip 8
7:
DONE code_beside
