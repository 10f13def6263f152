/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes as code, in 64-, 32- and 16-bit segments of rings 0 and 3. Each trap, or the timer's
 * NMI, begins the next piece. What it does is not checked: such code may also end, reset or crash
 * this machine, or stand for ever. That its host goes on is the business of whoever runs it.
 * The command line says "seed=N".
 */
#include "guests/lib/guest.h"

#define PIECES    3000
#define PIECE     64 /* bytes */
#define IST       1
#define IOAPIC    0xfec00000ul
#define SEL_SMALL SEL_ABSENT /* what the library keeps there is not needed here */

/* Below 64 KiB of the segments' bases, so that 16-bit code finds them. */
static uint8_t arena[3 * 4096] __attribute__((aligned(4096)));
static uint8_t trap_stack[4096] __attribute__((aligned(16)));
static uint64_t random_state;
static unsigned pieces;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t number_after(const char *word)
{
	const char *at = guest_command_line;
	uint64_t n = 0;
	unsigned i = 0;

	while (*at && word[i])
		i = *at++ == word[i] ? i + 1 : 0;
	while (*at >= '0' && *at <= '9')
		n = n * 10 + (uint64_t)(*at++ - '0');
	return n;
}

/* Prefixes and escapes, which lead to what is rare among bytes that are drawn evenly. */
static uint8_t draw_byte(void)
{
	static const uint8_t often[] = {0x0f, 0x66, 0xf2, 0xf3, 0xf0, 0x48, 0x4f, 0xc4, 0xc5, 0x62,
					0x38, 0x3a, 0xff, 0x8e, 0xea, 0xcf, 0xd9, 0xdd, 0x01, 0xae};
	uint64_t r = draw();

	return r >> 32 & 1 ? (uint8_t)r : often[(r & 0xffff) % sizeof(often)];
}

/* A place in the arena, near its end or anything at all. */
static uint64_t draw_register(void)
{
	uint64_t r = draw();

	switch (r >> 60 & 3) {
	case 0:
		return r;
	case 1:
		return (uintptr_t)arena + sizeof(arena) - (r & 15);
	case 2:
		return r & 0xffff;
	}
	return (uintptr_t)arena + (r & 0x1fff);
}

/* The selectors of a ring at random: code of 64, 32 or 16 bits. */
static void draw_segments(struct frame *f)
{
	static const uint8_t code[] = {SEL_KCODE, SEL_KCODE32, SEL_SMALL, SEL_UCODE | 3,
				       SEL_UCODE32 | 3};

	f->cs = code[draw() % sizeof(code)];
	f->ss = f->cs & 3 ? SEL_UDATA | 3 : SEL_KDATA;
}

static bool is_64_bit(const struct frame *f)
{
	return f->cs == SEL_KCODE || f->cs == (SEL_UCODE | 3);
}

/* What upper halves of registers 32-bit code leaves is not defined: they are 0. */
static void draw_state(struct frame *f)
{
	uint64_t *registers = (uint64_t *)f;

	draw_segments(f);
	for (unsigned i = 0; i < 15; i++)
		registers[i] = draw_register() & (is_64_bit(f) ? ~0ul : UINT32_MAX);
	f->rip = (uintptr_t)arena + (draw() & 1 ? 0 : 4096 - (draw() & 31));
	f->rsp = draw() & 7 ? (uintptr_t)arena + 8192 + (draw() & 0xff8) : draw_register();
	f->rflags = (draw() & 0x40cd5) | 2 | (draw() & 15 ? 0 : 0x100);
	if (f->cs == SEL_SMALL)
		f->rip -= (uintptr_t)arena;
	for (unsigned i = 0; i < PIECE; i++)
		((volatile uint8_t *)arena)[f->rip % 8192 + i] = draw_byte();
}

static void next_piece(struct frame *f)
{
	if (++pieces > PIECES)
		guest_exit(EXIT_PASSED);
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(SEL_UDATA | 3));
	draw_state(f);
}

/* The PIT by the I/O APIC's input 2 as an NMI, a thousand times a second. */
static void start_timer(void)
{
	outb(0x43, 0x34);
	outb(0x40, 0xa9);
	outb(0x40, 0x04);
	*(volatile uint32_t *)IOAPIC = 0x14;
	*(volatile uint32_t *)(IOAPIC + 0x10) = 0x400;
}

static bool run_nonsense(void)
{
	random_state = (number_after("seed=") + 1) * 0x9e3779b97f4a7c15;
	gdt[SEL_SMALL / 8] = 0x008f9b000000ffff | ((uintptr_t)arena & 0xffffff) << 16;
	tss.ist[IST - 1] = (uintptr_t)trap_stack + sizeof(trap_stack);
	for (unsigned v = 0; v < 256; v++) {
		gate_set(v, GATE_INTERRUPT, 3, IST);
		trap_handler[v] = next_piece;
	}
	start_timer();
	__asm__ volatile("ud2");
	return false;
}

const struct check checks[] = {
	{1, "any code: the machine's end is its own", run_nonsense},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
