/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, flags and bits. */
#include "snippets.inc"

SNIP loop
	mov $1000, %ecx
	xor %eax, %eax
2:	add %rcx, %rax
	lea 3(%rax, %rcx, 2), %rdx
	xor %rdx, %rbx
	dec %ecx
	jnz 2b
DONE loop

/* Flags must survive loads and stores between producer and user. */
SNIP flags
	mov $200, %ecx
	xor %r9, %r9
2:	cmp $100, %ecx
	mov (%rdi), %rax
	mov %rcx, 8(%rdi)
	push %rax
	pop %rdx
	adc $0, %r9
	seta 16(%rdi)
	movzbl 16(%rdi), %edx
	lea (%r9, %rdx, 4), %r9
	add %rax, %rax
	mov 8(%rdi), %rbx
	rcl $1, %rbx
	pushf
	pop %rax
	and $0x8d5, %eax
	add %rax, %r9
	dec %ecx
	jnz 2b
DONE flags

/* Registers that live in the context block, and the ones in between. */
SNIP context_regs
	mov $77, %ecx
	mov $3, %r10d
	mov $5, %r11
	mov $-9, %r15
2:	add %r10, %r11
	lea 7(%r11, %r15, 8), %r15
	xchg %r10, %r15
	imul %r11d, %r10d
	mov %r10, (%rdi)
	mov %rdi, %r11
	add 8(%r11), %r15
	mov %r15b, 3(%r11)
	mov %cl, %ch
	mov %ch, 11(%rdi)
	movzbl %ch, %edx
	add %dh, %cl
	sub %dh, %cl
	movzbl %cl, %ecx
	shl %cl, %r10
	shrd %cl, %r15, %rbx
	bswap %r11
	neg %r15
	movsbq %r10b, %r8
	setc %r11b
	cmovnz %r15, %rax
	bt $3, %r10
	adc %r15w, %r10w
	xadd %r10, %r11
	cmpxchg %r11, %r15
	shlx %r10, %r11, %r15
	andn %r15, %r10, %r11
	mulx %r10, %r11, %r15
	crc32q %r15, %r10
	dec %ecx
	jnz 2b
DONE context_regs

/* Bit strings in memory: the index reaches far from the operand, either way. */
SNIP held /* scratch registers keep words of the context block, and lose them */
	mov $64, %ecx
2:	invlpg 4096(%rdi)
	lea 4096 - 48(%rdi, %rcx), %r11	/* the page ends in one operand after the other */
	add $8, %r11d
	mov 24(%r11), %rdx
	add 32(%r11), %rdx
	mov %rcx, %r15
	add %r15, %r15
	xor %r11b, %r15b
	xor %r15b, %r15b
	bswap %r15
	mov (%r11), %r10
	add %r10, %r15
	mov 8(%r11), %r10d
	xadd %r15, %r10
	mov %r10, 16(%r11)
	cmp %r10, %r15
	setc %r15b
	xchg %r10, %r11
	xchg %r10, %r11
	push %r15
	push %r10
	lea (%r10, %r11, 2), %rax
	lea (%r15, %r10, 4), %rbx
	pop %r15
	pop %r10
	rol %cl, %r15
	shld %cl, %r15, %r10
	mov (%r11), %r15w
	add %r15w, 2(%r11)
	mov %r15d, %edx
	mov %r11, %rsi
	lodsq			/* the interpreter's */
	add %r15, %rax
	mov %r11, %rsi
	movsq
	sub $8, %rdi
	add %r10, %rax
	mulx %r15, %r10, %r11
	add %r11, %rbx
	mov %r10, 4096(%rdi, %rcx, 8)
	add %rax, 4600(%rdi, %rcx, 8)
	lea 4f(%rip), %rbp	/* bytes beside code */
	mov %rax, (%rdi)
	mov %rdx, (%rbp)
	add %rcx, 8(%rbp)
	mov %rsi, 8(%rdi)
	dec %ecx
	jnz 2b
	jmp 5f
4:	.skip 16
5:
DONE held

SNIP bits
	mov $200, %ecx
	lea 4096(%rdi), %rsi
	mov $-777, %r10
	xor %r9, %r9
2:	add $1234567, %rax
	mov %rax, %r8
	sar $49, %r8
	bts %r8, (%rsi)
	adc %r9, %r9
	lock btr %r10, 16(%rsi)
	adc $0, %r9
	btcl %ecx, 64(%rsi)
	adc $0, %r9
	btl %r10d, (%rdi, %rcx, 8)
	adc $0, %r9
	mov $0xfffffff0, %edx /* with the index beyond 4 GiB: it wraps */
	lea 640(%rcx, %rdi, 8), %r11d
	btcl %r11d, (%edx)
	cmp %eax, %ecx
	lock btsl %r8d, (%rsi)
	setz %bl
	add %rbx, %r9
	add $37, %r10
	dec %ecx
	jnz 2b
DONE bits

/* Registers that hold the same value plus a constant, and ones that seem to. */
SNIP same_values
	mov $300, %ecx
	xor %eax, %eax
2:	lea 1(%rax), %rsi
	mov (%rdi, %rax, 8), %rdx
	add %rdx, (%rdi, %rsi, 8)
	lea 2(%rax), %rsi
	mov %rdi, %r10
	add $24, %r10
	xor %rdx, (%r10, %rsi, 8)
	mov %rsp, %rbp
	push %rdx
	push %rsi
	mov -8(%rbp), %r8
	add -16(%rbp), %r8
	mov %r8, 8(%rsp)
	lea 16(%rsp), %rsp
	mov %rsp, %rbp
	mov %edi, %r11d
	dec %r11d
	mov 1(%r11, %rax, 8), %r9
	xchg %r9, %r8
	mov %r9, 40(%rdi, %rax, 8)
	add $1, %al
	jnc 3f
	add $7, %rdi
	inc %eax
3:	mov %r8, (%rdi)
	loop 2b
DONE same_values

/* Only IMUL's form of one operand changes RAX and RDX. */
SNIP multiplied_base
	movq $7, (%rdi)
	movq $9, 4096(%rdi)
	lea 4096(%rdi), %rax
	shl $32, %rax
	mov $1, %ebx
	shl $32, %rbx
	mov %rdi, %rdx
	xor %ecx, %ecx
	mov (%rdx, %rcx), %rsi
	imul %rsi, %rsi
	add (%rdx, %rcx), %rsi
	imul %rbx
	add (%rdx, %rcx), %rsi
	imul $3, %rsi, %rsi
	add 8(%rdx, %rcx), %rsi
DONE multiplied_base

SNIP vector
	mov $20, %ecx
2:	cvtsi2sd %ecx, %xmm0
	cvtsi2sdq %r10, %xmm3
	addsd %xmm0, %xmm1
	movsd %xmm1, 32(%rdi)
	movups (%rdi), %xmm2
	paddd 32(%rdi), %xmm2
	movdqa %xmm2, 48(%rdi)
	cvttsd2si %xmm1, %r11
	movd %xmm2, %r15d
	movq %r15, %xmm4
	pextrw $1, %xmm2, %edx
	pinsrw $3, %ecx, %xmm2
	pmovmskb %xmm2, %r8d
	fldl 32(%rdi)
	fadd %st(0)
	fstpl 40(%rdi)
	movq 40(%rdi), %rax
	add %rax, %rbx
	dec %ecx
	jnz 2b
	emms
DONE vector

/* Selectors, between flags and their end. */
SNIP selectors
	mov $300, %ebp
	mov %fs, %bx
	mov %gs, (%rdi)
2:	cmp $150, %ebp
	mov %cs, %eax
	mov %ss, %r10
	mov %ds, %r15d
	mov %es, %rcx
	mov %gs, %r11
	adc %rax, %r10
	add %r10, %r8
	lea (%r15, %rcx, 2), %r9
	add %r9, %r8
	add %r11, %r8
	dec %ebp
	jnz 2b
DONE selectors
