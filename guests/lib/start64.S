/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot entry of 64-bit guests: 4 GiB mapped one to one with 2 MiB pages that ring 3 may use,
 * long mode, a GDT with a TSS, then guest_start(). Application processors come in by ap_trampoline.
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
	push $0
	push %ebx
	/* page tables: one PML4, one PDPT, four page directories */
	mov $page_pdpt + 7, %eax
	mov %eax, page_pml4
	mov $page_pd + 7, %eax
	mov $page_pdpt, %edi
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $0x1000, %eax
	add $8, %edi
	loop 1b
	mov $0x87, %eax
	mov $page_pd, %edi
	mov $2048, %ecx
1:	mov %eax, (%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	call enter_long_mode
	ljmp $SEL_KCODE, $1f
	.code64
1:	call load_segments
	pop %rdi
	and $-16, %rsp
	call guest_start
	ud2

	/* Paging and long mode on; both the boot processor and the others. Flat 32-bit code. */
	.code32
	.globl enter_long_mode
enter_long_mode:
	mov $page_pml4, %eax
	mov %eax, %cr3
	mov $0x620, %eax	/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x901, %eax		/* NXE, LME, SCE */
	wrmsr
	mov $0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	mov %eax, %cr0
	lgdt gdt_pointer
	ret

	.code64
load_segments:
	mov $SEL_KDATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	ret

	/* ---- application processors: copied to AP_TRAMPOLINE ---- */
	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl AP_TRAMPOLINE + (ap_gdt_pointer - ap_trampoline)
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $SEL_KCODE32, $ap_start32
ap_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_trampoline_end:
	.code32
	.weak ap_main		/* guests that start processors have it */
ap_start32:
	mov $SEL_KDATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $ap_stack_end, %esp
	call enter_long_mode
	ljmp $SEL_KCODE, $1f
	.code64
1:	call load_segments
	lidt idt_pointer
	call ap_main
1:	hlt
	jmp 1b

	/* ---- exceptions and interrupts ---- */
	.globl trap_stubs
	.align 16
trap_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17)
	push $0			/* in place of an error code */
	.endif
	push $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

trap_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, %rdi
	cld
	mov %rsp, %rbp
	and $-16, %rsp
	call trap_dispatch
	mov %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	/* void user_enter(uint64_t rip, uint64_t rsp, uint64_t rflags): until a trap in ring 3 */
	.globl user_enter, user_leave, user_saved_rsp
user_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, user_saved_rsp
	push $SEL_UDATA | 3
	push %rsi
	push %rdx
	push $SEL_UCODE | 3
	push %rdi
	iretq
user_leave:
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	/* where a TRY() goes on that ended in another privilege level */
	.globl try_leave
try_leave:
	jmp *try_resume

	/* int try_exec(void *code): calls it; -1, or the vector of the trap it ended in */
	.globl try_exec
try_exec:
	movq $-1, try_vector
	mov %rsp, try_rsp
	movq $1f, try_resume
	call *%rdi
1:	mov try_rsp, %rsp
	movq $0, try_resume
	mov try_vector, %rax
	ret

	.data
	.align 16
	.globl gdt, gdt_end, gdt_pointer
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* SEL_KCODE */
	.quad 0x00cf93000000ffff	/* SEL_KDATA */
	.quad 0x00cffb000000ffff	/* SEL_UCODE32 */
	.quad 0x00cff3000000ffff	/* SEL_UDATA */
	.quad 0x00affb000000ffff	/* SEL_UCODE */
	.quad 0x00cff3000000ffff	/* SYSEXIT's stack */
	.quad 0, 0			/* SEL_TSS */
	.quad 0x00cf9b000000ffff	/* SEL_KCODE32 */
	.quad 0, 0			/* SEL_GATE */
	.quad 0x00cf13000000ffff	/* SEL_ABSENT: not present */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.globl idt_pointer
idt_pointer:
	.word 256 * 16 - 1
	.quad idt

	.bss
	.align 4096
	.globl page_pml4, page_pdpt, page_pd, idt
page_pml4:	.skip 4096
page_pdpt:	.skip 4096
page_pd:	.skip 4 * 4096
idt:		.skip 4096
boot_stack:	.skip 16384
boot_stack_end:	.skip 16
ap_stack:	.skip 16384
ap_stack_end:	.skip 16
user_saved_rsp:	.skip 8
	.globl try_vector, try_resume, try_rsp
try_vector:	.skip 8
try_resume:	.skip 8
try_rsp:	.skip 8
