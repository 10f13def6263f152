/* SPDX-License-Identifier: Apache-2.0 */
/* A guest in 64-bit mode that changes its engine every few instructions and must not notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "vmm/engine/cpumodel.h"

#define CODE   0x8000u
#define TABLES 0x10000u
#define TSS    0x20000u
#define ROUNDS 200u
#define PORT   0xf1

/*
 * Counts in XMM0, in memory behind FS, in R9 and on the stack, and stops when they differ:
 * again: movd eax, xmm0; inc eax; movd xmm0, eax; inc dword fs:[0]; inc r9; push r9; pop rcx;
 * cmp eax, fs:[0]; jne bad; cmp ecx, eax; jne bad; out 0xf1, eax; jmp again; bad: ud2
 */
static const uint8_t counting[] = {
	0x66, 0x0f, 0x7e, 0xc0,                                     /* movd eax, xmm0 */
	0xff, 0xc0,                                                 /* inc eax */
	0x66, 0x0f, 0x6e, 0xc0,                                     /* movd xmm0, eax */
	0x64, 0xff, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00,             /* inc dword fs:[0] */
	0x49, 0xff, 0xc1,                                           /* inc r9 */
	0x41, 0x51, 0x59,                                           /* push r9; pop rcx */
	0x64, 0x3b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00, 0x75, 0x08, /* cmp eax, fs:[0]; jne bad */
	0x39, 0xc1, 0x75, 0x04,                                     /* cmp ecx, eax; jne bad */
	0xe7, PORT, 0xeb, 0xd6,                                     /* out 0xf1, eax; jmp again */
	0x0f, 0x0b,                                                 /* bad: ud2 */
};

struct side {
	const struct engine_ops *ops;
	struct engine_machine machine;
	struct cpu_model cpu;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
};

struct rig {
	struct side side[2];
	struct side *running;
	struct guest_memory mem;
	struct vm_clock clock;
	uint32_t last; /* what the guest wrote last */
	bool wrong;
};

static uint32_t pio_read(void *opaque, uint16_t port, unsigned size)
{
	(void)opaque, (void)port, (void)size;
	return 0;
}

static void pio_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct rig *r = opaque;

	r->wrong |= port != PORT || size != 4 || val != r->last + 1;
	r->last = val;
	if (val % 7 == 0)
		r->running->ops->vcpu_kick(r->running->vcpu);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
	(void)opaque, (void)gpa, (void)size;
	return 0;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
	(void)opaque, (void)gpa, (void)size, (void)val;
}

static int pic_ack(void *opaque)
{
	(void)opaque;
	return -1;
}

static void ioapic_eoi(void *opaque, uint8_t vector)
{
	(void)opaque, (void)vector;
}

static int open_side(struct rig *r, struct side *s, const struct engine_ops *ops, struct err *e)
{
	struct engine_config cfg = {
		.machine = &s->machine,
		.mem = &r->mem,
		.clock = &r->clock,
		.cpu = &s->cpu,
		.nvcpus = 1,
		.options = "",
		.trace = "",
	};

	s->ops = ops;
	s->machine = (struct engine_machine){pio_read, pio_write,  mmio_read, mmio_write,
					     pic_ack,  ioapic_eoi, r};
	if (cpu_model_select("baseline", ops, &s->cpu, e) || ops->vm_create(&cfg, &s->vm, e))
		return e->code;
	return ops->vcpu_create(s->vm, 0, &s->vcpu, e);
}

static void close_side(struct side *s)
{
	s->ops->vcpu_destroy(s->vcpu);
	s->ops->vm_destroy(s->vm);
}

/* One level-4, one level-3, one level-2 entry: the first 2 MiB as they are. */
static void put_tables(struct guest_memory *m)
{
	const uint64_t pml4 = (TABLES + 0x1000) | 3, pdpt = (TABLES + 0x2000) | 3, pd = 0x83;

	assert_true(mem_write(m, TABLES, &pml4, 8));
	assert_true(mem_write(m, TABLES + 0x1000, &pdpt, 8));
	assert_true(mem_write(m, TABLES + 0x2000, &pd, 8));
}

static void long_mode(struct x86_cpu_state *s)
{
	static const uint16_t fcw = 0x37f;
	static const uint32_t mxcsr = 0x1f80;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < X86_NSEG; i++)
		s->seg[i] = (struct x86_segment){0, 0xffffffff, 0xc093, 0x10};
	s->seg[X86_CS] = (struct x86_segment){0, 0xffffffff, 0xa09b, 0x8};
	s->seg[X86_FS].base = 0x30000;
	s->ldt = (struct x86_segment){.limit = 0xffff, .attr = 0x82};
	s->tr = (struct x86_segment){TSS, 0x67, 0x8b, 0x18};
	s->gpr[X86_RSP] = 0x40000;
	s->rip = CODE;
	s->rflags = 2;
	s->cr0 = 0x80000031;
	s->cr3 = TABLES;
	s->cr4 = 0x220;
	s->efer = 0x500;
	s->xcr0 = 1;
	s->dr[6] = 0xffff0ff0;
	s->dr[7] = 0x400;
	s->pat = 0x0007040600070406;
	s->misc_enable = 1;
	s->apic_base = 0xfee00900;
	s->lapic[3] = 0x50014;
	s->lapic[0xe] = 0xffffffff;
	s->lapic[0xf] = 0xff;
	memcpy(s->xsave, &fcw, sizeof(fcw));
	memcpy(s->xsave + 24, &mxcsr, sizeof(mxcsr));
	s->xsave[512] = 3;
}

static void run_once(struct rig *r, struct side *side, struct x86_cpu_state *s)
{
	struct err e = {0};
	enum run_result result;

	r->running = side;
	if (side->ops->vcpu_set(side->vcpu, s, &e))
		fail_msg("%s: %s", side->ops->name, e.text);
	result = side->ops->vcpu_run(side->vcpu, &e);
	if (result != RUN_KICKED)
		fail_msg("%s: result %d after %u: %s", side->ops->name, result, r->last, e.text);
	if (side->ops->vcpu_get(side->vcpu, s, &e))
		fail_msg("%s: %s", side->ops->name, e.text);
}

static bool kvm_runs_sse(void)
{
	bool has[X86_NFEATURES] = {0};
	struct err e;

	if (engine_kvm.probe(&e) || engine_kvm.cpu_features(has, &e)) {
		printf("skipped: %s\n", e.text);
		return false;
	}
	if (!has[X86_FEAT_SSE42])
		printf("skipped: this /dev/kvm only emulates and lacks most of SSE\n");
	return has[X86_FEAT_SSE42];
}

static void test_guest_changes_engines(void **state)
{
	struct x86_cpu_state *s;
	struct rig r = {0};
	struct err e;

	(void)state;
	if (!kvm_runs_sse())
		skip();
	s = aligned_alloc(64, sizeof(*s));
	assert_int_equal(mem_init(&r.mem, 2 * MIB, &e), 0);
	clock_init(&r.clock, NULL);
	if (open_side(&r, &r.side[0], &engine_bt, &e) || open_side(&r, &r.side[1], &engine_kvm, &e))
		fail_msg("%s", e.text);
	put_tables(&r.mem);
	mem_write(&r.mem, CODE, counting, sizeof(counting));
	long_mode(s);
	for (unsigned i = 0; i < ROUNDS; i++)
		run_once(&r, &r.side[i % 2], s);
	assert_int_equal(r.last, ROUNDS * 7);
	assert_false(r.wrong);
	close_side(&r.side[0]);
	close_side(&r.side[1]);
	mem_fini(&r.mem);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_guest_changes_engines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
