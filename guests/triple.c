/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A triple fault: the machine must report a crashed guest (Intel SDM 3A 6.15, "Double Fault"). The
 * command line says in which way.
 */
#include "guests/lib/guest.h"

#define NOWHERE       0xd0000000ul
#define LAPIC         0xfee00000ul
#define NOT_CANONICAL 0x800000000000ul
#define NX            (1ul << 63)

extern uint64_t page_pml4[512];

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static void no_idt(void)
{
	const struct table t = {0, 0};

	__asm__ volatile("lidt %0\n\tint3" : : "m"(t));
}

static void idt_nowhere(void)
{
	const struct table t = {0xfff, NOWHERE};

	__asm__ volatile("lidt %0\n\tud2" : : "m"(t));
}

static void no_gdt(void)
{
	const struct table t = {0, 0};

	__asm__ volatile("lgdt %0\n\tint3" : : "m"(t));
}

static void tables_nowhere(void)
{
	WRITE_CR(3, NOWHERE);
}

static void tables_in_device(void)
{
	WRITE_CR(3, LAPIC);
}

static void no_code(void)
{
	page_pml4[0] |= NX;
	WRITE_CR(3, READ_CR(3));
}

static void no_stack(void)
{
	__asm__ volatile("mov %0, %%rsp\n\tud2" : : "r"(NOT_CANONICAL));
}

void user_code(void);
__asm__(".text\nuser_code: ud2\n");

static void no_ring0_stack(void)
{
	tss.rsp[0] = NOT_CANONICAL;
	user_run(user_code, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	{"idt", no_idt},
	{"idt-nowhere", idt_nowhere},
	{"gdt", no_gdt},
	{"tables-nowhere", tables_nowhere},
	{"tables-device", tables_in_device},
	{"code", no_code},
	{"stack", no_stack},
	{"ring0-stack", no_ring0_stack},
};

static bool is_last_word(const char *line, const char *word)
{
	const char *l = line, *w = word;

	while (*l)
		l++;
	while (*w)
		w++;
	while (w > word && l > line && w[-1] == l[-1])
		w--, l--;
	return w == word && (l == line || l[-1] == ' ');
}

static bool crash(void)
{
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!is_last_word(guest_command_line, ways[i].name))
			continue;
		print("going down: %s\n", ways[i].name);
		ways[i].run();
	}
	return false;
}

const struct check checks[] = {
	{1, "6.15: a fault while #DF is delivered shuts the processor down", crash},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
