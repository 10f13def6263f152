/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest of the page-table fuzzer: random operations on a window of 64 pages, mixed with changes
 * of what the window's pages mean. Every frame has the same two pieces of code, one of which goes
 * on in whatever page comes next, so that any page can be called, stored to and remapped.
 *
 * R12 is the random number, R13 counts steps, R14 is a hash of all that was seen, R15 where to go
 * on after a fault, RBP the stack. A fault is part of the result, not an end.
 */
#include "tests/oracle/pages.h"

	.macro RAND
	mov %r12, %rax
	shl $13, %rax
	xor %rax, %r12
	mov %r12, %rax
	shr $7, %rax
	xor %rax, %r12
	mov %r12, %rax
	shl $17, %rax
	xor %rax, %r12
	.endm

	.macro HASH reg
	rol $7, %r14
	xor \reg, %r14
	.endm

	/* RSI = address of a random page of the window, plus \off. */
	.macro PAGE off=0
	RAND
	mov %r12, %rsi
	shr $20, %rsi
	and $0x3f000, %esi
	mov $WINDOW + \off, %rax
	add %rax, %rsi
	.endm

	/* RSI = a random place of the window where data may be stored. */
	.macro DATA
	PAGE 0x200
	mov %r12, %rax
	shr $40, %rax
	and $0x7ff, %eax
	add %rax, %rsi
	.endm

	.macro OP
	.balign 16
	.endm

	.macro NEXT
	jmp next
	.endm

	.section .rodata
	.globl pages_guest, pages_guest_end
pages_guest:
	call setup
	mov %rsp, %rbp
next:
	lea next(%rip), %r15
	dec %r13
	jz done
	RAND
	mov %r12, %rax
	shr $32, %rax
	and $31, %eax
	lea ops(%rip), %rdx
	movslq (%rdx, %rax, 4), %rax
	add %rdx, %rax
	jmp *%rax
done:	/* CALL to no canonical address has pushed its return address in translated code */
	movq $0, -8(%rbp)
	movq $0, -16(%rbp)
	out %al, $0xf4
1:	jmp 1b

ops:
	.long load_byte - ops, load_any - ops, store - ops, modify - ops
	.long store_across - ops, patch - ops, patch_rest - ops, call_inside - ops
	.long call_across - ops, stack - ops, copy - ops, many - ops
	.long vector - ops, exchange - ops, remap - ops, remap_all - ops
	.long swap_tables - ops, toggle_wp - ops, switch_space - ops, clean - ops
	.long ring3 - ops, outside - ops, outside_stack - ops, outside_code - ops
	.long load_any - ops, many - ops, remap - ops, copy - ops
	.long fill - ops, call_data - ops, patch - ops, vector_across - ops

OP
load_byte:
	DATA
	movzbl (%rsi), %eax
	HASH %rax
	NEXT
OP
load_any:
	PAGE
	mov %r12, %rax
	and $0xfff, %eax
	mov (%rsi, %rax), %rcx
	HASH %rcx
	NEXT
OP
store:
	DATA
	mov %r12, (%rsi)
	NEXT
OP
modify:
	DATA
	mov %r12, %rcx
	add %rcx, (%rsi)
	lock xadd %rcx, 8(%rsi)
	HASH %rcx
	NEXT
OP
store_across:	/* keeps the code at the page's end, changes what follows in the next page */
	PAGE 0xffa
	mov %r12, %rcx
	mov $0xffff000000ffffff, %rax
	and %rax, %rcx
	mov $0x0000c38148000000, %rax
	or %rax, %rcx
	mov %rcx, (%rsi)
	NEXT
OP
vector_across:	/* the same with sixteen bytes, and what was there */
	PAGE 0xffa
	movups (%rsi), %xmm4
	movq %xmm4, %rax
	HASH %rax
	mov %r12, %rcx
	mov $0xffff000000ffffff, %rax
	and %rax, %rcx
	mov $0x0000c38148000000, %rax
	or %rax, %rcx
	movq %rcx, %xmm4
	mov %r12, %rcx
	mov $0xffffffffff00ffff, %rax
	and %rax, %rcx
	or $0xc30000, %rcx
	movq %rcx, %xmm5
	punpcklqdq %xmm5, %xmm4
	movups %xmm4, (%rsi)
	NEXT
OP
patch:
	PAGE PAGES_INSIDE + 3
	mov %r12d, (%rsi)
	NEXT
OP
patch_rest:
	PAGE
	mov %r12w, 1(%rsi)
	NEXT
OP
call_inside:
	PAGE PAGES_INSIDE
	call *%rsi
	HASH %rbx
	NEXT
OP
call_across:
	PAGE PAGES_ACROSS
	call *%rsi
	HASH %rbx
	NEXT
OP
call_data:	/* code, then data in the same page, then code again */
	PAGE PAGES_INSIDE
	call *%rsi
	mov %rbx, 0x180(%rsi)
	call *%rsi
	HASH %rbx
	NEXT
OP
stack:
	DATA
	mov %rsi, %rsp
	push %r12
	push %rsi
	push %rbx
	pop %rax
	pop %rcx
	pop %rdx
	mov %rbp, %rsp
	HASH %rax
	HASH %rdx
	NEXT
OP
copy:
	PAGE 0x800
	mov %rsi, %rdi
	PAGE 0xf80
	mov %r12, %rcx
	shr $50, %rcx
	and $63, %ecx
	rep movsq
	HASH %rsi
	NEXT
OP
fill:
	PAGE 0x400
	mov %rsi, %rdi
	mov %r12, %rcx
	and $0xff, %ecx
	mov %rbx, %rax
	rep stosl
	HASH %rdi
	NEXT
OP
many:	/* several accesses off one base, some of them in the next page */
	PAGE 0xd00
	mov %r12, %rcx
	shr $52, %rcx
	and $0xf8, %ecx
	add %rcx, %rsi
	mov (%rsi), %rax
	add 0x40(%rsi), %rax
	mov %rax, 8(%rsi)
	add 0x2f0(%rsi), %rax
	mov %eax, 0x80(%rsi)
	add 0x400(%rsi), %rax
	sub $0x100, %rsi
	mov %ax, (%rsi)
	add %rax, 0x10(%rsi)
	HASH %rax
	NEXT
OP
vector:
	PAGE
	mov %r12, %rax
	shr $52, %rax
	movups (%rsi, %rax), %xmm1
	paddd %xmm1, %xmm0
	DATA
	movups %xmm0, (%rsi)
	movq %xmm0, %rax
	HASH %rax
	NEXT
OP
exchange:
	DATA
	mov %r12, %rcx
	xchg %rcx, (%rsi)
	mov %rcx, %rax
	lock cmpxchg %rbx, (%rsi)
	setz %cl
	HASH %rcx
	NEXT

	/* ---- addresses that are none of the guest's ---- */

	/* RSI = a random address, or one of the test's own memory. */
anywhere:
	RAND
	mov %r12, %rsi
	RAND
	mov %r12, %rax
	shr $17, %rax
	test $1, %al
	cmovz PAGES_HOST, %rsi
	test $6, %al
	jnz 1f
	shl $16, %rsi
	sar $16, %rsi		/* canonical */
1:	ret
OP
outside:
	call anywhere
	bt $23, %r12
	jc 1f
	mov (%rsi), %rax	/* reads, checked together */
	add 8(%rsi), %rax
	HASH %rax
	mov %gs:(%rsi), %rax
	HASH %rax
	NEXT
1:	bt $24, %r12
	jc 1f
	mov %r12, (%rsi)
	NEXT
1:	mov %rsi, %rdi
	mov $100, %ecx
	rep stosq
	NEXT
OP
outside_stack:
	call anywhere
	mov %rsi, %rsp
	push %r12
	pop %rax
	mov %rbp, %rsp
	NEXT
OP
outside_code:
	call anywhere
	bt $22, %r12
	jc 1f
	call *%rsi
	NEXT
1:	push %rsi
	ret

	/* ---- what pages mean ---- */

	/* RDI = a random entry of the current page table, RSI its page, RCX a new value. */
new_entry:
	PAGE
	mov %rsi, %rdi
	shr $9, %rdi
	and $0x1f8, %edi
	mov %r12, %rcx
	and $0x1f000, %ecx		/* one of 32 frames */
	or $PAGES_FRAMES, %rcx
	mov %r12, %rax
	shr $56, %rax
	test $15, %al
	jnz 1f
	and $0x30, %eax			/* past the end of memory: 2 MiB, 1 GiB... */
	add $5, %eax
	btr $20, %rcx
	bts $21, %rcx
	bts %rax, %rcx
1:	mov %r12, %rax
	shr $40, %rax
	and $7, %eax			/* present, writable, user */
	or %rax, %rcx
	bt $50, %r12
	jnc 1f
	or $3, %rcx
1:	mov %r12, %rax
	shr $51, %rax
	test $7, %al
	jnz 1f
	bts $63, %rcx			/* no execute */
1:	test $0x18, %al
	jnz 1f
	or PAGES_GLOBAL, %rcx
1:	add PAGES_TABLE, %rdi
	ret
OP
remap:
	call new_entry
	mov %rcx, (%rdi)
	invlpg (%rsi)
	NEXT
OP
remap_all:
	call new_entry
	mov %rcx, (%rdi)
	call new_entry
	mov %rcx, (%rdi)
	call flush
	NEXT
flush:	/* everything, global pages too */
	mov %cr4, %rax
	xor $0x80, %al
	mov %rax, %cr4
	xor $0x80, %al
	mov %rax, %cr4
	ret
OP
swap_tables:	/* the same address space gets the other page table */
	mov PAGES_TABLE, %rax
	xor $PAGES_PT ^ PAGES_PT2, %rax
	mov %rax, PAGES_TABLE
	or $7, %rax
	mov PAGES_DIRECTORY, %rcx
	mov %rax, (%rcx)
	call flush
	NEXT
OP
toggle_wp:
	mov %cr0, %rax
	btc $16, %rax
	mov %rax, %cr0
	NEXT
OP
switch_space:
	mov %cr3, %rax
	xor $PAGES_PML4 ^ PAGES_PML4_2, %rax
	mov %rax, %cr3
	mov PAGES_DIRECTORY, %rcx
	xor $PAGES_PD ^ PAGES_PD2, %rcx
	mov %rcx, PAGES_DIRECTORY
	mov (%rcx), %rcx
	and $~0xfff, %rcx
	mov %rcx, PAGES_TABLE
	cmpl $0, PAGES_GLOBAL
	jz 1f
	call flush
1:	NEXT
OP
clean:	/* accessed and dirty bits */
	PAGE
	mov %rsi, %rdi
	shr $9, %rdi
	and $0x1f8, %edi
	add PAGES_TABLE, %rdi
	mov (%rdi), %rax
	HASH %rax
	andb $~0x60, (%rdi)
	invlpg (%rsi)
	NEXT

	/* ---- ring 3 ---- */
OP
ring3:
	DATA
	push $PAGES_UDATA
	push %rbp
	push $2
	push $PAGES_UCODE
	lea 1f(%rip), %rax
	push %rax
	iretq
1:	mov (%rsi), %rax
	HASH %rax
	mov %r12, 0x10(%rsi)
	and $~0xfff, %rsi
	add $PAGES_INSIDE, %rsi
	call *%rsi
	HASH %rbx
	int3

	/* #PF and others with an error code, on a stack of their own; #UD; #BP from ring 3. */
	.balign 16
undefined:
	push $0
fault:
	pop %r8
	HASH %r8
	pop %r8
	HASH %r8		/* RIP */
	movq $0, 8(%rsp)	/* status flags are a known limit of translated code */
	mov 16(%rsp), %r8
	HASH %r8		/* RSP */
	mov %cr2, %r8
	HASH %r8
	HASH %rax
	HASH %rbx
	HASH %rcx
	HASH %rdx
	HASH %rsi
	HASH %rdi
	incl PAGES_FAULTS
breakpoint:
	mov %rbp, %rsp
	jmp *%r15

	/* ---- once ---- */
gate:	/* vector EDI to RSI with IST and type in EDX */
	shl $4, %edi
	mov %si, IDT_AT(%rdi)
	movw $8, IDT_AT + 2(%rdi)
	mov %dx, IDT_AT + 4(%rdi)
	shr $16, %rsi
	mov %esi, IDT_AT + 6(%rdi)
	ret

setup:
	mov $12, %ebx			/* #SS, #GP, #PF */
1:	mov %ebx, %edi
	lea fault(%rip), %rsi
	mov $0x8e01, %edx
	call gate
	inc %ebx
	cmp $15, %ebx
	jb 1b
	mov $6, %edi
	lea undefined(%rip), %rsi
	call gate
	mov $3, %edi
	lea breakpoint(%rip), %rsi
	mov $0xee00, %edx
	call gate
	movq $PAGES_STACK, 4		/* the TSS is at 0: RSP0, IST1 */
	movq $PAGES_STACK, 0x24
	mov $0x00affb000000ffff, %rax	/* ring 3: code and data behind the two that are there */
	mov %rax, GDT_AT + 24
	mov $0x00cff3000000ffff, %rax
	mov %rax, GDT_AT + 32
	sub $16, %rsp
	movw $39, (%rsp)
	movq $GDT_AT, 2(%rsp)
	lgdt (%rsp)
	add $16, %rsp
	ret
pages_guest_end:

	.section .note.GNU-stack, "", @progbits
