/* SPDX-License-Identifier: Apache-2.0 */
/* The engine under test with flat memory, page tables, and a port that ends a run. */
#include "tests/unit/translate/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/engine/engine.h"
#include "x86/cpuid.h"

#define RAM      (2 * MIB)
#define PML4     0x10000
#define PDPT     0x11000
#define PD       0x12000
#define PT       0x13000
#define GDT      0x18000
#define IDT      0x19000
#define HANDLERS 0x1a000

struct test_machine {
	struct guest_memory mem;
	struct engine_machine machine;
	struct engine_config cfg;
	struct vm_clock clock;
	struct cpu_model cpu;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct x86_cpu_state state;
	bool ended;
};

static uint32_t pio_read(void *opaque, uint16_t port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return ~0u;
}

static void pio_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct test_machine *m = opaque;

	(void)size;
	(void)val;
	if (port != 0xf4)
		return;
	m->ended = true;
	engine_bt.vcpu_kick(m->vcpu);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
	(void)opaque;
	(void)gpa;
	(void)size;
	return ~0ull;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
	(void)opaque;
	(void)gpa;
	(void)size;
	(void)val;
}

static int pic_ack(void *opaque)
{
	(void)opaque;
	return -1;
}

static void ioapic_eoi(void *opaque, uint8_t vector)
{
	(void)opaque;
	(void)vector;
}

static struct test_machine *create(const char *options, unsigned nvcpus, struct err *e)
{
	struct test_machine *m = calloc(1, sizeof(*m));

	m->machine = (struct engine_machine){.pio_read = pio_read,
					     .pio_write = pio_write,
					     .mmio_read = mmio_read,
					     .mmio_write = mmio_write,
					     .pic_ack = pic_ack,
					     .ioapic_eoi = ioapic_eoi,
					     .opaque = m};
	if (mem_init(&m->mem, RAM, e) || !cpu_model_init(&m->cpu, "v3"))
		abort();
	clock_init(&m->clock, NULL);
	m->cfg = (struct engine_config){.machine = &m->machine,
					.mem = &m->mem,
					.clock = &m->clock,
					.cpu = &m->cpu,
					.nvcpus = nvcpus,
					.options = options,
					.trace = ""};
	if (engine_bt.vm_create(&m->cfg, &m->vm, e))
		abort();
	if (!engine_bt.vcpu_create(m->vm, 0, &m->vcpu, e))
		return m;
	m->vcpu = NULL;
	tm_free(m);
	return NULL;
}

struct test_machine *tm_new(const char *options)
{
	struct err e = {0};
	struct test_machine *m = create(options, 1, &e);

	if (!m || engine_bt.vcpu_get(m->vcpu, &m->state, &e)) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	return m;
}

int tm_try(const char *options, unsigned nvcpus, struct err *e)
{
	struct test_machine *m;

	e->code = 0;
	m = create(options, nvcpus, e);
	if (!m)
		return e->code;
	tm_free(m);
	return 0;
}

void tm_free(struct test_machine *m)
{
	if (m->vcpu)
		engine_bt.vcpu_destroy(m->vcpu);
	engine_bt.vm_destroy(m->vm);
	mem_fini(&m->mem);
	free(m);
}

static void put64(struct test_machine *m, unsigned at, uint64_t val)
{
	memcpy(m->mem.slot[0].host + at, &val, 8);
}

/* Identity map of the first 2 MiB by 4 KiB pages; one interrupt gate an exception. */
static void build_tables(struct test_machine *m)
{
	put64(m, PML4, PDPT | 7);
	put64(m, PDPT, PD | 7);
	put64(m, PD, PT | 7);
	for (unsigned i = 0; i < 512; i++)
		put64(m, PT + 8 * i, (i * 4096ull) | 7);
	put64(m, GDT + 8, 0x00af9b000000ffffull);
	put64(m, GDT + 16, 0x00cf93000000ffffull);
	for (unsigned i = 0; i < 32; i++) {
		uint64_t at = HANDLERS + 16 * i;

		put64(m, IDT + 16 * i,
		      (at & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (at >> 16) << 48);
		put64(m, IDT + 16 * i + 8, 0);
		memcpy(m->mem.slot[0].host + at, "\xe6\xf4\xeb\xfe", 4);
	}
}

static struct x86_segment segment(uint16_t sel, uint32_t attr)
{
	return (struct x86_segment){.selector = sel, .limit = 0xffffffff, .attr = attr};
}

static uint64_t next_random(uint64_t *x)
{
	*x = *x * 6364136223846793005ull + 1442695040888963407ull;
	return *x ^ *x >> 29;
}

void tm_reset(struct test_machine *m, uint32_t seed, const uint8_t *code, unsigned len)
{
	struct x86_cpu_state *s = &m->state;
	uint64_t x = seed;
	uint8_t *ram = m->mem.slot[0].host;

	memset(ram, 0, RAM);
	build_tables(m);
	for (unsigned i = 0; i < 16384; i++)
		ram[TM_DATA + i] = (uint8_t)next_random(&x);
	memcpy(ram + TM_CODE, code, len);
	for (unsigned i = 0; i < X86_NGPR; i++)
		s->gpr[i] = next_random(&x);
	s->gpr[X86_RDI] = TM_DATA;
	s->gpr[X86_RSP] = TM_STACK;
	s->rip = TM_CODE;
	s->rflags = 2;
	s->cr0 = 0x80010033;
	s->cr3 = PML4;
	s->cr4 = 0x40620; /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	s->xcr0 = 7;
	s->efer = 0xd01;
	s->seg[X86_CS] = segment(8, 0xa09b);
	for (unsigned i = 0; i < X86_NSEG; i++)
		if (i != X86_CS)
			s->seg[i] = segment(16, 0xc093);
	s->gdt = (struct x86_table){GDT, 23};
	s->idt = (struct x86_table){IDT, 32 * 16 - 1};
	s->tr = (struct x86_segment){.selector = 0, .limit = 0x67, .attr = 0x8b};
	memset(s->xsave, 0, sizeof(s->xsave));
	s->xsave[0] = 0x7f;
	s->xsave[1] = 0x03;
	s->xsave[24] = 0x80;
	s->xsave[25] = 0x1f;
	s->xsave[512] = 3;
	tm_load(m);
}

uint8_t *tm_ram(struct test_machine *m)
{
	return m->mem.slot[0].host;
}

struct x86_cpu_state *tm_start(struct test_machine *m)
{
	return &m->state;
}

void tm_load(struct test_machine *m)
{
	struct err e;

	m->ended = false;
	mem_written(&m->mem, 0, RAM);
	if (engine_bt.vcpu_set(m->vcpu, &m->state, &e))
		abort();
}

void tm_again(struct test_machine *m)
{
	struct err e;

	m->ended = false;
	if (engine_bt.vcpu_set(m->vcpu, &m->state, &e))
		abort();
}

void tm_written(struct test_machine *m, unsigned at, unsigned len)
{
	mem_written(&m->mem, at, len);
}

bool tm_ended(const struct test_machine *m)
{
	return m->ended;
}

struct engine_vm *tm_vm(struct test_machine *m)
{
	return m->vm;
}

struct engine_vcpu *tm_vcpu(struct test_machine *m)
{
	return m->vcpu;
}

bool tm_run(struct test_machine *m)
{
	struct err e;

	for (unsigned i = 0; i < 10 && !m->ended; i++)
		if (engine_bt.vcpu_run(m->vcpu, &e) != RUN_KICKED)
			return false;
	return m->ended;
}

void tm_state(const struct test_machine *m, struct x86_cpu_state *s)
{
	struct err e;

	if (engine_bt.vcpu_get(m->vcpu, s, &e))
		abort();
}

const uint8_t *tm_memory(const struct test_machine *m, unsigned *len)
{
	*len = RAM;
	return m->mem.slot[0].host;
}
