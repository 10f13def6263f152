/* SPDX-License-Identifier: Apache-2.0 */
/* The KVM engine on this host's /dev/kvm with guests of a few instructions; skipped without one. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/num.h"
#include "vmm/engine/cpumodel.h"

#define CODE      0x1000u
#define MMIO_GPA  0x100000u /* just past the guest's 1 MiB of RAM: ffff:0010 */
#define ROM_GPA   0xfffff000u
#define MAX_TRACE 64

struct access {
	char kind; /* 'o' out, 'i' in, 'w' store, 'r' load */
	uint64_t addr, val;
	unsigned size;
};

struct rig {
	struct engine_machine machine;
	struct guest_memory mem;
	struct vm_clock clock;
	struct cpu_model cpu;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct access trace[MAX_TRACE];
	unsigned ntrace;
	bool kick_on_out; /* the "device" that is written to asks for the vCPU */
	struct x86_cpu_state *state;
	uint8_t *rom;
	unsigned device_slot;
};

static void record(struct rig *r, char kind, uint64_t addr, unsigned size, uint64_t val)
{
	assert_true(r->ntrace < MAX_TRACE);
	r->trace[r->ntrace++] = (struct access){kind, addr, val, size};
}

static uint32_t pio_read(void *opaque, uint16_t port, unsigned size)
{
	record(opaque, 'i', port, size, 0);
	return 0x12345678;
}

static void pio_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct rig *r = opaque;

	record(r, 'o', port, size, val);
	if (r->kick_on_out)
		engine_kvm.vcpu_kick(r->vcpu);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
	record(opaque, 'r', gpa, size, 0);
	return 0xa1b2c3d4e5f60718;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
	record(opaque, 'w', gpa, size, val);
}

static void real_mode(struct x86_cpu_state *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < X86_NSEG; i++)
		s->seg[i] = (struct x86_segment){.limit = 0xffff, .attr = 0x93};
	s->seg[X86_CS].attr = 0x9b;
	s->ldt = (struct x86_segment){.limit = 0xffff, .attr = 0x82};
	s->tr = (struct x86_segment){.limit = 0xffff, .attr = 0x8b};
	s->idt.limit = 0x3ff;
	s->rip = CODE;
	s->rflags = 2;
	s->cr0 = 0x60000010;
	s->xcr0 = 1;
	s->dr[6] = 0xffff0ff0;
	s->dr[7] = 0x400;
	s->pat = 0x0007040600070406;
	s->misc_enable = 1;
	s->apic_base = 0xfee00900;
	s->lapic[3] = 0x50014;
	s->lapic[0xe] = 0xffffffff;
	s->lapic[0xf] = 0xff;
	s->xsave[0] = 0x7f;
	s->xsave[1] = 0x03;
	s->xsave[24] = 0x80;
	s->xsave[25] = 0x1f;
	s->xsave[512] = 3;
}

static int open_rig(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct engine_config cfg = {.nvcpus = 1, .options = "", .trace = ""};
	struct err e;

	*state = NULL;
	if (engine_kvm.probe(&e)) {
		printf("skipped: %s\n", e.text);
		free(r);
		return 0;
	}
	r->machine = (struct engine_machine){
		.pio_read = pio_read,
		.pio_write = pio_write,
		.mmio_read = mmio_read,
		.mmio_write = mmio_write,
		.opaque = r,
	};
	r->state = aligned_alloc(64, sizeof(*r->state));
	cfg.machine = &r->machine;
	cfg.mem = &r->mem;
	cfg.clock = &r->clock;
	cfg.cpu = &r->cpu;
	if (mem_init(&r->mem, MIB, &e) || mem_add_rom(&r->mem, ROM_GPA, 4096, &r->rom, &e) ||
	    mem_add_device(&r->mem, 4096, &r->device_slot, &e) ||
	    cpu_model_select("host", &engine_kvm, &r->cpu, &e) ||
	    engine_kvm.vm_create(&cfg, &r->vm, &e) ||
	    engine_kvm.vcpu_create(r->vm, 0, &r->vcpu, &e)) {
		printf("%s\n", e.text);
		return -1;
	}
	real_mode(r->state);
	*state = r;
	return 0;
}

static int close_rig(void **state)
{
	struct rig *r = *state;

	if (!r)
		return 0;
	engine_kvm.vcpu_destroy(r->vcpu);
	engine_kvm.vm_destroy(r->vm);
	mem_fini(&r->mem);
	free(r->state);
	free(r);
	return 0;
}

static enum run_result run_from_state(struct rig *r)
{
	struct err e = {0};
	enum run_result result;

	if (engine_kvm.vcpu_set(r->vcpu, r->state, &e))
		fail_msg("%s", e.text);
	result = engine_kvm.vcpu_run(r->vcpu, &e);
	if (result == RUN_ERROR)
		fail_msg("%s", e.text);
	if (engine_kvm.vcpu_get(r->vcpu, r->state, &e))
		fail_msg("%s", e.text);
	return result;
}

static enum run_result run_code(struct rig *r, const void *code, size_t len)
{
	assert_true(mem_write(&r->mem, CODE, code, len));
	return run_from_state(r);
}

static void expect(const struct rig *r, unsigned i, char kind, uint64_t addr, unsigned size,
		   uint64_t val)
{
	assert_true(i < r->ntrace);
	assert_int_equal(r->trace[i].kind, kind);
	assert_int_equal(r->trace[i].addr, addr);
	assert_int_equal(r->trace[i].size, size);
	assert_true(r->trace[i].val == val);
}

static struct rig *usable(void **state)
{
	if (!*state)
		skip();
	return *state;
}

/* An access must have gone its whole way when the kick returns: RIP past it. */
static void test_kick(void **state)
{
	static const uint8_t code[] = {
		0xb0, 0x41, /* mov al, 0x41 */
		0xe6, 0xf1, /* out 0xf1, al: the rig kicks */
		0xf4,       /* hlt */
	};
	struct rig *r = usable(state);

	r->kick_on_out = true;
	assert_int_equal(run_code(r, code, sizeof(code)), RUN_KICKED);
	expect(r, 0, 'o', 0xf1, 1, 0x41);
	assert_int_equal(r->ntrace, 1);
	assert_int_equal(r->state->rip, CODE + 4);
	engine_kvm.vcpu_kick(r->vcpu); /* while it is not running: the next run returns at once */
	assert_int_equal(run_code(r, code, sizeof(code)), RUN_KICKED);
	assert_int_equal(r->ntrace, 1);
	assert_int_equal(r->state->rip, CODE + 4);
}

static void *kick_soon(void *opaque)
{
	struct rig *r = opaque;

	usleep(5000);
	engine_kvm.vcpu_kick(r->vcpu);
	return NULL;
}

/* A busy host may need several goes to get the guest to its HLT. */
static void run_until_halt(struct rig *r, const void *code, size_t len)
{
	assert_true(mem_write(&r->mem, CODE, code, len));
	for (int i = 0; i < 200; i++) {
		pthread_t t;

		assert_int_equal(pthread_create(&t, NULL, kick_soon, r), 0);
		assert_int_equal(run_from_state(r), RUN_KICKED);
		pthread_join(t, NULL);
		if (r->state->activity == X86_HALTED)
			return;
	}
	fail_msg("the guest does not come to its HLT");
}

static void move_device_memory(struct rig *r, gpa_t to)
{
	gpa_t old = r->mem.slot[r->device_slot].gpa;

	mem_move(&r->mem, r->device_slot, to);
	assert_int_equal(engine_kvm.mem_moved(r->vm, r->device_slot, old), 0);
}

/* A store goes to the bus, into the memory, into the memory elsewhere, and to the bus again. */
static void test_device_memory_moves(void **state)
{
	static const uint8_t code[] = {
		0xb8, 0xff, 0xff, 0x8e, 0xd8, /* mov ax, 0xffff; mov ds, ax */
		0xc6, 0x06, 0x10, 0x00, 0x5a, /* mov byte [0x0010], 0x5a: 0x100000 */
		0xc6, 0x06, 0x10, 0x10, 0xa5, /* mov byte [0x1010], 0xa5: 0x101000 */
		0xf4,                         /* hlt */
	};
	static const struct {
		gpa_t at;
		uint8_t memory;
		unsigned ntrace;
	} rows[] = {{MEM_UNMAPPED, 0, 2},
		    {0x100000, 0x5a, 1},
		    {0x101000, 0xa5, 1},
		    {MEM_UNMAPPED, 0, 2}};
	struct rig *r = usable(state);
	uint8_t *memory = r->mem.slot[r->device_slot].host;

	for (unsigned i = 0; i < 4; i++) {
		if (r->mem.slot[r->device_slot].gpa != rows[i].at)
			move_device_memory(r, rows[i].at);
		*memory = 0;
		r->ntrace = 0;
		r->state->rip = CODE;
		r->state->activity = X86_ACTIVE;
		run_until_halt(r, code, sizeof(code));
		assert_int_equal(*memory, rows[i].memory);
		assert_int_equal(r->ntrace, rows[i].ntrace);
	}
}

static void test_string_io_and_halt(void **state)
{
	static const uint8_t code[] = {
		0xba, 0x34, 0x12, 0x66,
		0xed, 0x66, 0x89, 0xc3, /* mov dx; in eax, dx; mov ebx, eax */
		0xbe, 0x00, 0x20, 0xb9,
		0x03, 0x00, 0xf3, 0x6e, /* mov si; mov cx, 3; rep outsb */
		0xf4,                   /* hlt */
	};
	struct rig *r = usable(state);

	mem_write(&r->mem, 0x2000, "xyz", 3);
	run_until_halt(r, code, sizeof(code));
	assert_int_equal(r->ntrace, 4);
	expect(r, 0, 'i', 0x1234, 4, 0);
	expect(r, 1, 'o', 0x1234, 1, 'x');
	expect(r, 2, 'o', 0x1234, 1, 'y');
	expect(r, 3, 'o', 0x1234, 1, 'z');
	assert_int_equal(r->state->gpr[X86_RBX], 0x12345678);
	assert_int_equal(r->state->gpr[X86_RCX] & 0xffff, 0);
	assert_int_equal(r->state->activity, X86_HALTED);
	assert_int_equal(r->state->rip, CODE + sizeof(code));
}

static void test_mmio_and_rom(void **state)
{
	static const uint8_t code[] = {
		0xb8, 0xff, 0xff, 0x8e, 0xd8, /* mov ax, 0xffff; mov ds, ax */
		0x66, 0xa1, 0x10, 0x00,       /* mov eax, [0x10] */
		0x66, 0xa3, 0x18, 0x00,       /* mov [0x18], eax */
		0xa2, 0x21, 0x00,             /* mov [0x21], al */
		0xf4,
	};
	struct rig *r = usable(state);

	run_until_halt(r, code, sizeof(code));
	assert_int_equal(r->ntrace, 3);
	expect(r, 0, 'r', MMIO_GPA, 4, 0);
	expect(r, 1, 'w', MMIO_GPA + 8, 4, 0xe5f60718);
	expect(r, 2, 'w', MMIO_GPA + 0x11, 1, 0x18);
}

/* The reset vector in ROM: a store to ROM is dropped, and what runs there is the ROM's code. */
static void test_rom(void **state)
{
	static const uint8_t code[] = {
		0x2e, 0xc6, 0x06, 0x00, 0x10, 0x55, /* mov byte cs:[0x1000], 0x55 */
		0xe6, 0xf1,                         /* out 0xf1, al */
		0xf4,
	};
	struct rig *r = usable(state);

	memcpy(r->rom, code, sizeof(code));
	r->rom[0x100] = 0xaa;
	r->state->seg[X86_CS] = (struct x86_segment){ROM_GPA, 0xffff, 0x9b, 0xf000};
	r->state->rip = 0;
	run_until_halt(r, "", 0);
	expect(r, 0, 'o', 0xf1, 1, 0);
	assert_int_equal(r->rom[0x100], 0xaa);
}

/* Protected mode without an interrupt table: an exception has nowhere to go. */
static void test_triple_fault(void **state)
{
	static const uint8_t code[] = {0x0f, 0x0b}; /* ud2 */
	struct rig *r = usable(state);

	for (unsigned i = 0; i < X86_NSEG; i++)
		r->state->seg[i] = (struct x86_segment){0, 0xffffffff, 0xc093, 0x10};
	r->state->seg[X86_CS] = (struct x86_segment){0, 0xffffffff, 0xc09b, 0x8};
	r->state->cr0 |= 1;
	r->state->idt.limit = 0;
	assert_int_equal(run_code(r, code, sizeof(code)), RUN_SHUTDOWN);
}

/* Every part of the neutral state that a guest cannot change by itself comes back as it was given.
 */
static void fill_state(struct x86_cpu_state *s)
{
	for (unsigned i = 0; i < X86_NGPR; i++)
		s->gpr[i] = 0x1111111111111111ull * i;
	s->cr2 = 0x123456789000;
	s->cr8 = 3;
	s->lapic[8] = 0x30; /* the task priority that CR8 shows */
	s->dr[0] = 0x1000;
	s->dr[7] = 0x402;
	s->star = 0x0023001000000000;
	s->lstar = 0xffffffff81000000;
	s->cstar = 0xffffffff81000100;
	s->sfmask = 0x47700;
	s->kernel_gs_base = 0xffff888000000000;
	s->sysenter_cs = 0x10;
	s->sysenter_esp = 0x2000;
	s->sysenter_eip = 0x3000;
	s->tsc_aux = 7;
	s->mtrr_def_type = 0xc06;
	s->mtrr_fixed[3] = 0x0606060606060606;
	s->mtrr_base[2] = 0x80000000;
	s->mtrr_mask[2] = 0x7fc0000800;
	s->seg[X86_FS] = (struct x86_segment){0x12340, 0xffff, 0x93, 0x1234};
	s->xsave[160] = 0x5a; /* XMM0 */
	s->activity = X86_HALTED;
	s->nmi_masked = 1;
	s->interrupt_shadow = X86_SHADOW_SS;
}

static void test_state_round_trip(void **state)
{
	struct rig *r = usable(state);
	struct x86_cpu_state *back = aligned_alloc(64, sizeof(*back)), *s = r->state;
	struct err e = {0};

	fill_state(s);
	if (engine_kvm.vcpu_set(r->vcpu, s, &e) || engine_kvm.vcpu_get(r->vcpu, back, &e))
		fail_msg("%s", e.text);
	assert_memory_equal(s->gpr, back->gpr, sizeof(s->gpr));
	assert_memory_equal(s->seg, back->seg, sizeof(s->seg));
	assert_memory_equal(s->dr, back->dr, sizeof(s->dr));
	assert_memory_equal(s->mtrr_fixed, back->mtrr_fixed, sizeof(s->mtrr_fixed));
	assert_memory_equal(s->mtrr_base, back->mtrr_base, sizeof(s->mtrr_base));
	assert_memory_equal(s->mtrr_mask, back->mtrr_mask, sizeof(s->mtrr_mask));
	assert_memory_equal(s->xsave, back->xsave, 416);
#define SAME(field) assert_true(s->field == back->field)
	SAME(rip), SAME(rflags), SAME(cr0), SAME(cr2), SAME(cr3), SAME(cr4), SAME(cr8), SAME(xcr0);
	SAME(efer), SAME(apic_base), SAME(pat), SAME(star), SAME(lstar), SAME(cstar), SAME(sfmask);
	SAME(kernel_gs_base), SAME(sysenter_cs), SAME(sysenter_esp), SAME(sysenter_eip);
	SAME(tsc_aux), SAME(tsc_adjust), SAME(misc_enable), SAME(mtrr_def_type), SAME(activity);
	SAME(nmi_masked), SAME(nmi_pending), SAME(exception_pending), SAME(lapic[8]);
	SAME(interrupt_shadow);
#undef SAME
	free(back);
}

static uint64_t guest_tsc(struct rig *r)
{
	struct err e;

	if (engine_kvm.vcpu_get(r->vcpu, r->state, &e))
		fail_msg("%s", e.text);
	return r->state->tsc;
}

/* Ticks from `a` to `b`, either way. */
static uint64_t distance(uint64_t a, uint64_t b)
{
	return a < b ? b - a : a - b;
}

/* A pause of 200 ms must not show in the guest's TSC; a host's unstable one is some ms off. */
static void test_pause(void **state)
{
	struct rig *r = usable(state);
	uint64_t before, stopped, later, after, tick = r->cpu.tsc_khz;
	struct err e;

	assert_int_equal(engine_kvm.vcpu_set(r->vcpu, r->state, &e), 0);
	before = guest_tsc(r);
	if (before > 1000 * tick) {
		printf("skipped: this KVM shows the host's TSC, whatever is asked for\n");
		skip();
	}
	engine_kvm.vm_stopped(r->vm);
	stopped = guest_tsc(r);
	usleep(200000);
	later = guest_tsc(r);
	engine_kvm.vm_started(r->vm);
	after = guest_tsc(r);
	assert_in_range(distance(before, stopped), 0, 50 * tick);
	assert_in_range(distance(stopped, later), 0, 50 * tick);
	assert_in_range(distance(stopped, after), 0, 50 * tick);
}

static void add_up(void *opaque, const char *name, uint64_t value)
{
	(void)name;
	*(uint64_t *)opaque += value;
}

static void test_stats(void **state)
{
	static const uint8_t code[] = {0xe6, 0xf1, 0xe4, 0xf1, 0xf4};
	struct rig *r = usable(state);
	uint64_t sum = 0;

	run_until_halt(r, code, sizeof(code));
	engine_kvm.stats(r->vm, add_up, &sum);
	assert_in_range(sum, 3, 1000);
}

int main(void)
{
#define WITH_RIG(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_kick),
		WITH_RIG(test_string_io_and_halt),
		WITH_RIG(test_device_memory_moves),
		WITH_RIG(test_mmio_and_rom),
		WITH_RIG(test_rom),
		WITH_RIG(test_triple_fault),
		WITH_RIG(test_state_round_trip),
		WITH_RIG(test_pause),
		WITH_RIG(test_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
