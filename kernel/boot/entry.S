/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first instructions. Boot loaders enter in 32-bit protected mode without paging:
 *   multiboot2 (GRUB; BIOS and UEFI): EAX = 0x36d76289, EBX = information
 *   PVH (QEMU -kernel, baton run): EBX = struct hvm_start_info
 * Both end in kmain(protocol, information) in long mode on the boot stack, with the first 4 GiB mapped
 * at 0, at PHYS_MAP and, of them 1 GiB, at KERNEL_OFFSET.
 */
#include "kernel/boot/protocol.h"

#define PHYS_MAP_ 0xffff800000000000
#define PTE_P  1
#define PTE_W  2
#define PTE_PS 0x80

	.section .multiboot2, "a"
	.align 8
header:
	.long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
	/* Console: a framebuffer of any size, or text if there is none. */
	.align 8
	.short 5, 1
	.long 20, 0, 0, 32
	.align 8
	.short 6, 0             /* modules begin on pages */
	.long 8
	.align 8
	.short 3, 0             /* entry address */
	.long 12, boot_multiboot2
	.align 8
	.short 0, 0
	.long 8
header_end:

	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18          /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long boot_pvh

	.section .boot, "awx"
	.code32
	.global boot_pvh
boot_pvh:
	movl $BOOT_PVH, %edi
	jmp boot32
boot_multiboot2:
	movl $BOOT_MULTIBOOT2, %edi
	cmpl $0x36d76289, %eax
	je boot32
	hlt

boot32:
	cli
	cld
	movl %ebx, %esi
	movl $boot_stack_end, %esp

	/* Four page directories of 2 MiB pages, one after the other: the first 4 GiB. */
	movl $boot_pd, %ebx
	movl $(PTE_P | PTE_W | PTE_PS), %eax
	movl $2048, %ecx
1:	movl %eax, (%ebx)
	addl $0x200000, %eax
	addl $8, %ebx
	loop 1b
	movl $(boot_pd + PTE_P + PTE_W), %eax
	movl $boot_pdpt, %ebx
	movl $4, %ecx
1:	movl %eax, (%ebx)
	addl $0x1000, %eax
	addl $8, %ebx
	loop 1b
	movl $(boot_pd + PTE_P + PTE_W), boot_pdpt_high + 510 * 8
	movl $(boot_pdpt + PTE_P + PTE_W), boot_pml4
	movl $(boot_pdpt + PTE_P + PTE_W), boot_pml4 + 256 * 8
	movl $(boot_pdpt_high + PTE_P + PTE_W), boot_pml4 + 511 * 8

	movl $boot_pml4, %eax
	call enter_long_mode
	lgdt boot_gdtr
	ljmp $8, $boot64

/* EAX: page table. Turns paging and long mode on; keeps EDI and ESI. The trampoline calls it too. */
enter_long_mode:
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax         /* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx  /* EFER: LME, NXE */
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl %cr0, %eax
	andl $~0x60000000, %eax /* caches on */
	orl $0x80010001, %eax   /* PG, WP, PE */
	movl %eax, %cr0
	ret

	.code64
boot64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movabsq $boot_stack_end + PHYS_MAP_, %rsp /* mapped before and after pagetable_init() */
	movabsq $kmain, %rax
	call *%rax
1:	hlt
	jmp 1b

/*
 * Where the other processors begin: real mode at SMP_TRAMPOLINE, below 1 MiB. smp.c copies this and
 * fills in the last three values.
 */
	.code16
	.global trampoline, trampoline_end, trampoline_args
trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl trampoline_gdtr - trampoline
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $24, $trampoline32
	.align 4
trampoline_gdtr:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt
	.align 8
trampoline_args:
	.quad 0, 0, 0           /* page table, stack, entry */
trampoline_end:

	.code32
trampoline32:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %ss
	movl $boot_stack_end, %esp
	movl SMP_TRAMPOLINE + trampoline_args - trampoline, %eax
	call enter_long_mode
	ljmp $8, $trampoline64
	.code64
trampoline64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movq SMP_TRAMPOLINE + trampoline_args - trampoline + 8, %rsp
	movq SMP_TRAMPOLINE + trampoline_args - trampoline + 16, %rax
	call *%rax

	.align 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /*  8: 64-bit code */
	.quad 0x00cf93000000ffff /* 16: data */
	.quad 0x00cf9b000000ffff /* 24: 32-bit code */
boot_gdt_end:
boot_gdtr:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt

	.align 4096
	.global boot_pml4
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
boot_pdpt_high:
	.skip 4096
boot_pd:
	.skip 4 * 4096
	.skip 16384
boot_stack_end:

	.section .note.GNU-stack,"",@progbits
