/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's side: a VM in 64-bit user mode that sees the window and the page of code at the same
 * addresses, with the same rights, as the native process does.
 *
 * The interpreter is called for the one instruction. Translated code runs as in any VM: it goes on
 * behind the instruction to where nothing is mapped, and the handler of that exception, or of the
 * instruction's own, writes to a port.
 */
#include "tests/oracle/oracle.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/num.h"
#include "tests/oracle/engine.h"
#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/cpumodel.h"
#include "x86/ops.h"

#define RAM_SIZE (4 * MIB)

/* Guest physical layout. */
#define PML4            0x1000u
#define PDPT            0x2000u
#define PD              0x3000u /* of the gigabyte at WINDOW_BASE */
#define PT_WINDOW       0x4000u
#define PT_CODE         0x5000u
#define PT_SYSTEM       0x6000u
#define GDT             0x8000u
#define IDT             0x9000u
#define TSS             0xa000u
#define HANDLERS        0xb000u
#define STACK           0xc000u
#define STACK_TOP       (STACK + 0x1000u)
#define WINDOW_PA       0x10000u
#define WINDOW_FRAME(i) (WINDOW_PA + ((i) ^ 1) * 4096) /* neighbours are none here */
#define CODE_PA         0x20000u

#define PDPT_HIGH 0xd000u
#define PD_HIGH   0xe000u
#define SYSTEM_VA 0xffffffffc0000000ull /* where the supervisor sees the first 64 KiB */
#define KERNEL_CS 0x08u
#define EXIT_PORT 0xf4
#define TICK_US   400000

#define PTE_P     0x01u
#define PTE_W     0x02u
#define PTE_U     0x04u
#define PTE_A     0x20u
#define PTE_D     0x40u
#define PTE_NX    (1ull << 63)
#define PTE_TABLE (PTE_P | PTE_W | PTE_U | PTE_A)

struct engine_side {
	struct guest_memory mem;
	struct vm_clock clock;
	struct cpu_model cpu;
	struct engine_machine machine;
	struct engine_config cfg;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct bt_vcpu *v;
	struct window window;
	uint8_t *code;
	unsigned mode; /* that the segments are set for */
	bool interpret;
};

/* ---- the machine: nothing is there ---------------------------------------------------------- */

static uint32_t no_pio_read(void *opaque, uint16_t port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return UINT32_MAX;
}

/* The handlers' way to say that the case has ended. */
static void pio_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct engine_side *s = opaque;

	(void)size;
	(void)val;
	if (port == EXIT_PORT)
		engine_bt.vcpu_kick(s->vcpu);
}

static uint64_t no_mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
	(void)opaque;
	(void)gpa;
	(void)size;
	return UINT64_MAX;
}

static void no_mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
	(void)opaque;
	(void)gpa;
	(void)size;
	(void)val;
}

static int no_pic_ack(void *opaque)
{
	(void)opaque;
	return -1;
}

static void no_ioapic_eoi(void *opaque, uint8_t vector)
{
	(void)opaque;
	(void)vector;
}

/* ---- memory --------------------------------------------------------------------------------- */

static void put_entry(struct engine_side *s, uint32_t table, unsigned index, uint64_t entry)
{
	mem_write(&s->mem, table + 8 * index, &entry, 8);
}

/* One OUT for each vector, at the same distance; interrupts are off in the handlers. */
static void build_system(struct engine_side *s)
{
	static const uint8_t out[] = {0xe6, EXIT_PORT, 0xf4};
	const uint64_t kernel_code = 0x00209b0000000000, user_code = 0x00affb000000ffff;
	const uint64_t stack = SYSTEM_VA + STACK_TOP;

	put_entry(s, PML4, 511, PDPT_HIGH | PTE_TABLE);
	put_entry(s, PDPT_HIGH, 511, PD_HIGH | PTE_TABLE);
	put_entry(s, PD_HIGH, 0, PT_SYSTEM | PTE_TABLE);
	for (unsigned i = 0; i < 16; i++)
		put_entry(s, PT_SYSTEM, i, i * 4096 | PTE_P | PTE_W | PTE_A | PTE_D);
	mem_write(&s->mem, GDT + KERNEL_CS, &kernel_code, 8);
	mem_write(&s->mem, GDT + (SEL_CODE64 & ~7), &user_code, 8);
	mem_write(&s->mem, TSS + 4, &stack, 8);
	for (unsigned i = 0; i < 32; i++) {
		uint64_t at = SYSTEM_VA + HANDLERS + i * 16, high = at >> 32;
		uint64_t gate =
			(at & 0xffff) | KERNEL_CS << 16 | 0xee0000000000 | (at & 0xffff0000) << 32;

		mem_write(&s->mem, IDT + 16 * i, &gate, 8);
		mem_write(&s->mem, IDT + 16 * i + 8, &high, 4);
		mem_write(&s->mem, HANDLERS + i * 16, out, sizeof(out));
	}
}

static void build_tables(struct engine_side *s)
{
	build_system(s);
	put_entry(s, PML4, 0, PDPT | PTE_TABLE);
	put_entry(s, PDPT, WINDOW_BASE >> 30, PD | PTE_TABLE);
	put_entry(s, PD, WINDOW_BASE >> 21 & 511, PT_WINDOW | PTE_TABLE);
	put_entry(s, PD, CODE_BASE >> 21 & 511, PT_CODE | PTE_TABLE);
	for (unsigned i = 0; i < CODE_SIZE / 4096; i++)
		put_entry(s, PT_CODE, (CODE_BASE >> 12 & 511) + i,
			  (CODE_PA + i * 4096) | PTE_P | PTE_U | PTE_A);
	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
		uint64_t rights = window_page[i] == PAGE_RW ? PTE_W | PTE_D : 0;

		if (window_page[i] == PAGE_NONE)
			continue;
		put_entry(s, PT_WINDOW, i,
			  WINDOW_FRAME(i) | PTE_P | PTE_U | PTE_A | PTE_NX | rights);
		s->window.page[i] = mem_ptr(&s->mem, WINDOW_FRAME(i), 4096, true);
	}
	window_fill(&s->window);
	s->code = mem_ptr(&s->mem, CODE_PA, CODE_SIZE, true);
	memset(s->code, 0xcc, CODE_SIZE);
}

/* ---- registers ------------------------------------------------------------------------------ */

static void initial_state(struct x86_cpu_state *st)
{
	memset(st, 0, sizeof(*st));
	for (unsigned i = 0; i < X86_NSEG; i++)
		st->seg[i] =
			(struct x86_segment){.limit = UINT32_MAX, .attr = 0xc0f3, .selector = 0x2b};
	st->seg[X86_CS].attr = 0xa0fb;
	st->seg[X86_CS].selector = 0x33;
	st->ldt.attr = 0x82;
	st->tr = (struct x86_segment){SYSTEM_VA + TSS, 0x66, 0x8b, 0x40}; /* no ports */
	st->gdt = (struct x86_table){SYSTEM_VA + GDT, 0xff};
	st->idt = (struct x86_table){SYSTEM_VA + IDT, 0x1ff};
	st->rip = CODE_START;
	st->rflags = 0x202;
	st->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	st->cr3 = PML4;
	st->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	st->xcr0 = fp_has_avx512() ? 0xe7 : 7;
	st->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	st->pat = 0x0007040600070406;
	st->apic_base = 0xfee00900;
	st->dr[6] = 0xffff0ff0;
	st->dr[7] = 0x400;
}

static void put_fp(struct bt_vcpu *v, const uint8_t *fp)
{
	uint8_t *area = v->fpu->area;

	memset(area, 0, v->fpu->area_size);
	fp_to_host(area, fp);
}

static void get_fp(struct bt_vcpu *v, uint8_t *fp)
{
	fp_from_host(fp, v->fpu->area);
}

static void put_segment_base(struct bt_vcpu *v, unsigned seg, uint64_t base)
{
	v->seg[seg].base = base;
	v->segbase[seg] = base;
}

/* The ones that user code of each kind has under Linux. */
static const struct x86_segment code_segment[] = {
	[X86_MODE_16] = {CODE_BASE, 0xffff, 0x00fb, SEL_CODE16},
	[X86_MODE_32] = {0, UINT32_MAX, 0xc0fb, SEL_CODE32},
	[X86_MODE_64] = {0, UINT32_MAX, 0xa0fb, SEL_CODE64},
};
static const struct x86_segment data_segment[] = {
	[X86_MODE_16] = {WINDOW_BASE, 0xffff, 0x00f3, SEL_DATA16},
	[X86_MODE_32] = {0, UINT32_MAX, 0xc0f3, SEL_DATA},
	[X86_MODE_64] = {0, UINT32_MAX, 0xc0f3, SEL_DATA},
};

static void put_segments(struct engine_side *s, unsigned mode)
{
	struct bt_vcpu *v = s->v;

	for (unsigned i = 0; i < X86_NSEG; i++) {
		v->seg[i] = i == X86_CS ? code_segment[mode] : data_segment[mode];
		v->segbase[i] = v->seg[i].base;
	}
	/* FS and GS are null there, whatever their bases. */
	for (unsigned i = X86_FS; i <= X86_GS && mode != X86_MODE_64; i++)
		v->seg[i] = (struct x86_segment){.attr = X86_ATTR_UNUSABLE};
	s->mode = mode;
	v->activity = X86_ACTIVE;
	bt_mode_changed(v);
}

static void put_state(struct engine_side *s, const struct oracle_case *c)
{
	struct bt_vcpu *v = s->v;

	if (s->mode != c->mode)
		put_segments(s, c->mode);
	memcpy(v->gpr, c->gpr, sizeof(v->gpr));
	v->rip = case_start(c);
	if ((v->rflags ^ c->rflags) & (FL_AC | FL_TF)) {
		v->rflags = c->rflags;
		bt_mode_changed(v);
	}
	v->rflags = c->rflags;
	put_segment_base(v, X86_FS, c->fs_base);
	put_segment_base(v, X86_GS, c->gs_base);
	put_fp(v, c->fp);
	window_prepare(&s->window, c);
}

static void get_state(struct engine_side *s, const struct oracle_case *c, struct outcome *o)
{
	struct bt_vcpu *v = s->v;

	memcpy(o->gpr, v->gpr, sizeof(o->gpr));
	o->rip = v->rip;
	o->rflags = v->rflags;
	o->lost = false;
	get_fp(v, o->fp);
	window_collect(&s->window, c, o);
}

/* ---- the interpreter ------------------------------------------------------------------------ */

static void interpret(struct engine_side *s, const struct oracle_case *c, struct outcome *o)
{
	const struct bt_fault *f = &s->v->fault;

	oracle_interpret(s->v, c->mode, c->code, c->len);
	o->vector = f->vector;
	o->error = f->has_error ? f->error : 0;
	o->cr2 = f->cr2;
	get_state(s, c, o);
}

/* ---- the whole engine ----------------------------------------------------------------------- */

/* What the handler finds on its stack: [error code], RIP, CS, RFLAGS, RSP, SS. */
static void read_frame(struct engine_side *s, struct outcome *o)
{
	uint64_t frame[6];
	bool error = 0x227d00 >> o->vector & 1; /* vectors 8, 10 to 14, 17, 21 */

	mem_read(&s->mem, STACK_TOP - sizeof(frame), frame, sizeof(frame));
	o->error = error ? frame[0] : 0;
	o->rip = frame[1];
	o->rflags = frame[3];
	o->gpr[X86_RSP] = frame[4];
}

/* Behind the instruction code goes on to a place that is not mapped, or to an INT3. */
static void arrive(const struct oracle_case *c, struct outcome *o)
{
	if (o->vector == 3 && o->rip - 1 != case_start(c)) {
		o->vector = NO_FAULT;
		o->rip--;
	} else if (o->vector == 14 && o->error & PF_FETCH && o->rip != case_start(c)) {
		o->vector = NO_FAULT;
		if (o->rip == native_exit_address())
			o->rip = case_start(c) + c->len;
	}
}

static void run(struct engine_side *s, const struct oracle_case *c, struct outcome *o)
{
	struct bt_vcpu *v = s->v;
	uint64_t vector;

	mem_written(&s->mem, CODE_PA + (CODE_START - CODE_BASE), CODE_ROOM);
	bt_run(v);
	get_state(s, c, o);
	vector = (o->rip - (SYSTEM_VA + HANDLERS)) / 16;
	if (v->shutdown || vector >= 32) {
		o->vector = 8;
		v->shutdown = false;
	} else {
		o->vector = vector;
		o->cr2 = v->cr2;
		read_frame(s, o);
		arrive(c, o);
	}
	put_segments(s, c->mode);
}

/* ---- sequences that never end ------------------------------------------------------------------
 */

/* What the signal handler looks at: there is one engine in this process. */
static struct engine_side *watched;
static volatile unsigned executed, seen;

/* A case that two ticks fall into is stopped; the native side calls it lost. */
static void on_tick(int sig)
{
	(void)sig;
	if (executed == seen)
		engine_bt.vcpu_kick(watched->vcpu);
	seen = executed;
}

static void watch(struct engine_side *s)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_ONSTACK | SA_RESTART};
	struct itimerval every = {.it_interval = {.tv_usec = TICK_US},
				  .it_value = {.tv_usec = TICK_US}};

	watched = s;
	sigaction(SIGPROF, &sa, NULL); /* its own time: the machine may be busy */
	setitimer(ITIMER_PROF, &every, NULL);
}

unsigned engine_may(const struct engine_side *s)
{
	const struct bt_vm *vm = s->v->vm;

	if (s->interpret)
		return 0;
	return vm->exact_flags ? MAY_FAULT_LATE : MAY_FAULT_LATE | MAY_CLOBBER_FLAGS;
}

void engine_execute(struct engine_side *s, const struct oracle_case *c, struct outcome *o)
{
	executed++;
	native_place_code(s->code, c);
	put_state(s, c);
	if (s->interpret)
		interpret(s, c, o);
	else
		run(s, c, o);
}

/* ---- life ----------------------------------------------------------------------------------- */

static int start(struct engine_side *s, const char *options, struct err *e)
{
	struct x86_cpu_state *st = calloc(1, sizeof(*st));
	int rc = mem_init(&s->mem, RAM_SIZE, e);

	if (rc)
		goto free_state;
	s->machine = (struct engine_machine){
		no_pio_read, pio_write, no_mmio_read, no_mmio_write, no_pic_ack, no_ioapic_eoi, s};
	cpu_model_init(&s->cpu, "v3");
	cpu_features_of_host(s->cpu.has);
	s->cpu.xcr0_allowed = fp_has_avx512() ? 0xe7 : 7;
	s->cpu.tsc_khz = 1000000;
	clock_init(&s->clock, NULL);
	s->cfg = (struct engine_config){.machine = &s->machine,
					.mem = &s->mem,
					.clock = &s->clock,
					.cpu = &s->cpu,
					.nvcpus = 1,
					.options = options,
					.trace = ""};
	rc = engine_bt.vm_create(&s->cfg, &s->vm, e);
	if (rc)
		goto free_state;
	rc = engine_bt.vcpu_create(s->vm, 0, &s->vcpu, e);
	if (rc)
		goto free_state;
	build_tables(s);
	initial_state(st);
	rc = engine_bt.vcpu_set(s->vcpu, st, e);
	s->v = ((struct bt_vm *)s->vm)->vcpu[0];
	s->mode = X86_MODE_64;
	s->interpret = !strcmp(options, "tier=interp");
	if (!rc)
		rc = bt_fpu_thread_start(s->v, e);
	if (!rc && !s->interpret)
		watch(s);
free_state:
	free(st);
	return rc;
}

struct engine_side *engine_start(const char *options)
{
	struct engine_side *s = calloc(1, sizeof(*s));
	struct err e = {0};

	if (s && !start(s, options, &e))
		return s;
	fprintf(stderr, "oracle: %s\n", e.text);
	free(s);
	return NULL;
}

void engine_stop(struct engine_side *s)
{
	bt_fpu_thread_stop(s->v);
	engine_bt.vcpu_destroy(s->vcpu);
	engine_bt.vm_destroy(s->vm);
	mem_fini(&s->mem);
	free(s);
}
