/* SPDX-License-Identifier: Apache-2.0 */
/* x87 errors as a PC/AT reports them: CR0.NE is 0, FERR# raises IRQ 13, port F0h lowers it. */
#include "guests/lib/guest.h"

#define LAPIC 0xfee00000ul
#define NE    0x20ul

static void lapic_write(unsigned reg, uint32_t val)
{
	*(volatile uint32_t *)(LAPIC + reg) = val;
}

/* Vectors 20h and 28h, edge-triggered, only IRQ 13 open, through LINT0. */
static void pic_init(void)
{
	static const struct {
		uint8_t port, val;
	} list[] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1},    {0xa0, 0x11},
		    {0xa1, 0x28}, {0xa1, 2},    {0xa1, 1}, {0x21, 0xfb}, {0xa1, 0xdf}};

	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		outb(list[i].port, list[i].val);
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x350, 0x700);
}

static void clear_error(struct frame *f)
{
	(void)f;
	__asm__ volatile("fnclex");
	outb(0xf0, 0);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

/* The instruction that meets the error waits for the handler. */
static bool interrupt_13(void)
{
	static const uint16_t unmasked = 0x33b; /* zero divide */
	uint64_t cr0 = READ_CR(0), at;

	trap_handler[0x2d] = clear_error;
	pic_init();
	WRITE_CR(0, cr0 & ~NE);
	__asm__ volatile("fninit\n\tfldcw %1\n\tfld1\n\tfldz\n\tsti\n\tfdivrp\n\t"
			 "lea 1f(%%rip), %0\n1:\tfwait\n\tcli\n\tfninit"
			 : "=r"(at)
			 : "m"(unmasked)
			 : "memory");
	WRITE_CR(0, cr0);
	return expect("IRQ 13", hits[0x2d], 1) & expect("rip", trap.frame.rip, at) &
	       expect("no #MF", hits[VEC_MF], 0);
}

const struct check checks[] = {
	{1, "1 8.7.2: x87 errors by IRQ 13", interrupt_13},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 20;
