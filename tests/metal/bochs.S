/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot sector for test_bochs.py: reads the kernel, the start information and the initramfs, which lie
 * one after the other on the disk, to where they belong, by programmed I/O, and enters the kernel as
 * PVH does. `sectors` is filled in.
 */
	.code16
	.global _start
_start:
	ljmp $0, $1f
1:	cli
	cld
	xorw %ax, %ax
	movw %ax, %ds
	inb $0x92, %al
	orb $2, %al		/* A20 */
	outb %al, $0x92
	lgdt gdtr
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmp $8, $2f

	.code32
2:	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $0x7c00, %esp
	movb $2, %al		/* no interrupts from the disk */
	movw $0x3f6, %dx
	outb %al, %dx
	movl $1, %ebx
	movl $0x200000, %edi
	movl $2048, %esi
	call read
	movl $0x3ff0000, %edi
	movl $8, %esi
	call read
	movl $0x4000000, %edi
	movl sectors, %esi
	call read
	movl $0x3ff0000, %ebx
	movl $0x201000, %eax
	jmp *%eax

/* ESI sectors from number EBX on to EDI: a command each. */
read:	movw $0x1f2, %dx
	movb $1, %al
	outb %al, %dx
	movl %ebx, %eax
	incw %dx
	outb %al, %dx
	shrl $8, %eax
	incw %dx
	outb %al, %dx
	shrl $8, %eax
	incw %dx
	outb %al, %dx
	movb $0xe0, %al
	incw %dx
	outb %al, %dx
	movb $0x20, %al
	incw %dx
	outb %al, %dx
3:	inb %dx, %al
	testb $0x80, %al
	jnz 3b
	testb $8, %al
	jz 3b
	movw $0x1f0, %dx
	movl $256, %ecx
	rep insw
	incl %ebx
	decl %esi
	jnz read
	ret

	.align 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.short 23
	.long gdt
	.org 506
sectors: .long 0
	.short 0xaa55
