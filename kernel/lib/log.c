/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the kernel, and its end. */
#include "kernel/boot/bootinfo.h"
#include "kernel/cpu/acpi.h"
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/smp.h"
#include "kernel/drivers/console.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/layout.h"
#include "kernel/sched/timer.h"

static struct spinlock lock;

extern char kernel_text[], kernel_rodata[];

/* The messages so far, those of the last 64 KiB; guarded by `lock`. */
static struct {
	char text[65536];
	uint64_t end; /* bytes ever written */
	bool quiet;   /* they are not written to the consoles */
} log;

static void keep(const char *s, size_t n)
{
	for (; n; n--)
		log.text[log.end++ % sizeof(log.text)] = *s++;
}

size_t log_read(uint64_t back, char *to, size_t n)
{
	SPIN_GUARD(&lock);
	uint64_t at;

	back = MIN(back, MIN(log.end, sizeof(log.text)));
	at = log.end - back;
	n = MIN(n, back);
	for (size_t i = 0; i < n; i++)
		to[i] = log.text[(at + i) % sizeof(log.text)];
	return n;
}

size_t log_size(void)
{
	return MIN(log.end, sizeof(log.text));
}

void log_to_console(bool on)
{
	log.quiet = !on;
}

void console_write(const char *s, size_t n)
{
	SPIN_GUARD(&lock);

	console_put(s, n);
}

static void write_line(const char *fmt, va_list ap)
{
	char line[256];
	uint64_t us = now_ns() / 1000;
	int n = snprintf(line, sizeof(line), "[%5lu.%06lu] ", us / 1000000, us % 1000000);

	n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	n = MIN(n, (int)sizeof(line) - 3);
	SPIN_GUARD(&lock);
	keep("<6>", 3); /* the level: information */
	keep(line, (size_t)n);
	keep("\n", 1);
	if (!log.quiet) {
		console_put(line, (size_t)n);
		console_put("\r\n", 2);
	}
}

void klog(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(fmt, ap);
	va_end(ap);
}

static bool in_text(uint64_t addr)
{
	return addr >= (uint64_t)kernel_text && addr < (uint64_t)kernel_rodata;
}

/* Frame pointers are kept in the kernel: [rbp] is the caller's, [rbp + 8] the return address. */
void backtrace(uint64_t rip, uint64_t rbp)
{
	for (unsigned depth = 0; depth < 24 && in_text(rip); depth++) {
		uint64_t offset = 0;
		const char *name = symbol_of(rip, &offset);

		klog("  %016lx %s+0x%lx", rip, name, offset);
		if (rbp < PHYS_MAP || rbp & 7)
			break;
		rip = ((uint64_t *)rbp)[1];
		rbp = ((uint64_t *)rbp)[0];
	}
}

/* The CPU that panics, by its APIC's ID plus one: there may be no struct cpu yet. */
static unsigned panicking;

/* Leaf 11 has all 32 bits of the ID, where there is one. */
static unsigned this_apic(void)
{
	struct cpuid c = cpuid(0, 0).eax >= 11 ? cpuid(11, 0) : (struct cpuid){0};

	return (c.ebx ? c.edx : cpuid(1, 0).ebx >> 24) + 1;
}

void panic_stop_here(void)
{
	unsigned who = __atomic_load_n(&panicking, __ATOMIC_ACQUIRE);

	if (who && who != this_apic())
		cpu_halt();
}

void panic_begin(void)
{
	unsigned none = 0;

	irq_save();
	if (!__atomic_compare_exchange_n(&panicking, &none, this_apic(), false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		panic_stop_here(); /* another CPU's comes first */
		return;
	}
	smp_stop_others();
	lock = (struct spinlock){0, 0}; /* whoever held it is stopped */
	log.quiet = false;
	klog("---- kernel panic ----");
}

_Noreturn void panic(const char *fmt, ...)
{
	const uint64_t *frame = __builtin_frame_address(0);
	va_list ap;

	panic_begin();
	va_start(ap, fmt);
	write_line(fmt, ap);
	va_end(ap);
	backtrace(frame[1], frame[0]);
	if (boot_option(&boot, "panic=reboot"))
		machine_reboot();
	if (boot_option(&boot, "panic=off"))
		machine_power_off();
	cpu_halt();
}

void *must(void *p, const char *what)
{
	if (!p)
		panic("no memory for %s", what);
	return p;
}
