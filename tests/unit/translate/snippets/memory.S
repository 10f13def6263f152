/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and the stack: sizes, pages, checks that are shared between accesses. */
#include "snippets.inc"

SNIP memory
	mov $100, %ecx
	mov %rdi, %rsi
2:	mov %rcx, (%rsi)
	mov (%rsi), %rax
	add %rax, 8(%rsi)
	movzbl 3(%rsi), %r8d
	mov %ax, 20(%rsi)
	addl $5, 16(%rdi, %rcx, 4)
	lock xadd %eax, 24(%rsi)
	sub $-128, %rsi
	dec %ecx
	jnz 2b
DONE memory

SNIP crossing
	lea 4093(%rdi), %rsi
	mov $10, %ecx
2:	mov %rcx, (%rsi)
	add %rcx, (%rsi)
	add 1(%rsi), %rax
	movups (%rsi), %xmm0
	movups %xmm0, 4096(%rsi)
	push %rax
	pop %rbx
	dec %ecx
	jnz 2b
DONE crossing

SNIP crossing_apart /* the pages are no neighbours in memory */
	mov 0x13000 + 8 * 0x46, %rax
	mov %rax, 0x13000 + 8 * 0x41
	invlpg 4096(%rdi)
	mov $60, %ecx
2:	lea 4096(%rdi), %rsi
	sub %rcx, %rsi
	mov %rcx, (%rsi)
	mov %r10d, 3(%rsi)
	mov %ax, 5(%rsi)
	movw $0x1234, 17(%rsi)
	add (%rsi), %rax
	mov 2(%rsi), %bx
	add %rcx, 1(%rsi)
	xchg %rdx, 9(%rsi)
	lock xadd %rax, 11(%rsi)
	movups (%rsi), %xmm0
	addsd 8(%rsi), %xmm1
	movups %xmm0, 13(%rsi)
	movsd %xmm1, 30(%rsi)
	movhps %xmm0, 39(%rsi)
	fildll 40(%rsi)
	fldpi
	fstpt 45(%rsi)
	fistpl 50(%rsi)
	cmp %rcx, %rax /* flags are live across these */
	mov %rbx, 20(%rsi)
	mov 25(%rsi), %r8
	adc $3, %rax
	mov %rsp, %r14
	lea 32(%rsi), %rsp
	push %rax
	pushf
	push 4(%rsi)
	pop %rbx
	pop %r9
	and $0xfd5, %r9d
	mov %r14, %rsp
	dec %ecx
	jnz 2b
DONE crossing_apart

SNIP crossing_beside /* the same while a window is open */
	mov 0x13000 + 8 * 0x46, %rax
	mov %rax, 0x13000 + 8 * 0x41
	invlpg 4096(%rdi)
	mov %rsp, %r14
	mov $60, %ecx
2:	lea 4099(%rdi), %rsp
	add %rax, 8192(%rdi)
	pushf
	mov 8200(%rdi), %rdx
	add %rdx, %rax
	mov %r14, %rsp
	dec %ecx
	jnz 2b
DONE crossing_beside

SNIP crossing_loads /* of all sizes, while flags are live, and windows are open, or not */
	mov 0x13000 + 8 * 0x46, %rax
	mov %rax, 0x13000 + 8 * 0x41
	invlpg 4096(%rdi)
	mov $70, %ecx
2:	lea 4100(%rdi), %rsi
	sub %rcx, %rsi
	add (%rsi), %rax
	vmovups 9(%rsi), %ymm1
	fldt 30(%rsi)
	fstpt 8300(%rdi)
	add %ecx, %eax
	mov 3(%rsi), %rdx
	vpxor 7(%rsi), %ymm1, %ymm2
	movups 21(%rsi), %xmm3
	mov 11(%rsi), %r8d
	adc %rdx, %rax
	mov %rcx, 8192(%rdi)
	add (%rsi, %rcx, 1), %rax
	mov 5(%rsi, %rcx, 8), %r9
	vmovups 1(%rsi, %rcx, 2), %ymm4
	mov 8200(%rdi), %r10
	vmovups %ymm2, 8208(%rdi)
	vmovups %ymm4, 8240(%rdi)
	xor %r10, %rax
	movzwl 17(%rsi, %rcx, 1), %ebx
	mov 2(%rsi, %rcx, 2), %r11
	adc 8208(%rdi), %rbx
	xor %r11, %rbx
	dec %ecx
	jnz 2b
DONE crossing_loads

SNIP stack
	mov $50, %ecx
2:	call 3f
	push $7
	push %r10
	push %r15
	pop %r11
	pop %r10
	pop %r15
	add %r15, %r11
	dec %ecx
	jnz 2b
	jmp 4f
3:	push %rbp
	mov %rsp, %rbp
	push %rbx
	sub $24, %rsp
	mov %rcx, -16(%rbp)
	addq $3, -16(%rbp)
	mov -16(%rbp), %rbx
	add %rbx, %rax
	add $24, %rsp
	pop %rbx
	leave
	ret
4:
DONE stack

SNIP stack_crossing
	lea 4096+20(%rdi), %rbx
	mov %rsp, %r14
	mov $60, %ecx
2:	mov %rbx, %rsp
	push %rcx
	push %rax
	call 3f
	pop %rax
	pop %rdx
	add %rdx, %rax
	lea -1(%rbx), %rbx
	dec %ecx
	jnz 2b
	mov %r14, %rsp
	jmp 4f
3:	cmp $5, %ecx
	push %rsi
	push %rdi
	lea 1(%rsi), %rsi
	pop %rdi
	pop %rsi
	ret
4:
DONE stack_crossing

/* Pushes and pops in a row, and what needs RSP among them. */
SNIP stack_runs
	mov $40, %ecx
2:	push %rax
	push $0x1234
	push %rsp
	push %r10
	add $3, %rax
	pop %rbx
	pop %rdx
	pop %rsi
	sub %rsp, %rdx
	pop %rdi
	push %rcx
	call 4f
	pop %r8
	add %r8, %r10
	lea -24(%rsp), %rsp
	dec %ecx
	jnz 2b
	jmp 5f
4:	push %rbx
	push %rbp
	pop %r9
	pop %r11
	ret
5:
DONE stack_runs

/* Several windows at once, off a base and an index, aligned and over a page's end. */
SNIP windows
	mov $200, %ecx
	lea 3900(%rdi), %r10
	xor %r15d, %r15d
2:	movq (%r10, %r15, 8), %rax
	xor 16(%r10, %r15, 8), %rax
	mov 40(%rdi), %rdx
	mov %rax, 48(%rdi)
	add %rax, 2048(%rdi, %r15)
	add $1, %r15
	adc %rdx, 2055(%rdi, %r15)
	mov %rdx, 8(%r10, %r15, 8)
	seto %bl
	add %rbx, 24(%rdi)
	cmp $50, %r15
	jb 3f
	xor %r15d, %r15d
	lea -7(%r10), %r10
3:	sub $1, %rcx
	mov 56(%rdi), %r8
	lea 1(%r8), %r8
	mov %r8, 56(%rdi)
	jne 2b
DONE windows

/* One window's addend with its base in it: bases and indices that change, in all kinds of registers,
   with flags live and dead, alone and beside another window, over a page's end. */
SNIP based_windows
	mov $300, %ecx
	lea 3800(%rdi), %rsi
	lea 6000(%rdi), %r11
	xor %r15d, %r15d
2:	mov (%rsi, %r15, 8), %rax
	mov 8(%rsi, %r15, 8), %rdx
	lea 1(%r15), %rbp
	add %rdx, (%rsi, %rbp, 8)
	add $16, %rsi
	mov %rax, (%rsi, %rbp, 8)
	adc -24(%rsi, %rbp, 8), %rbx
	mov %rsi, %r10
	lea 2(%r15), %r8
	setc %bl
	mov %rbx, -32(%r10, %r8, 8)
	movups -16(%r10, %r15, 8), %xmm0
	paddq %xmm0, %xmm1
	mov (%r11, %r15), %r9
	movups %xmm1, 16(%r11, %r15)
	xchg %r9, 40(%r11, %r15)
	sub $8, %r11
	mov %r9b, 8(%r11, %r15)
	cmp $5, %r9b
	mov 3(%r11, %r15), %rax
	mov 4(%r11, %r15), %rax
	adc %rax, %rdx
	mov (%rdi, %rbp, 4), %rdi
	mov %rdx, (%rsi, %r15, 8)
	lea -6000(%r11), %rdi
	mov %rdi, 64(%r11, %r15)
	mov $0x40000, %edi
	inc %r15
	and $31, %r15
	jnz 3f
	lea 3800 - 64(%rdi), %rsi
	lea 6000(%rdi), %r11
3:	dec %rcx
	jnz 2b
DONE based_windows

/* Arrays at negative displacements, as a kernel's are, the last further away than a window reaches;
   what their indices alone lead to is mapped nowhere. */
SNIP far_arrays
	mov $300, %ecx
	lea 0x7d000000(%rdi), %rdx
	lea 0x7fff0000(%rdi), %rbp
	lea 2(%rbp), %r8
	shr $2, %rdx
	shr $1, %r8
2:	cmp $150, %ecx
	mov %ecx, -0x7d000000(, %rdx, 4)
	lea 1(%rdx), %rdx
	adc -0x7d000008(, %rdx, 4), %eax
	cmp $151, %ecx
	mov %eax, -0x7ffefff8(, %r8, 2)
	setb %bl
	and $-512, %rdx
	lea 4(%rdx), %rdx
	xor %r15d, %r15d
	cmp $100, %ecx
	mov -0x7fff0000(%rbp, %r15), %rsi
	adc %rsi, %r9
	mov %r9, -0x7ffeffe0(%rbp, %r15, 8)
	dec %ecx
	jnz 2b
DONE far_arrays

/* A page that is only read, and would be written behind a branch that is never taken. */
SNIP not_written
	andb $-3, 0x13000 + 8 * 0x41
	invlpg 4096(%rdi)
	mov $300, %ecx
2:	mov 4096(%rdi), %rax
	add 4104(%rdi), %rbx
	test %ecx, %ecx
	jns 3f
	mov %rax, 4112(%rdi)
3:	add %rax, %rbx
	dec %ecx
	jnz 2b
	orb $2, 0x13000 + 8 * 0x41
	invlpg 4096(%rdi)
DONE not_written

/* The same among the bytes of the code, live and dead. */
SNIP based_beside_code
	mov $100, %ecx
	lea 9f(%rip), %rsi
	lea (%rdi), %r10
2:	mov %ecx, %ebx
	and $7, %ebx
	mov %rcx, (%rsi, %rbx, 8)
	mov %rdi, 8(%rsi, %rbx, 8)
	mov 80(%r10, %rbx, 8), %rdx
	mov %rdx, 16(%rsi, %rbx, 8)
	mov %rbx, 88(%r10, %rbx, 8)
	add (%rsi, %rbx), %rax
	mov %rax, 1(%rsi, %rbx)
	mov %rax, 7(%rsi, %rbx)
	adc %rax, 24(%rsi, %rbx, 8)
	dec %ecx
	jnz 2b
	jmp 8f
9:	.skip 128
8:
DONE based_beside_code

/* And bases that a scratch register holds: the checks that fail do not bring them back. */
SNIP based_held
	mov $100, %ecx
	lea 9f(%rip), %r15
	lea 9f(%rip), %r10
2:	mov %ecx, %ebx
	and $7, %ebx
	mov %rcx, (%r15, %rbx, 8)
	lea (%r15, %rcx), %rdx
	add %rdx, 8(%r15, %rbx, 8)
	mov %rdx, (%r10, %rbx, 4)
	mov %rcx, (%r15, %rbx, 2)
	lea (%r10, %rcx), %rbp
	lea (%r15, %rcx), %rsi
	add %rbp, 8(%r10, %rbx, 4)
	add %rsi, 8(%r15, %rbx, 2)
	dec %ecx
	jnz 2b
	jmp 8f
9:	.skip 128
8:
DONE based_held
