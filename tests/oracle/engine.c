/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's side: a VM in 64-bit user mode that sees the window and the page of code at the same
 * addresses, with the same rights, as the native process does.
 */
#include "tests/oracle/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "tests/oracle/engine.h"
#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/cpumodel.h"
#include "x86/ops.h"

#define RAM_SIZE (4 * MIB)

/* Guest physical layout. */
#define PML4      0x1000u
#define PDPT      0x2000u
#define PD        0x3000u /* of the gigabyte at WINDOW_BASE */
#define PT_WINDOW 0x4000u
#define PT_CODE   0x5000u
#define WINDOW_PA 0x10000u
#define CODE_PA   0x20000u

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
};

/* ---- the machine: nothing is there ------------------------------------------------------------
 */

static uint32_t no_pio_read(void *opaque, uint16_t port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return UINT32_MAX;
}

static void no_pio_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	(void)opaque;
	(void)port;
	(void)size;
	(void)val;
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

/* ---- memory -----------------------------------------------------------------------------------
 */

static void put_entry(struct engine_side *s, uint32_t table, unsigned index, uint64_t entry)
{
	mem_write(&s->mem, table + 8 * index, &entry, 8);
}

static void build_tables(struct engine_side *s)
{
	put_entry(s, PML4, 0, PDPT | PTE_TABLE);
	put_entry(s, PDPT, WINDOW_BASE >> 30, PD | PTE_TABLE);
	put_entry(s, PD, WINDOW_BASE >> 21 & 511, PT_WINDOW | PTE_TABLE);
	put_entry(s, PD, CODE_BASE >> 21 & 511, PT_CODE | PTE_TABLE);
	put_entry(s, PT_CODE, CODE_BASE >> 12 & 511, CODE_PA | PTE_P | PTE_U | PTE_A);
	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
		uint64_t rights = window_page[i] == PAGE_RW ? PTE_W | PTE_D : 0;

		if (window_page[i] == PAGE_NONE)
			continue;
		put_entry(s, PT_WINDOW, i,
			  (WINDOW_PA + i * 4096) | PTE_P | PTE_U | PTE_A | PTE_NX | rights);
		s->window.page[i] = mem_ptr(&s->mem, WINDOW_PA + i * 4096, 4096, true);
	}
	window_fill(&s->window);
	s->code = mem_ptr(&s->mem, CODE_PA, 4096, true);
	memset(s->code, 0xcc, 4096);
}

/* ---- registers --------------------------------------------------------------------------------
 */

static void initial_state(struct x86_cpu_state *st)
{
	memset(st, 0, sizeof(*st));
	for (unsigned i = 0; i < X86_NSEG; i++)
		st->seg[i] =
			(struct x86_segment){.limit = UINT32_MAX, .attr = 0xc0f3, .selector = 0x2b};
	st->seg[X86_CS].attr = 0xa0fb;
	st->seg[X86_CS].selector = 0x33;
	st->ldt.attr = 0x82;
	st->tr = (struct x86_segment){.limit = 0x67, .attr = 0x8b, .selector = 0x40};
	st->rip = CODE_START;
	st->rflags = 0x202;
	st->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	st->cr3 = PML4;
	st->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	st->xcr0 = 7;
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
	memcpy(area, fp, FP_YMM);
	memcpy(area + v->fpu->comp[2].host_off, fp + FP_YMM, 256);
}

static void get_fp(struct bt_vcpu *v, uint8_t *fp)
{
	const uint8_t *area = v->fpu->area;

	memcpy(fp, area, FP_YMM);
	memcpy(fp + FP_YMM, area + v->fpu->comp[2].host_off, 256);
}

static void put_segment_base(struct bt_vcpu *v, unsigned seg, uint64_t base)
{
	v->seg[seg].base = base;
	v->segbase[seg] = base;
}

static void put_state(struct engine_side *s, const struct oracle_case *c)
{
	struct bt_vcpu *v = s->v;

	memcpy(v->gpr, c->gpr, sizeof(v->gpr));
	v->rip = CODE_START;
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
	o->vector = v->fault.vector;
	o->error = v->fault.has_error ? v->fault.error : 0;
	o->cr2 = v->fault.cr2;
	o->lost = false;
	get_fp(v, o->fp);
	window_collect(&s->window, c, o);
}

void engine_execute(struct engine_side *s, const struct oracle_case *c, struct outcome *o)
{
	native_place_code(s->code, c);
	put_state(s, c);
	oracle_interpret(s->v, c->code, c->len);
	get_state(s, c, o);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static int start(struct engine_side *s, const char *options, struct err *e)
{
	struct x86_cpu_state *st = calloc(1, sizeof(*st));
	int rc = mem_init(&s->mem, RAM_SIZE, e);

	if (rc)
		goto free_state;
	s->machine = (struct engine_machine){no_pio_read,
					     no_pio_write,
					     no_mmio_read,
					     no_mmio_write,
					     no_pic_ack,
					     no_ioapic_eoi,
					     s};
	cpu_model_init(&s->cpu, "v3");
	cpu_features_of_host(s->cpu.has);
	s->cpu.xcr0_allowed = 7;
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
	if (!rc)
		rc = bt_fpu_thread_start(s->v, e);
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
