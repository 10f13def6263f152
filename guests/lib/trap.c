/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt descriptor table, and what becomes of a trap. */
#include "guests/lib/guest.h"

struct trap trap;
volatile unsigned hits[256];
trap_fn *trap_handler[256];
struct tss tss;

extern char trap_stubs[], user_leave[], try_leave[];
extern unsigned long user_saved_rsp;
void user_enter(unsigned long rip, unsigned long rsp, unsigned long rflags);
void trap_dispatch(struct frame *f);

static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
static uint8_t user_stack[8192] __attribute__((aligned(16)));

#ifdef __x86_64__
struct gate {
	uint16_t offset_low, selector, attr, offset_mid;
	uint32_t offset_high, reserved;
};
#else
struct gate {
	uint16_t offset_low, selector, attr, offset_mid;
};
#endif
extern struct gate idt[256];

void gate_set(unsigned vector, unsigned type, unsigned dpl, unsigned ist)
{
	uintptr_t to = (uintptr_t)trap_stubs + vector * 16;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)to,
		.selector = SEL_KCODE,
		.attr = (uint16_t)(0x8000 | dpl << 13 | type << 8 | ist),
		.offset_mid = (uint16_t)(to >> 16),
	};
}

void gate_present(unsigned vector, bool present)
{
	idt[vector].attr = (uint16_t)((idt[vector].attr & 0x7fff) | (present ? 0x8000 : 0));
}

static void tss_init(void)
{
	uintptr_t at = (uintptr_t)&tss;

#ifdef __x86_64__
	tss.rsp[0] = (uintptr_t)kernel_stack + sizeof(kernel_stack);
#else
	tss.esp0 = (uintptr_t)kernel_stack + sizeof(kernel_stack);
	tss.ss0 = SEL_KDATA;
#endif
	tss.iomap = offsetof(struct tss, bitmap);
	for (unsigned i = 0; i < sizeof(tss.bitmap); i++)
		tss.bitmap[i] = 0xff;
	gdt[SEL_TSS / 8] = (sizeof(tss) - 1) | (uint64_t)(at & 0xffffff) << 16 | 0x89ull << 40 |
			   (uint64_t)(at >> 24 & 0xff) << 56;
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}

void trap_init(void)
{
	for (unsigned v = 0; v < 256; v++)
		gate_set(v, GATE_INTERRUPT, 0, 0);
	gate_set(0x80, GATE_INTERRUPT, 3, 0);
	__asm__ volatile("lidt idt_pointer");
	tss_init();
}

void trap_clear(void)
{
	trap = (struct trap){0};
	for (unsigned v = 0; v < 256; v++) {
		hits[v] = 0;
		trap_handler[v] = NULL;
	}
}

static bool from_outside_kernel(const struct frame *f)
{
	return (f->cs & 3) || (f->rflags & 0x20000);
}

/* Goes on at `rip` in the kernel, with no single step. 32-bit code there loads its stack itself. */
static void leave_to(struct frame *f, unsigned long rip, unsigned long rsp)
{
	f->rip = rip;
	f->cs = SEL_KCODE;
	f->rflags = 2;
#ifdef __x86_64__
	f->ss = SEL_KDATA;
	f->rsp = rsp;
#else
	(void)rsp;
#endif
}

void trap_dispatch(struct frame *f)
{
	bool outside = from_outside_kernel(f);

	trap.frame = *f;
	trap.cr2 = READ_CR(2);
	trap.sp = (unsigned long)f;
	trap.count++;
	hits[f->vector]++;
	if (trap_handler[f->vector]) {
		trap_handler[f->vector](f);
		return;
	}
	if (try_resume) {
		try_vector = (long)f->vector;
		leave_to(f, outside ? (unsigned long)try_leave : try_resume, try_rsp);
		return;
	}
	if (outside && user_saved_rsp) {
		leave_to(f, (unsigned long)user_leave, user_saved_rsp);
		return;
	}
	print("FAIL: unexpected trap %u, error %x, at %x, cr2 %x\n", (unsigned)f->vector,
	      (unsigned long)f->error, (unsigned long)f->rip, (unsigned long)trap.cr2);
	guest_exit(EXIT_FAILED);
}

int user_run(void *code, unsigned long rflags)
{
	unsigned long rsp = (unsigned long)user_stack + sizeof(user_stack) - 64;

	user_enter((unsigned long)code, rsp, rflags | 2);
	user_saved_rsp = 0;
	return (int)trap.frame.vector;
}
