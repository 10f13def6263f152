/* SPDX-License-Identifier: Apache-2.0 */
/* String instructions, masked moves and gathers. */
#include "snippets.inc"

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

/* Gathers of every kind, in many pages, over a page's end, with live flags and masks of some. */
SNIP gathers
	mov $60, %r8d
	xor %r11d, %r11d
	lea 4096 - 50(%rdi), %r10
	lea (%rdi), %rbx
2:	lea 64(%rdi, %r8), %rsi
	vpcmpeqd %ymm9, %ymm9, %ymm9
	vpsrld $20, %ymm9, %ymm8
	vpand (%rsi), %ymm8, %ymm8	/* indices below 4096 */
	vmovdqa %ymm9, %ymm1
	cmp $30, %r8
	vgatherdps %ymm1, (%rbx, %ymm8, 2), %ymm2
	vpmaskmovd 32(%rsi), %ymm9, %ymm1
	vpgatherdd %ymm1, 8(%r10, %ymm8, 1), %ymm3
	adc %r11, %r11
	vmovdqu (%rdi, %r8), %ymm11
	vgatherdpd %ymm11, (%rbx, %xmm8, 1), %ymm12
	vmovdqu (%rdi), %xmm1
	vpgatherdd %xmm1, (%rbx, %xmm8, 2), %xmm4
	vpmovzxdq %xmm8, %ymm10
	vmovdqa %ymm9, %ymm1
	vpgatherqq %ymm1, -8(%r10, %ymm10, 1), %ymm5
	vmovdqa %ymm9, %ymm1
	vgatherqps %xmm1, (%rbx, %ymm10, 4), %xmm6
	vmovdqa %ymm9, %ymm1
	vpgatherqd %xmm1, (%rbx, %xmm10, 1), %xmm7
	vmovdqa %ymm9, %ymm1
	vpgatherdq %xmm1, 0x40000(, %xmm8, 1), %xmm13
	vpxor %ymm2, %ymm3, %ymm0
	vpaddq %ymm12, %ymm0, %ymm0
	vpxor %ymm4, %ymm0, %ymm0
	vpaddd %ymm5, %ymm0, %ymm0
	vpaddq %ymm6, %ymm0, %ymm0
	vpxor %ymm7, %ymm0, %ymm0
	vpaddd %ymm13, %ymm0, %ymm0
	vpor %ymm1, %ymm11, %ymm1	/* none is left */
	vpaddd %ymm1, %ymm0, %ymm0
	vmovdqu %ymm0, 8192(%rdi, %r8, 8)
	dec %r8
	jnz 2b
DONE gathers
