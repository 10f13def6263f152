/* SPDX-License-Identifier: Apache-2.0 */
/* Output of the guests, their main loop and their end. */
#include <stdarg.h>

#include "guests/lib/guest.h"

#define COM1      0x3f8
#define DEBUG_CON 0x402

static void put_char(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (uint8_t)c);
	outb(DEBUG_CON, (uint8_t)c);
}

static void put_string(const char *s)
{
	while (*s)
		put_char(*s++);
}

static void put_hex(unsigned long n)
{
	for (int shift = sizeof(n) * 8 - 4; shift >= 0; shift -= 4)
		if (n >> shift || !shift)
			put_char("0123456789abcdef"[n >> shift & 15]);
}

static void put_decimal(unsigned n)
{
	if (n >= 10)
		put_decimal(n / 10);
	put_char((char)('0' + n % 10));
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put_char(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			put_string(va_arg(ap, const char *));
			break;
		case 'u':
			put_decimal(va_arg(ap, unsigned));
			break;
		case 'x':
			put_hex(va_arg(ap, unsigned long));
			break;
		default:
			put_char(*fmt);
		}
	}
	va_end(ap);
}

bool expect(const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return true;
	print("  %s: got %x:%x, want %x:%x\n", what, (unsigned long)(got >> 32),
	      (unsigned long)(uint32_t)got, (unsigned long)(want >> 32),
	      (unsigned long)(uint32_t)want);
	return false;
}

void guest_exit(uint8_t value)
{
	for (;;)
		outb(EXIT_PORT, value);
}

void delay_us(unsigned us)
{
	for (; us > 20000; us -= 20000)
		delay_us(20000);
	outb(0x61, (inb(0x61) & ~2u) | 1);
	outb(0x43, 0xb0); /* channel 2, one shot */
	us = us * 11932 / 10000 + 1;
	outb(0x42, (uint8_t)us);
	outb(0x42, (uint8_t)(us >> 8));
	while (!(inb(0x61) & 0x20))
		;
}

/* Multiboot's information: flags, of which bit 2 says that there is a command line at +16. */
const char *guest_command_line = "";

/* What follows "skip=" there: "3,12"; "" without it. */
static const char *skip_list(void)
{
	static const char word[] = "skip=";
	const char *at = guest_command_line;
	unsigned i = 0;

	while (*at && word[i])
		i = *at++ == word[i] ? i + 1 : 0;
	return at;
}

/* Some machines do not survive a check. */
static bool is_skipped(unsigned n)
{
	for (const char *at = skip_list(); *at >= '0' && *at <= '9'; at += *at == ',') {
		unsigned named = 0;

		while (*at >= '0' && *at <= '9')
			named = named * 10 + (unsigned)(*at++ - '0');
		if (named == n)
			return true;
	}
	return false;
}

/* A check's result is told in the first round; later ones only speak of failures. */
static bool run_check(const struct check *c, unsigned round)
{
	bool good;

	if (is_skipped(c->n)) {
		if (round == 1)
			print("skip %u\n", c->n);
		return true;
	}
	trap_clear();
	good = c->run();
	if (!good)
		print("FAIL %u: %s (round %u)\n", c->n, c->what, round);
	else if (round == 1)
		print("ok %u\n", c->n);
	return good;
}

void guest_start(const uint32_t *info);

void guest_start(const uint32_t *info)
{
	unsigned failed = 0;

	if (info[0] & 4)
		guest_command_line = (const char *)(uintptr_t)info[4];

	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	trap_init();
	for (unsigned round = 1; round <= rounds && !failed; round++)
		for (unsigned i = 0; i < nchecks; i++)
			failed += !run_check(&checks[i], round);
	print("%u of %u checks failed\n", failed, nchecks);
	guest_exit(failed ? EXIT_FAILED : EXIT_PASSED);
}
