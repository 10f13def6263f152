/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550 at 3f8h: output waits for the chip, input comes by interrupt. */
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/drivers/console.h"
#include "kernel/lib/lib.h"
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
	/* No interrupts; divisor 1 (115200); 8 bits; FIFOs on and empty; ready. */
	static const uint8_t start[][2] = {{IER, 0}, {LCR, 0x80}, {DATA, 1},  {IER, 0},
					   {LCR, 3}, {FCR, 7},    {MCR, 0x0b}};

	for (unsigned i = 0; i < ARRAY_SIZE(start); i++)
		outb(COM1 + start[i][0], start[i][1]);
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
