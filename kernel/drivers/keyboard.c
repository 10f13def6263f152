/* SPDX-License-Identifier: Apache-2.0 */
/* A PS/2 keyboard behind an i8042 that translates to scan code set 1; US layout. */
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/drivers/screen.h"
#include "kernel/lib/lib.h"
#include "kernel/sys/tty.h"

#define DATA   0x60
#define STATUS 0x64

static const char plain[] =
	"\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
	"\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

/* Keys that send sequences, as the terminal "linux" does. */
static const struct special {
	uint8_t code;
	bool extended;
	const char *text;
} special[] = {
	{0x48, true, "\033[A"},    {0x50, true, "\033[B"},    {0x4d, true, "\033[C"},
	{0x4b, true, "\033[D"},    {0x47, true, "\033[1~"},   {0x52, true, "\033[2~"},
	{0x53, true, "\033[3~"},   {0x4f, true, "\033[4~"},   {0x49, true, "\033[5~"},
	{0x51, true, "\033[6~"},   {0x1c, true, "\r"},        {0x35, true, "/"},
	{0x3b, false, "\033[[A"},  {0x3c, false, "\033[[B"},  {0x3d, false, "\033[[C"},
	{0x3e, false, "\033[[D"},  {0x3f, false, "\033[[E"},  {0x40, false, "\033[17~"},
	{0x41, false, "\033[18~"}, {0x42, false, "\033[19~"}, {0x43, false, "\033[20~"},
	{0x44, false, "\033[21~"},
};

static bool shift, control, caps, extended;

/* Shift, Ctrl, Caps Lock; true if it was one of them. */
static bool modifier(uint8_t code, bool down)
{
	if (!extended && (code == 0x2a || code == 0x36))
		shift = down;
	else if (code == 0x1d)
		control = down;
	else if (code == 0x3a)
		caps ^= down;
	else
		return false;
	return true;
}

static char to_char(uint8_t code)
{
	char c;

	if (code >= sizeof(plain) - 1)
		return 0;
	c = shift ? shifted[code] : plain[code];
	if (caps && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
		c ^= 0x20;
	if (control && c >= '@')
		c &= 0x1f;
	return c;
}

static void key(uint8_t code)
{
	const struct special *s = ARRAY_FIND(const struct special, i, special, ARRAY_SIZE(special),
					     i->code == code && i->extended == extended);
	char c = extended ? 0 : to_char(code);

	if (s)
		tty_input(s->text, strlen(s->text));
	else if (c)
		tty_input(&c, 1);
}

static void receive(void *opaque)
{
	(void)opaque;
	while (inb(STATUS) & 1) {
		uint8_t code = inb(DATA);

		if (code == 0xe0) {
			extended = true;
			continue;
		}
		if (!modifier(code & 0x7f, !(code & 0x80)) && !(code & 0x80))
			key(code);
		extended = false;
	}
}

static void send(uint16_t port, uint8_t v)
{
	for (unsigned i = 0; i < 100000 && inb(STATUS) & 2; i++)
		__builtin_ia32_pause();
	outb(port, v);
}

/* Firmware may have left the keyboard off; a byte that waits when its interrupt is routed has none.
 */
void keyboard_init(void)
{
	unsigned vector;

	if (inb(STATUS) == 0xff) { /* no controller */
		klog("no PS/2 keyboard, and no driver for USB's: use the serial line");
		return;
	}
	vector = irq_alloc(receive, NULL);
	if (!vector)
		return;
	ioapic_route_isa(1, vector);
	send(STATUS, 0x60); /* configuration: interrupt, no mouse, set 1 */
	send(DATA, 0x61);
	send(STATUS, 0xae); /* the keyboard's line is on */
	send(DATA, 0xf4);   /* and the keyboard itself; what it answers is no key */
	receive(NULL);
}
