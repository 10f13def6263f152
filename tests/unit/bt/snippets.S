/* SPDX-License-Identifier: Apache-2.0 */
/* Guest code of the tests in test_bt.c. Each is copied to BOX_CODE; DONE ends the run. */
#define DONE outb %al, $0xf5
#define TELL(reg) movl reg, %eax; outl %eax, $0xf4

.macro BEGIN name
	.balign 16
	.globl \name, \name\()_end
\name:
.endm
.macro END name
\name\()_end:
.endm

	.section .rodata
	.set CODE, 0x10000
	.set DATA, 0x20000

/* ---- real mode ------------------------------------------------------------------------------- */
	.code16
BEGIN real_interrupt
	/* vector 21h: CS:handler */
	xorw %ax, %ax
	movw %ax, %ds
	movw $(real_handler - real_interrupt), 0x84
	movw %cs, 0x86
	movw $5, %bx
	int $0x21
	movw %bx, %ax
	outw %ax, $0xf4
	movw %sp, %ax
	outw %ax, $0xf4
	outb %al, $0xf5
real_handler:
	addw $37, %bx
	iret
END real_interrupt

BEGIN real_strings
	cld
	movw $0x2000, %ax
	movw %ax, %es
	movw %ax, %ds
	xorw %di, %di
	movw $0x1234, %ax
	movw $3000, %cx
	rep stosw
	xorw %si, %si
	movw $0x3000, %di
	movw $6000, %cx
	rep movsb
	movw $0x3000, %di
	movw $0x1234, %ax
	movw $4000, %cx
	repe scasw
	movw %cx, %ax
	outw %ax, $0xf4
	outb %al, $0xf5
END real_strings

/* An offset past the segment's limit: #GP, here to the handler of vector 13. */
BEGIN real_limit
	xorw %ax, %ax
	movw %ax, %ds
	movw $(real_limit_handler - real_limit), 0x34
	movw %cs, 0x36
	movw $0xffff, %bx
	movw (%bx), %ax
	hlt
real_limit_handler:
	movw $13, %ax
	outw %ax, $0xf4
	outb %al, $0xf5
END real_limit

/* Into protected mode and back. */
BEGIN real_to_protected
	xorw %ax, %ax
	movw %ax, %ds
	movl $0x2000, %eax
	movl %eax, 0x502
	movw $0x57, 0x500
	lgdtl 0x500
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $(CODE + 1f - real_to_protected)
	.code32
1:	movw $0x10, %ax
	movw %ax, %ds
	movl $0xabcd1234, DATA
	movl DATA, %eax
	outl %eax, $0xf4
	outb %al, $0xf5
END real_to_protected

/* ---- 32-bit protected mode ------------------------------------------------------------------- */
	.code32
/* Ring 3 asks ring 0 by INT 80h, which returns with IRET. */
BEGIN ring3_gate
	movl $7, %ebx
	int $0x80
	TELL(%ebx)
	movl %esp, %eax
	outl %eax, $0xf4
	DONE
	.org ring3_gate + 0x100
	addl $100, %ebx
	iret
END ring3_gate

/* CLI in ring 3 with IOPL 0: #GP to ring 0, which tells the error code and the pushed CS and EIP. */
BEGIN ring3_privilege
	nop
	hlt
	nop
	.org ring3_privilege + 0x100
	popl %eax
	outl %eax, $0xf4
	popl %eax
	outl %eax, $0xf4
	popl %eax
	outl %eax, $0xf4
	DONE
END ring3_privilege

/* Through a call gate to ring 0 with one parameter, and back with RET. */
BEGIN call_gate
	pushl $0x1111
	lcall $0x38, $0
	TELL(%ebx)
	movl %esp, %eax
	outl %eax, $0xf4
	DONE
	.org call_gate + 0x100
	movl 8(%esp), %ebx
	movl %cs, %eax
	outl %eax, $0xf4
	lret $4
END call_gate

/* IRET to V8086 mode, where HLT raises #GP in the monitor. */
BEGIN v86
	pushl $0x5000
	pushl $0x4000
	pushl $0x3000
	pushl $0x2000
	pushl $0x2800
	pushl $0x100
	pushl $0x23002
	pushl $0x1000
	pushl $(2f - v86)
	iret
	.code16
2:	movw %ds, %ax
	outw %ax, $0xf4
	movw $0x77, 0
	hlt
	.code32
	.org v86 + 0x100
	movl %ds, %eax
	outl %eax, $0xf4
	movl 12(%esp), %eax
	outl %eax, $0xf4
	movl 24(%esp), %eax
	outl %eax, $0xf4
	DONE
END v86

/* ---- long mode ------------------------------------------------------------------------------- */
	.code64
/* Touches DATA in the way RBX says: 0 read, 1 write, 2 jump there. The handler tells error, CR2. */
BEGIN touch
	cmpl $1, %ebx
	je 1f
	ja 2f
	movl DATA, %eax
	jmp 3f
1:	movl $1, DATA
	jmp 3f
2:	movl $DATA, %eax
	jmp *%rax
3:	movl $0x600d, %eax
	outl %eax, $0xf4
	DONE
	.org touch + 0x100
	popq %rax
	outl %eax, $0xf4
	movq %cr2, %rax
	outl %eax, $0xf4
	DONE
END touch

/* A write that crosses into a page that is not there: nothing of it may be seen. */
BEGIN crossing
	movq $-1, %rax
	movq %rax, DATA + 0xffc
	.org crossing + 0x100
	movl DATA + 0xffc, %eax
	outl %eax, $0xf4
	movq %cr2, %rax
	outl %eax, $0xf4
	DONE
END crossing

BEGIN self_modifying
	xorl %ebx, %ebx
	movl $3, %ecx
1:	addl $1, %ebx
	addb $1, 1b + 2(%rip)
	decl %ecx
	jnz 1b
	TELL(%ebx)
	DONE
END self_modifying

BEGIN syscalls
	movl $0xc0000081, %ecx
	xorl %eax, %eax
	movl $0x00230018, %edx
	wrmsr
	movl $0xc0000082, %ecx
	movl $(CODE + 0x100), %eax
	xorl %edx, %edx
	wrmsr
	movl $0xc0000084, %ecx
	movl $0x200, %eax
	wrmsr
	movl $(CODE + 1f - syscalls), %ecx
	movl $0x3202, %r11d
	sysretq
1:	movl %cs, %eax
	outl %eax, $0xf4
	syscall
	movl %ebx, %eax
	outl %eax, $0xf4
	DONE
	.org syscalls + 0x100
	pushfq
	popq %rbx
	movl %cs, %eax
	outl %eax, $0xf4
	sysretq
END syscalls

/* IST: the handler of vector 6 tells where its stack is. */
BEGIN ist
	ud2
	.org ist + 0x100
	movl %esp, %eax
	outl %eax, $0xf4
	addq $2, (%rsp)
	movl 0(%rsp), %eax
	outl %eax, $0xf4
	DONE
END ist

/* TF: one #DB after each instruction; the handler counts them in R8. */
BEGIN single_step
	xorl %r8d, %r8d
	pushfq
	orl $0x100, (%rsp)
	popfq
	nop
	nop
	pushfq
	andl $~0x100, (%rsp)
	popfq
	TELL(%r8d)
	movq %dr6, %rax
	outl %eax, $0xf4
	DONE
	.org single_step + 0x100
	incl %r8d
	iretq
END single_step

/* A data breakpoint on DATA, for writes of four bytes. */
BEGIN watchpoint
	movl $DATA, %eax
	movq %rax, %dr0
	movl $0xd0401, %eax
	movq %rax, %dr7
	movl DATA, %ecx
	movl $5, DATA
	nop
	DONE
	.org watchpoint + 0x100
	movl (%rsp), %eax
	subl $CODE, %eax
	outl %eax, $0xf4
	movq %dr6, %rax
	outl %eax, $0xf4
	DONE
END watchpoint

/* Device memory at 3 GiB: a read, a read-modify-write, a string store. */
BEGIN devices
	movl $0xc0000000, %edi
	movl (%rdi), %eax
	outl %eax, $0xf4
	addl $2, (%rdi)
	movl $0x99, %eax
	movl $3, %ecx
	rep stosl
	TELL(%edi)
	DONE
END devices

/* LOCK operations over a page boundary and CMPXCHG16B. */
BEGIN locked
	movl $1, %eax
	movl $2, %edx
	lock xaddl %eax, DATA + 0xffe
	outl %eax, $0xf4
	movl DATA + 0xffe, %eax
	outl %eax, $0xf4
	xorl %eax, %eax
	xorl %edx, %edx
	movl $11, %ebx
	movl $22, %ecx
	lock cmpxchg16b DATA + 0x100
	setz %al
	movzbl %al, %eax
	outl %eax, $0xf4
	movl DATA + 0x108, %eax
	outl %eax, $0xf4
	DONE
END locked

/* The APIC timer, one shot, to vector 40h; HLT until it comes. */
BEGIN apic_timer
	movl $0xfee00000, %edi
	movl $0x1ff, 0xf0(%rdi)
	movl $0x40, 0x320(%rdi)
	movl $0xb, 0x3e0(%rdi)
	movl $1000000, 0x380(%rdi)
	sti
1:	hlt
	jmp 1b
	.org apic_timer + 0x100
	movl $0xfee00000, %edi
	movl 0x120(%rdi), %eax
	outl %eax, $0xf4
	movl $0, 0xb0(%rdi)
	movl 0x120(%rdi), %eax
	outl %eax, $0xf4
	DONE
END apic_timer

/* STI takes effect after the next instruction. */
BEGIN shadow
	movl $0xfee00000, %edi
	movl $0x1ff, 0xf0(%rdi)
	movl $0x44040, 0x300(%rdi) /* to itself */
	xorl %ebx, %ebx
	sti
	incl %ebx
	incl %ebx
	hlt
	.org shadow + 0x100
	TELL(%ebx)
	DONE
END shadow

	.section .note.GNU-stack, "", @progbits
