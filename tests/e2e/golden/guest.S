/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest in the golden states. It fills memory and registers of several chips, says "up" and
 * then answers each byte from the serial port: "golden ok" if everything is still as it was, else "bad"
 * and what. A state of it that was saved long ago must say the same today: see docs/state.md.
 */
#define SERIAL	0x3f8
#define PATTERN	0x200000	/* where, and how many 32-bit numbers */
#define COUNT	1024

	.text
	.globl _start
	.align 4
	.long 0x1badb002, 0, -0x1badb002
_start:	mov $0x300000, %esp
	mov $PATTERN, %edi
	mov $COUNT, %ecx
	mov $1, %eax
1:	imul $1103515245, %eax
	add $12345, %eax
	stosl
	loop 1b
	/* PIC: initialised at 30h/38h, a mask of its own; CMOS: a byte; timer: channel 2, a count. */
	mov $0x11, %al
	out %al, $0x20
	mov $0x30, %al
	out %al, $0x21
	mov $4, %al
	out %al, $0x21
	mov $1, %al
	out %al, $0x21
	mov $0x5a, %al
	out %al, $0x21
	mov $0x70, %al
	out %al, $0x70
	mov $0xa5, %al
	out %al, $0x71
	mov $SERIAL + 7, %dx		/* scratch register */
	mov $0x3c, %al
	out %al, %dx
	mov $0x80000000, %eax		/* PCI configuration address */
	mov $0xcf8, %dx
	out %eax, %dx
	mov $0x12345678, %eax
	mov %eax, %dr0
	mov $0xcafe, %ebp
	mov $up, %esi
	call print
again:	mov $SERIAL + 5, %dx
	in %dx, %al
	test $1, %al
	jz again
	mov $SERIAL, %dx
	in %dx, %al
	call check
	call print
	jmp again

/* ESI: what is to be said. */
check:	mov $bad_memory, %esi
	mov $PATTERN, %edi
	mov $COUNT, %ecx
	mov $1, %eax
1:	imul $1103515245, %eax
	add $12345, %eax
	scasl
	jne 2f
	loop 1b
	mov $bad_pic, %esi
	in $0x21, %al
	cmp $0x5a, %al
	jne 2f
	mov $bad_cmos, %esi
	in $0x71, %al
	cmp $0xa5, %al
	jne 2f
	mov $bad_uart, %esi
	mov $SERIAL + 7, %dx
	in %dx, %al
	cmp $0x3c, %al
	jne 2f
	mov $bad_pci, %esi
	mov $0xcf8, %dx
	in %dx, %eax
	cmp $0x80000000, %eax
	jne 2f
	mov $bad_cpu, %esi
	mov %dr0, %eax
	cmp $0x12345678, %eax
	jne 2f
	cmp $0xcafe, %ebp
	jne 2f
	mov $good, %esi
2:	ret

print:	lodsb
	test %al, %al
	jz 2f
	mov $SERIAL, %dx
	out %al, %dx
	jmp print
2:	ret

up:		.asciz "up\n"
good:		.asciz "golden ok\n"
bad_memory:	.asciz "bad memory\n"
bad_pic:	.asciz "bad pic\n"
bad_cmos:	.asciz "bad cmos\n"
bad_uart:	.asciz "bad uart\n"
bad_pci:	.asciz "bad pci\n"
bad_cpu:	.asciz "bad cpu\n"
