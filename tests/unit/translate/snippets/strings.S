/* SPDX-License-Identifier: Apache-2.0 */
/* String instructions and masked moves. */
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
