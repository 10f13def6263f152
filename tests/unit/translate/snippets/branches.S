/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, jumps and loops. */
#include "snippets.inc"

SNIP fibonacci
	mov $12, %edi
	call 2f
	jmp 5f
2:	cmp $2, %edi
	jb 3f
	push %rbx
	push %rdi
	dec %edi
	call 2b
	mov %rax, %rbx
	pop %rdi
	sub $2, %edi
	call 2b
	add %rbx, %rax
	pop %rbx
	ret
3:	mov %edi, %eax
	ret
5:
DONE fibonacci

SNIP indirect
	lea 3f(%rip), %rbx
	mov %rbx, (%rdi)
	lea 4f(%rip), %rbx
	mov %rbx, 8(%rdi)
	mov $64, %ecx
2:	mov %ecx, %edx
	and $1, %edx
	call *(%rdi, %rdx, 8)
	lea 6f(%rip), %r11
	jmp *%r11
3:	add $3, %rax
	ret
4:	imul $5, %rax, %rax
	ret $0
6:	dec %ecx
	jnz 2b
DONE indirect

/* What is called reads flags; the first return address has a check of its own, the second has not. */
SNIP indirect_flags
	lea 4f(%rip), %rbx
	mov %rbx, 8(%rdi)
	mov $20, %ecx
2:	lea (%rcx, %rcx, 2), %rdx
	cmp $25, %rdx
	call *8(%rdi)
	push %rdx
	cmp $31, %edx
	call *8(%rdi)
	pop %rdx
	dec %ecx
	jnz 2b
	jmp 5f
4:	rcl %rax
	ret
5:
DONE indirect_flags

SNIP loops
	mov $5, %ecx
	xor %eax, %eax
2:	add $3, %eax
	loop 2b
	mov $9, %ecx
3:	add $7, %eax
	cmp $40, %eax
	loopne 3b
	jrcxz 4f
	mov $1, %ebx
4:	xor %ecx, %ecx
	jecxz 5f
	mov $2, %ebx
5:	mul %ebx
	mov $1000, %eax
	cltd
	mov $7, %ebx
	div %ebx
	movb $9, %ch
	mov $77, %ax
	div %ch
	xor %edx, %edx
DONE loops
