/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550 at 3f8h: output waits for the chip, input comes by interrupt. */
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/drivers/console.h"
#include "kernel/sys/tty.h"

#define COM1 0x3f8

enum {
	DATA = 0,
	IER = 1,
	FCR = 2,
	LCR = 3,
	MCR = 4,
	LSR = 5,
};

static bool present;

void serial_init(void)
{
	outb(COM1 + IER, 0);
	outb(COM1 + LCR, 0x80); /* divisor: 115200 */
	outb(COM1 + DATA, 1);
	outb(COM1 + IER, 0);
	outb(COM1 + LCR, 3);
	outb(COM1 + FCR, 7);
	outb(COM1 + MCR, 0x0b);
	present = inb(COM1 + LSR) != 0xff;
}

void serial_put(const char *s, size_t n)
{
	for (; present && n; n--, s++) {
		for (unsigned i = 0; i < 100000 && !(inb(COM1 + LSR) & 0x20); i++)
			__builtin_ia32_pause();
		outb(COM1 + DATA, (uint8_t)*s);
	}
}

static void receive(void *opaque)
{
	char c;

	(void)opaque;
	while (inb(COM1 + LSR) & 1) {
		c = (char)inb(COM1 + DATA);
		tty_input(&c, 1);
	}
}

void serial_listen(void)
{
	unsigned vector = present ? irq_alloc(receive, NULL) : 0;

	if (!vector)
		return;
	ioapic_route_isa(4, vector);
	outb(COM1 + IER, 1);
}
