/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers and timers: PIC, PIT, I/O APIC, local APIC; STI and NMI rules. */
#include "guests/lib/guest.h"

#define LAPIC  0xfee00000ul
#define IOAPIC 0xfec00000ul

#define REG_ID      0x020
#define REG_TPR     0x080
#define REG_PPR     0x0a0
#define REG_EOI     0x0b0
#define REG_SVR     0x0f0
#define REG_ISR     0x100
#define REG_IRR     0x200
#define REG_ESR     0x280
#define REG_ICR     0x300
#define REG_ICR_HI  0x310
#define REG_LVT_TMR 0x320
#define REG_LVT_0   0x350
#define REG_TMR_CNT 0x380
#define REG_TMR_CUR 0x390
#define REG_TMR_DIV 0x3e0

#define SELF_IPI(vector) (0x40000 | (vector))
#define MSR_BASE         0x1b
#define MSR_DEADLINE     0x6e0

static uint32_t lapic_read(unsigned reg)
{
	return *(volatile uint32_t *)(LAPIC + reg);
}

static void lapic_write(unsigned reg, uint32_t val)
{
	*(volatile uint32_t *)(LAPIC + reg) = val;
}

static void ioapic_write(unsigned reg, uint32_t val)
{
	*(volatile uint32_t *)IOAPIC = reg;
	*(volatile uint32_t *)(IOAPIC + 0x10) = val;
}

static uint32_t ioapic_read(unsigned reg)
{
	*(volatile uint32_t *)IOAPIC = reg;
	return *(volatile uint32_t *)(IOAPIC + 0x10);
}

static void count_only(struct frame *f)
{
	(void)f;
}

static void apic_ack(struct frame *f)
{
	(void)f;
	lapic_write(REG_EOI, 0);
}

static void pic_ack(struct frame *f)
{
	if (f->vector >= 0x28)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

static void lapic_enable(void)
{
	lapic_write(REG_SVR, 0x1ff);
	lapic_write(REG_TPR, 0);
	lapic_write(REG_LVT_TMR, 0x10000);
}

static void pic_init(uint8_t mask1, uint8_t mask2)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0xa0, 0x11);
	outb(0xa1, 0x28);
	outb(0xa1, 0x02);
	outb(0xa1, 0x01);
	outb(0x21, mask1);
	outb(0xa1, mask2);
}

static void pit_start(unsigned mode, uint16_t count)
{
	outb(0x43, (uint8_t)(0x30 | mode << 1));
	outb(0x40, (uint8_t)count);
	outb(0x40, (uint8_t)(count >> 8));
}

/* Halts until `vector` has come `n` times; gives up after about two seconds of PIT time. */
static bool wait_hits(unsigned vector, unsigned n)
{
	for (unsigned i = 0; i < 2000 && hits[vector] < n; i++) {
		sti();
		delay_us(1000);
		cli();
	}
	return hits[vector] >= n;
}

/* `n` come, however late on a busy host, and no more soon after. */
static bool settled(const char *what, unsigned vector, unsigned n)
{
	wait_hits(vector, n);
	sti();
	delay_us(3000);
	cli();
	return expect(what, hits[vector], n);
}

/* ---- PIC and PIT ----------------------------------------------------------------------------- */

static bool pic_pit(void)
{
	bool good;

	lapic_enable(); /* a disabled APIC keeps its local vectors masked */
	lapic_write(REG_LVT_0, 0x700);
	trap_handler[0x20] = pic_ack;
	pic_init(0xfe, 0xff);
	pit_start(2, 11932); /* 100 Hz */
	good = expect("ticks came", wait_hits(0x20, 5), true);
	outb(0x21, 0xff);
	return good;
}

static bool pit_one_shot(void)
{
	trap_handler[0x20] = pic_ack;
	pit_start(0, 0xffff);
	pic_init(0xfe, 0xff); /* forgets earlier edges */
	pit_start(0, 2000);
	if (!expect("came", wait_hits(0x20, 1), true))
		return false;
	return settled("once", 0x20, 1);
}

static bool hlt_wakes(void)
{
	trap_handler[0x20] = pic_ack;
	pic_init(0xfe, 0xff);
	pit_start(2, 11932);
	if (!expect("ticks come", wait_hits(0x20, 1), true))
		return false;
	for (unsigned i = 0; i < 3; i++)
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
	outb(0x21, 0xff);
	return expect("woken by ticks", hits[0x20] >= 3, true);
}

static bool pic_masked(void)
{
	bool good;

	trap_handler[0x20] = pic_ack;
	pic_init(0xff, 0xff);
	pit_start(2, 1193);
	if (!settled("masked", 0x20, 0))
		return false;
	outb(0x21, 0xfe);
	good = expect("opened", wait_hits(0x20, 1), true);
	outb(0x21, 0xff);
	return good;
}

/* ---- I/O APIC -------------------------------------------------------------------------------- */

static bool ioapic_pit(void)
{
	bool good;

	lapic_enable();
	trap_handler[0x60] = apic_ack;
	pit_start(2, 11932);
	ioapic_write(0x15, lapic_read(REG_ID)); /* input 2: destination */
	ioapic_write(0x14, 0x60);
	good = expect("ticks came", wait_hits(0x60, 3), true);
	ioapic_write(0x14, 0x10060);
	sti(); /* takes a tick that came before the mask */
	__asm__ volatile("nop");
	cli();
	good &= expect("version", ioapic_read(1) >> 16, 23);
	return good;
}

/* The UART's transmitter interrupt, level-triggered at input 4: it stays up until IIR is read. */
static void uart_ack(struct frame *f)
{
	(void)f;
	if (hits[0x61] == 3)
		inb(0x3fa);
	lapic_write(REG_EOI, 0);
}

static bool ioapic_level(void)
{
	bool good;

	lapic_enable();
	trap_handler[0x61] = uart_ack;
	inb(0x3fa);
	ioapic_write(0x19, lapic_read(REG_ID));
	ioapic_write(0x18, 0x8061);
	outb(0x3fc, 8); /* OUT2 opens the PC's interrupt line */
	outb(0x3f9, 2);
	good = expect("came", wait_hits(0x61, 3), true);
	good &= settled("three times: twice again after EOI", 0x61, 3);
	good &= expect("remote IRR", ioapic_read(0x18) & 0x4000, 0);
	outb(0x3f9, 0);
	ioapic_write(0x18, 0x10000);
	return good;
}

/* ---- local APIC ------------------------------------------------------------------------------ */

static bool self_ipi(void)
{
	bool good;

	lapic_enable();
	trap_handler[0x62] = count_only;
	lapic_write(REG_ICR, SELF_IPI(0x62));
	good = expect("pending", lapic_read(REG_IRR + 0x30) & 4, 4);
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	good &= expect("came", hits[0x62], 1) &
		expect("in service", lapic_read(REG_ISR + 0x30) & 4, 4);
	good &= expect("ppr", lapic_read(REG_PPR), 0x60);
	lapic_write(REG_EOI, 0);
	return good & expect("after EOI", lapic_read(REG_ISR + 0x30), 0);
}

static bool ipi_destinations(void)
{
	bool good = true;

	lapic_enable();
	trap_handler[0x63] = apic_ack;
	lapic_write(REG_ICR_HI, lapic_read(REG_ID));
	lapic_write(REG_ICR, 0x63); /* physical */
	good &= settled("physical", 0x63, 1);
	lapic_write(0xd0, 0x04000000); /* logical, flat */
	lapic_write(0xe0, 0xffffffff);
	lapic_write(REG_ICR_HI, 0x0c000000);
	lapic_write(REG_ICR, 0x863);
	good &= settled("logical", 0x63, 2);
	lapic_write(REG_ICR_HI, 0x08000000);
	lapic_write(REG_ICR, 0x863);
	good &= settled("another's", 0x63, 2);
	lapic_write(REG_ICR, 0x80063); /* all */
	good &= settled("all including self", 0x63, 3);
	lapic_write(REG_ICR, 0xc0063); /* all but self */
	return good & settled("all but self", 0x63, 3);
}

static unsigned order[4], norder;

static void note_order(struct frame *f)
{
	if (norder < 4)
		order[norder++] = (unsigned)f->vector;
	lapic_write(REG_EOI, 0);
}

static bool priorities(void)
{
	bool good;

	lapic_enable();
	norder = 0;
	trap_handler[0x65] = trap_handler[0x85] = trap_handler[0x75] = note_order;
	lapic_write(REG_ICR, SELF_IPI(0x65));
	lapic_write(REG_ICR, SELF_IPI(0x85));
	lapic_write(REG_ICR, SELF_IPI(0x75));
	lapic_write(REG_TPR, 0x70);
	good = settled("above the task priority", 0x85, 1) & expect("at it", hits[0x75], 0);
	lapic_write(REG_TPR, 0);
	good &= settled("then the others", 0x65, 1);
	return good & expect("order", order[0] << 16 | order[1] << 8 | order[2], 0x857565);
}

static bool cr8(void)
{
	bool good;

	lapic_enable();
	WRITE_CR(8, 9);
	good = expect("tpr", lapic_read(REG_TPR), 0x90);
	trap_handler[0x66] = apic_ack;
	lapic_write(REG_ICR, SELF_IPI(0x66));
	good &= settled("held back", 0x66, 0);
	WRITE_CR(8, 0);
	return good & settled("let through", 0x66, 1);
}

/* Without anything else that would make a virtual machine look. */
static bool cr8_lowered(void)
{
	lapic_enable();
	trap_handler[0x66] = apic_ack;
	WRITE_CR(8, 9);
	lapic_write(REG_ICR, SELF_IPI(0x66));
	sti();
	__asm__ volatile("nop");
	WRITE_CR(8, 0);
	for (unsigned i = 0; i < 10000; i++)
		__asm__ volatile("nop");
	cli();
	return expect("came", hits[0x66], 1);
}

static bool timer_one_shot(void)
{
	bool good;

	lapic_enable();
	trap_handler[0x67] = apic_ack;
	lapic_write(REG_TMR_DIV, 0xb);
	lapic_write(REG_LVT_TMR, 0x67);
	lapic_write(REG_TMR_CNT, 0xffffffff); /* seconds, as a host may be busy with others */
	good = expect("counts", lapic_read(REG_TMR_CUR) - 1 < 0xffffffff, true);
	lapic_write(REG_TMR_CNT, 50000000);
	good &= expect("came", wait_hits(0x67, 1), true);
	good &= expect("stands at 0", lapic_read(REG_TMR_CUR), 0);
	return good & settled("once", 0x67, 1);
}

static bool timer_periodic(void)
{
	bool good;

	lapic_enable();
	trap_handler[0x68] = apic_ack;
	lapic_write(REG_TMR_DIV, 0x3); /* 16 */
	lapic_write(REG_LVT_TMR, 0x20068);
	lapic_write(REG_TMR_CNT, 100000);
	good = expect("came", wait_hits(0x68, 4), true);
	lapic_write(REG_TMR_CNT, 0);
	hits[0x68] = 0;
	good &= expect("current", lapic_read(REG_TMR_CUR), 0);
	sti();
	__asm__ volatile("nop");
	cli();
	hits[0x68] = 0;
	return good & settled("stopped", 0x68, 0);
}

static bool timer_masked(void)
{
	lapic_enable();
	lapic_write(REG_TMR_DIV, 0xb);
	lapic_write(REG_LVT_TMR, 0x10069);
	lapic_write(REG_TMR_CNT, 1000);
	return settled("masked", 0x69, 0);
}

static bool timer_deadline(void)
{
	bool good;

	if (!(cpuid(1).c >> 24 & 1))
		return true;
	lapic_enable();
	trap_handler[0x6a] = apic_ack;
	lapic_write(REG_LVT_TMR, 0x4006a);
	wrmsr(MSR_DEADLINE, rdtsc() + (1ul << 40));
	good = expect("armed", rdmsr(MSR_DEADLINE) != 0, true);
	wrmsr(MSR_DEADLINE, rdtsc() + 50000000);
	good &= expect("came", wait_hits(0x6a, 1), true);
	good &= expect("disarmed", rdmsr(MSR_DEADLINE), 0);
	wrmsr(MSR_DEADLINE, 1); /* in the past: at once */
	good &= settled("in the past", 0x6a, 2);
	wrmsr(MSR_DEADLINE, rdtsc() + (1ul << 40));
	wrmsr(MSR_DEADLINE, 0);
	return good & settled("cancelled", 0x6a, 2);
}

static bool lapic_error(void)
{
	bool good;

	lapic_enable();
	lapic_write(0x370, 0x6b);
	trap_handler[0x6b] = trap_handler[5] = apic_ack;
	lapic_write(REG_ESR, 0);
	lapic_write(REG_ICR, SELF_IPI(5)); /* vectors below 16 can't be sent */
	good = settled("error interrupt", 0x6b, 1) & expect("vector 5", hits[5], 0);
	lapic_write(REG_ESR, 0);
	good &= expect("status", lapic_read(REG_ESR) & 0x60,
		       lapic_read(REG_ESR) & 0x40 ? 0x40 : 0x20);
	lapic_write(REG_ESR, 0);
	good &= expect("cleared", lapic_read(REG_ESR), 0);
	lapic_write(0x370, 0x10000);
	return good;
}

static bool x2apic(void)
{
	uint32_t id = lapic_read(REG_ID) >> 24;
	bool good;
	int v;

	if (!(cpuid(1).c >> 21 & 1))
		return true;
	lapic_enable();
	v = TRY("rdmsr", : : "c"(0x802) : "rax", "rdx", "memory");
	good = expect("no x2APIC MSRs in xAPIC mode", (unsigned)v, VEC_GP);
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) | 0x400);
	good &= expect("id", rdmsr(0x802), id) &
		expect("ldr", rdmsr(0x80d), (id >> 4) << 16 | 1u << (id & 15));
	trap_handler[0x6c] = count_only;
	wrmsr(0x83f, 0x6c);
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	good &= expect("self IPI", hits[0x6c], 1);
	wrmsr(0x80b, 0);
	wrmsr(0x830, (uint64_t)id << 32 | 0x6c);
	sti();
	delay_us(1000);
	cli();
	good &= expect("by ICR", hits[0x6c], 2);
	wrmsr(0x80b, 0);
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) & ~0xc00ul);
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) | 0x800);
	return good;
}

static bool x2apic_refusals(void)
{
	bool good;
	int v;

	if (!(cpuid(1).c >> 21 & 1))
		return true;
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) | 0x400);
	v = TRY("wrmsr", : : "c"(0x80b), "a"(1), "d"(0) : "memory");
	good = expect("EOI takes 0 only", (unsigned)v, VEC_GP);
	v = TRY("wrmsr", : : "c"(0x802), "a"(1), "d"(0) : "memory");
	good &= expect("ID is read-only", (unsigned)v, VEC_GP);
	v = TRY("wrmsr",
		:
		: "c"(MSR_BASE), "a"((uint32_t)(rdmsr(MSR_BASE) & ~0x400ul)), "d"(0)
		: "memory");
	good &= expect("no way straight back", (unsigned)v, VEC_GP);
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) & ~0xc00ul);
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) | 0x800);
	return good;
}

static bool disabled_loses_state(void)
{
	lapic_enable();
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) & ~0x800ul);
	wrmsr(MSR_BASE, rdmsr(MSR_BASE) | 0x800);
	return expect("software-disabled again", lapic_read(REG_SVR) & 0x100, 0);
}

/* ---- the processor's side -------------------------------------------------------------------- */

static bool sti_shadow(void)
{
	bool good;
	uint64_t at;

	lapic_enable();
	trap_handler[0x6d] = apic_ack;
	lapic_write(REG_ICR, SELF_IPI(0x6d));
	__asm__ volatile("sti\n\tcli" : : : "memory");
	good = expect("not between STI and CLI", hits[0x6d], 0);
	__asm__ volatile("lea 1f(%%rip), %0\n\tsti\n\tnop\n1:\tnop\n\tnop\n\tcli"
			 : "=&r"(at)
			 :
			 : "memory");
	return good & expect("one instruction after STI", hits[0x6d], 1) &
	       expect("rip", trap.frame.rip, at);
}

static bool popf_no_shadow(void)
{
	uint64_t at;

	lapic_enable();
	trap_handler[0x6e] = apic_ack;
	lapic_write(REG_ICR, SELF_IPI(0x6e));
	__asm__ volatile(
		"lea 1f(%%rip), %0\n\tpushfq\n\torq $0x200, (%%rsp)\n\tpopfq\n1:\tnop\n\tcli"
		: "=&r"(at)
		:
		: "memory");
	return expect("came", hits[0x6e], 1) & expect("right after POPF", trap.frame.rip, at);
}

static unsigned nmi_depth, nmi_worst;

static void nmi_again(struct frame *f)
{
	(void)f;
	if (++nmi_depth > nmi_worst)
		nmi_worst = nmi_depth;
	if (hits[VEC_NMI] == 1) {
		lapic_write(REG_ICR_HI, lapic_read(REG_ID));
		lapic_write(REG_ICR, 0x4400);
		delay_us(200);
	}
	nmi_depth--;
}

static bool nmi(void)
{
	bool good;

	lapic_enable();
	trap_handler[VEC_NMI] = nmi_again;
	lapic_write(REG_ICR_HI, lapic_read(REG_ID));
	lapic_write(REG_ICR, 0x4400); /* IF is clear: no matter */
	delay_us(1000);
	good = expect("came, the second after IRET", hits[VEC_NMI], 2);
	return good & expect("not nested", nmi_worst, 1);
}

/* ---- interrupts between any two instructions ------------------------------------------------- */

/* A long chain of additions with carry: one lost flag or register shows in the sum. */
static uint64_t carry_chain(uint64_t n)
{
	uint64_t a = 0x123456789abcdef, b = 0xfedcba987654321, c = 1, d = 0x8000000000000001;

	__asm__ volatile("clc\n"
			 "1:\tadc %1, %0\n\tadc %2, %1\n\tadc %3, %2\n\tadc %0, %3\n\t"
			 "lea -1(%4), %4\n\tinc %4\n\tdec %4\n\tjnz 1b"
			 : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(n)
			 :
			 : "cc");
	return a ^ b ^ c ^ d;
}

static bool interrupted_anywhere(void)
{
	uint64_t want = carry_chain(2000000), got;

	lapic_enable();
	trap_handler[0x6f] = apic_ack;
	lapic_write(REG_TMR_DIV, 0xb);
	lapic_write(REG_LVT_TMR, 0x2006f);
	lapic_write(REG_TMR_CNT, 100000); /* each 100 us */
	sti();
	got = carry_chain(2000000);
	cli();
	lapic_write(REG_TMR_CNT, 0);
	return expect("sum", got, want);
}

/* 31 instructions and STI, as many as a translator may interpret in a row, before code that is
 * translated: were CLI to run before the processor has woken, it never would. */
void slow_halt(void);
void halt(void);
__asm__(".pushsection .text\n\t.balign 512\n"
	"slow_halt:\t.rept 31\n\tnop\n\t.endr\n\tsti\n"
	"halt:\thlt\n\tcli\n\tret\n\t.popsection");

static bool halt_behind_sti(void)
{
	void (*volatile slow)(void) = slow_halt, (*volatile fast)(void) = halt;

	lapic_enable();
	trap_handler[0x6f] = apic_ack;
	lapic_write(REG_TMR_DIV, 0xb);
	lapic_write(REG_LVT_TMR, 0x2006f);
	lapic_write(REG_TMR_CNT, 1000000);
	for (unsigned i = 0; i < 10; i++) {
		sti();
		fast();
	}
	for (unsigned i = 0; i < 10; i++)
		slow();
	lapic_write(REG_TMR_CNT, 0);
	return true;
}

const struct check checks[] = {
	{1, "PIC: PIT ticks through the 8259A", pic_pit},
	{2, "PIT mode 0: one interrupt", pit_one_shot},
	{3, "2A HLT: wakes for an interrupt", hlt_wakes},
	{4, "PIC: the mask", pic_masked},
	{5, "I/O APIC: PIT on input 2, edge-triggered", ioapic_pit},
	{6, "I/O APIC: level-triggered interrupt comes again until its cause is gone",
	 ioapic_level},
	{7, "10.8: self-IPI; IRR, ISR, PPR, EOI", self_ipi},
	{8, "10.6.2: destinations and shorthands", ipi_destinations},
	{9, "10.8.3: priorities and TPR", priorities},
	{10, "10.8.6: CR8 is the task priority", cr8},
	{11, "10.5.4: one-shot timer", timer_one_shot},
	{12, "10.5.4: periodic timer", timer_periodic},
	{13, "10.5.1: masked timer", timer_masked},
	{14, "10.5.4.1: TSC deadline", timer_deadline},
	{15, "10.5.3: error status", lapic_error},
	{16, "10.12: x2APIC", x2apic},
	{17, "2B STI: one instruction of delay", sti_shadow},
	{18, "6.8.1: POPF opens at once", popf_no_shadow},
	{19, "6.7.1: NMI ignores IF and is held back until IRET", nmi},
	{20, "10.12.1: what x2APIC mode refuses", x2apic_refusals},
	{21, "10.4.3: the APIC forgets its state when it is disabled", disabled_loses_state},
	{23, "10.8.6: what CR8 held back comes when it is lowered", cr8_lowered},
	{22, "6.6: registers and flags survive interrupts anywhere", interrupted_anywhere},
	{24, "2B STI, HLT: asleep until an interrupt", halt_behind_sti},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
