/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest code of the translator's tests: 64-bit, position-independent, each between NAME and NAME_end.
 * RDI points to 16 KiB of data, RSP to the top of a stack; "out %al, $0xf4" ends a run.
 */
	.macro SNIP name
	.globl snip_\name, snip_\name\()_end
	.balign 16
snip_\name:
	.endm
	.macro DONE name
	out %al, $0xf4
1:	jmp 1b
snip_\name\()_end:
	.endm

	.section .rodata

SNIP loop
	mov $1000, %ecx
	xor %eax, %eax
2:	add %rcx, %rax
	lea 3(%rax, %rcx, 2), %rdx
	xor %rdx, %rbx
	dec %ecx
	jnz 2b
DONE loop

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

SNIP strings
	lea 2048(%rdi), %rsi
	mov %rdi, %rbx
	mov $300, %ecx
	mov $0x1122334455667788, %rax
	cld
	rep stosq
	mov %rbx, %rdi
	mov $4000, %ecx
	rep movsb
	mov %rbx, %rdi
	mov $100, %ecx
	mov $0x33, %al
	repne scasb
	mov %rcx, %r9
DONE strings

/* Sizes, single ones, live flags, across pages, downwards, a count of nothing. */
SNIP string_forms
	mov %rdi, %rbx
	mov $20, %r8d
2:	lea 4001(%rbx), %rsi
	lea 8190(%rbx), %rdi
	mov %r8d, %ecx
	add $0x7fffffff, %eax
	rep movsl
	movsb
	stosl
	movsq
	pushf
	pop %r9
	add %r9, %r10
	mov $600, %ecx
	cmp %rax, %rbx
	rep stosw
	setb %al
	rep stosq
	mov $9, %ecx
	std
	rep movsw
	stosb
	movsl
	cld
	add %rsi, %r11
	add %rdi, %r11
	dec %r8d
	jnz 2b
DONE string_forms

/* Comparisons that end by a difference, by the count, at a page's end and with nothing to do; flags
   from before them; single ones; downwards. */
SNIP string_compares
	lea 4096(%rdi), %rbx
	mov %rdi, %rsi
	lea 8192 - 40(%rdi), %rdi
	mov $3000, %ecx
	cld
	rep movsb
	mov $40, %r8d
2:	lea -4096(%rbx), %rsi
	lea 4096 - 40(%rbx), %rdi
	movb $77, 0xfff(%rbx, %r8)
	mov %r8d, %ecx
	cmp $20, %r8d
	repe cmpsb
	setb %al
	seto %ah
	add %rcx, %r9
	add %rsi, %r10
	mov $0, %ecx
	stc
	repne scasw
	adc %rdi, %r11
	mov $600, %ecx
	repne scasb
	pushf
	pop %rdx
	add %rdx, %r12
	mov $90, %ecx
	repne cmpsl
	setp %dl
	mov $30, %ecx
	repe scasq
	cmpsb
	setbe %dh
	scasl
	adc %rdx, %r13
	lodsb
	adc %rax, %r14
	lodsq
	lodsw
	lodsl
	xor %rsi, %rax
	std
	mov $5, %ecx
	repe cmpsb
	scasw
	lodsl
	cld
	add %rdi, %r15
	dec %r8d
	jnz 2b
DONE string_compares

/* Masked moves whose elements are here, in two pages, or in part on a page that is not there. */
SNIP masked_moves
	lea 4096(%rdi), %rbx
	mov $0x10000, %r9d
	movb $0, 0x13000 + 8 * 0x51	/* no page at 51000h */
	invlpg 0x51000
	mov $70, %r8d
2:	vpcmpeqd %ymm1, %ymm1, %ymm1
	vmovq %r8, %xmm2
	vpbroadcastb %xmm2, %ymm2
	vpsllvd (%rdi), %ymm1, %ymm1
	vpxor 32(%rdi), %ymm1, %ymm1
	lea -40(%rbx, %r8), %rsi
	vmaskmovps (%rsi), %ymm1, %ymm3
	vpmaskmovd %ymm3, %ymm1, 64(%rdi)
	vmaskmovpd %xmm2, %xmm1, (%rsi)
	vpmaskmovq 3(%rsi), %ymm1, %ymm4
	vpaddd %ymm4, %ymm3, %ymm3
	vmovdqu %ymm3, (%rdi, %r8)
	vpxor %xmm5, %xmm5, %xmm5
	vpcmpeqd %xmm6, %xmm6, %xmm6	/* the lower four elements */
	vmaskmovps 0x51000 - 16, %ymm6, %ymm7
	vmaskmovps %ymm2, %ymm6, 0x51000 - 16
	vmaskmovps %ymm2, %ymm5, 0x51008
	vpaddd %ymm7, %ymm3, %ymm3
	vmovdqu %ymm3, 96(%rdi)
	dec %r8d
	jnz 2b
	movb $0x3, 0x13000 + 8 * 0x51
	invlpg 0x51000
DONE masked_moves

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
	.section .note.GNU-stack, "", @progbits
