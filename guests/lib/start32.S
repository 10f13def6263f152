/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot entry of 32-bit guests: flat protected mode without paging, a GDT with a TSS and free
 * slots for the checks, then guest_start(). Also the ways into real mode and virtual-8086 mode.
 */
#include "guests/lib/layout.h"

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.text
	.code32
	.globl _start
_start:
	mov $boot_stack_end, %esp
	cld
	lgdt gdt_pointer
	ljmp $SEL_KCODE, $1f
1:	call load_segments
	mov %cr0, %eax
	and $~0xc, %eax		/* no EM, no TS */
	or $0x22, %eax		/* NE, MP */
	mov %eax, %cr0
	mov %cr4, %eax
	or $0x600, %eax
	mov %eax, %cr4
	push %ebx		/* multiboot's information */
	call guest_start
	ud2

	.globl load_segments
load_segments:
	mov $SEL_KDATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	ret

	.globl trap_stubs
	.align 16
trap_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17)
	push $0
	.endif
	push $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

trap_common:
	pusha
	mov $SEL_KDATA, %eax	/* a trap may come from anywhere with any segments */
	mov %ds, %ebx
	mov %es, %esi
	mov %eax, %ds
	mov %eax, %es
	mov %esp, %eax
	cld
	push %ebx
	push %esi
	push %eax
	call trap_dispatch
	add $4, %esp
	pop %es
	pop %ds
	popa
	add $8, %esp
	iret

	/* void user_enter(eip, esp, eflags): ring 3, or virtual-8086 mode with v86_enter's frame */
	.globl user_enter, user_leave, user_saved_rsp, v86_enter
user_enter:
	mov 4(%esp), %eax
	mov 8(%esp), %ecx
	mov 12(%esp), %edx
	push %ebx
	push %ebp
	push %esi
	push %edi
	mov %esp, user_saved_rsp
	push $SEL_UDATA | 3
	push %ecx
	push %edx
	push $SEL_UCODE32 | 3
	push %eax
	mov $SEL_UDATA | 3, %eax
	mov %eax, %ds
	mov %eax, %es
	iret
	/* void v86_enter(cs, ip, ss, sp, eflags) with DS, ES, FS, GS 1000h, 2000h, 3000h, 4000h */
v86_enter:
	push %ebx
	push %ebp
	push %esi
	push %edi
	mov %esp, user_saved_rsp
	mov %esp, %eax
	push $0x4000
	push $0x3000
	push $0x1000
	push $0x2000
	pushl 28(%eax)
	pushl 32(%eax)
	pushl 36(%eax)
	pushl 20(%eax)
	pushl 24(%eax)
	iret
user_leave:
	call load_segments	/* a trap in virtual-8086 mode left them null */
	mov user_saved_rsp, %esp
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	ret

	/* where a TRY() goes on that ended in another privilege level */
	.globl try_leave
try_leave:
	call load_segments
	mov try_rsp, %esp
	jmp *try_resume

	/* int try_exec(void *code) */
	.globl try_exec
try_exec:
	push %ebx
	push %ebp
	push %esi
	push %edi
	movl $-1, try_vector
	mov %esp, try_rsp
	movl $1f, try_resume
	call *20(%esp)
1:	mov try_rsp, %esp
	movl $0, try_resume
	call load_segments
	mov try_vector, %eax
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	ret

	/*
	 * void real_call(uint16_t offset): far calls 0000:offset in real mode, stack at 0000:7000h.
	 * The trampoline lies below 64 KiB: real_copy() puts it to REAL_CODE.
	 */
	.globl real_call, real_code, real_code_end
real_call:
	push %ebx
	push %ebp
	push %esi
	push %edi
	mov 20(%esp), %ebx
	mov %esp, real_saved_esp
	sidt real_saved_idt
	lidt real_idt
	ljmp $SEL_CODE16, $REAL_CODE
real_back:
	call load_segments
	lidt real_saved_idt
	mov real_saved_esp, %esp
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	ret

	.code16
real_code:
	mov $SEL_DATA16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov %cr0, %eax
	and $~1, %al
	mov %eax, %cr0
	ljmp $0, $REAL_CODE + (1f - real_code)
1:	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov $0x7000, %esp
	push %cs
	push $REAL_CODE + (2f - real_code)
	push %cs
	push %bx
	lret
2:	cli
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $SEL_KCODE, $real_back
real_code_end:
	.code32

	.data
	.align 16
	.globl gdt, gdt_end, gdt_pointer
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* SEL_KCODE */
	.quad 0x00cf93000000ffff	/* SEL_KDATA */
	.quad 0x00cffb000000ffff	/* SEL_UCODE32 */
	.quad 0x00cff3000000ffff	/* SEL_UDATA */
	.quad 0, 0
	.quad 0				/* SEL_TSS */
	.quad 0x00009b000000ffff	/* SEL_CODE16 */
	.quad 0x000093000000ffff	/* SEL_DATA16 */
	.quad 0				/* SEL_GATE */
	.quad 0
	.quad 0x00cf13000000ffff	/* SEL_ABSENT */
	.quad 0, 0, 0, 0		/* SEL_FREE */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
	.globl idt_pointer
idt_pointer:
	.word 256 * 8 - 1
	.long idt
real_idt:
	.word 0x3ff
	.long 0

	.bss
	.align 4096
	.globl idt
idt:		.skip 2048
boot_stack:	.skip 16384
boot_stack_end:	.skip 16
user_saved_rsp:	.skip 4
real_saved_esp:	.skip 4
real_saved_idt:	.skip 8
	.globl try_vector, try_resume, try_rsp
try_vector:	.skip 4
try_resume:	.skip 4
try_rsp:	.skip 4
