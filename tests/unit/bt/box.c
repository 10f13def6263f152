/* SPDX-License-Identifier: Apache-2.0 */
/* See box.h. */
#include "tests/unit/bt/box.h"

#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "vmm/engine/cpumodel.h"

static uint32_t pio_read(void *opaque, uint16_t port, unsigned size)
{
	(void)opaque, (void)size;
	return port;
}

static void pio_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct box *b = opaque;

	(void)size;
	if (port == 0xf4 && b->nout < 16)
		b->out[b->nout++] = val;
	if (port == 0xf5)
		engine_bt.vcpu_kick(b->vcpu);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
	const struct box *b = opaque;

	(void)gpa, (void)size;
	return b->mmio_value;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
	struct box *b = opaque;

	(void)gpa, (void)size;
	b->mmio_written = val;
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

static void fpu_error(void *opaque)
{
	((struct box *)opaque)->nfpu_errors++;
}

void *box_at(struct box *b, uint64_t gpa)
{
	void *p = mem_ptr(&b->mem, gpa, 8, true);

	assert_non_null(p);
	return p;
}

uint64_t *box_pte(struct box *b, uint64_t gva)
{
	return (uint64_t *)box_at(b, BOX_PT) + gva / MEM_PAGE_SIZE;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void build_paging(struct box *b)
{
	*(uint64_t *)box_at(b, BOX_PML4) = BOX_PDPT | 7;
	*(uint64_t *)box_at(b, BOX_PDPT) = BOX_PD | 7;
	*(uint64_t *)box_at(b, BOX_PDPT + 24) = (BOX_PD + 0x2000) | 7; /* 3 GiB: the device */
	*(uint64_t *)box_at(b, BOX_PD) = BOX_PT | 7;
	*(uint64_t *)box_at(b, BOX_PD + 0x2000) = MEM_LOW_END | 0x87;
	for (uint64_t gva = 0; gva < BOX_RAM; gva += MEM_PAGE_SIZE)
		*box_pte(b, gva) = gva | 7;
}

static const uint64_t gdt[] = {
	0,
	0x00cf9b000000ffff, /* 32-bit code */
	0x00cf93000000ffff, /* data */
	0x00af9b000000ffff, /* 64-bit code */
	0x00cffb000000ffff, /* ring 3 */
	0x00cff3000000ffff,
	0x00affb000000ffff,
	0,
	0,
	0x0000890000000067 | (uint64_t)BOX_TSS << 16, /* TSS */
	0,
};

static void build_tss(struct box *b)
{
	uint8_t *tss = box_at(b, BOX_TSS);
	uint64_t rsp0 = BOX_STACK0, ist1 = BOX_STACK1;
	uint32_t esp0 = BOX_STACK0, ss0 = SEL_DATA;

	if (b->mode == BOX_LONG) {
		memcpy(tss + 4, &rsp0, 8);
		memcpy(tss + 0x24, &ist1, 8);
	} else {
		memcpy(tss + 4, &esp0, 4);
		memcpy(tss + 8, &ss0, 4);
	}
}

void box_gate(struct box *b, unsigned vector, uint64_t handler, unsigned dpl, unsigned ist)
{
	bool wide = b->mode == BOX_LONG;
	uint32_t *g = box_at(b, BOX_IDT + vector * (wide ? 16 : 8));

	g[0] = (uint32_t)(wide ? SEL_CODE64 : SEL_CODE32) << 16 | (handler & 0xffff);
	g[1] = (handler & 0xffff0000) | 0x8e00 | dpl << 13 | ist;
	if (wide)
		g[2] = (uint32_t)(handler >> 32);
}

/* ---- registers ------------------------------------------------------------------------------- */

static void set_segment(struct x86_segment *s, uint16_t sel, uint32_t attr)
{
	*s = (struct x86_segment){.selector = sel, .limit = 0xffffffff, .attr = attr};
}

static void set_segments(struct box *b, unsigned ring)
{
	uint32_t dpl = ring << 5;

	for (unsigned i = 0; i < X86_NSEG; i++)
		set_segment(&b->s.seg[i], ring ? SEL_UDATA : SEL_DATA, 0xc093 | dpl);
	if (b->mode == BOX_LONG)
		set_segment(&b->s.seg[X86_CS], ring ? SEL_UCODE64 : SEL_CODE64, 0xa09b | dpl);
	else
		set_segment(&b->s.seg[X86_CS], ring ? SEL_UCODE32 : SEL_CODE32, 0xc09b | dpl);
}

static void set_protected(struct box *b)
{
	struct x86_cpu_state *s = &b->s;

	s->cr0 = 0x10033 | (b->mode == BOX_LONG ? 0x80000000 : 0);
	s->gdt = (struct x86_table){BOX_GDT, sizeof(gdt) - 1};
	s->idt = (struct x86_table){BOX_IDT, 0xfff};
	s->tr = (struct x86_segment){
		.base = BOX_TSS, .limit = 0x67, .attr = 0x8b, .selector = SEL_TSS};
	set_segments(b, 0);
	if (b->mode == BOX_LONG) {
		s->cr3 = BOX_PML4;
		s->cr4 = 0x20;
		s->efer = 0xd01;
	}
}

void box_ring3(struct box *b)
{
	set_segments(b, 3);
	b->s.rflags |= 0x3000; /* it may use ports */
}

static void set_real(struct box *b)
{
	for (unsigned i = 0; i < X86_NSEG; i++)
		b->s.seg[i] = (struct x86_segment){.limit = 0xffff, .attr = 0x93};
	b->s.seg[X86_CS] = (struct x86_segment){
		.base = BOX_CODE, .limit = 0xffff, .attr = 0x9b, .selector = BOX_CODE >> 4};
	b->s.seg[X86_SS].base = BOX_STACK - 0x10000;
	b->s.seg[X86_SS].selector = (BOX_STACK - 0x10000) >> 4;
	b->s.idt.limit = 0x3ff;
	b->s.rip = 0;
	b->s.gpr[X86_RSP] = 0xfff0;
}

/* ---- life ------------------------------------------------------------------------------------ */

void box_open(struct box *b, enum box_mode mode, const uint8_t *code, const uint8_t *end)
{
	box_open_with(b, mode, code, end, "tier=interp");
}

void box_open_with(struct box *b, enum box_mode mode, const uint8_t *code, const uint8_t *end,
		   const char *options)
{
	struct err e;

	memset(b, 0, sizeof(*b));
	b->mode = mode;
	b->machine = (struct engine_machine){pio_read, pio_write,  mmio_read, mmio_write,
					     pic_ack,  ioapic_eoi, b};
	b->machine.fpu_error = fpu_error;
	assert_int_equal(mem_init(&b->mem, BOX_RAM, &e), 0);
	assert_int_equal(mem_add_device(&b->mem, MEM_PAGE_SIZE, &b->device_slot, &e), 0);
	assert_int_equal(cpu_model_select("baseline", &engine_bt, &b->cpu, &e), 0);
	b->cpu.has[X86_FEAT_SMEP] = b->cpu.has[X86_FEAT_SMAP] = true;
	b->cfg = (struct engine_config){.machine = &b->machine,
					.mem = &b->mem,
					.clock = &b->clock,
					.cpu = &b->cpu,
					.nvcpus = 1,
					.options = options,
					.trace = ""};
	assert_int_equal(engine_bt.vm_create(&b->cfg, &b->vm, &e), 0);
	assert_int_equal(engine_bt.vcpu_create(b->vm, 0, &b->vcpu, &e), 0);
	engine_bt.vm_started(b->vm);
	assert_int_equal(engine_bt.vcpu_get(b->vcpu, &b->s, &e), 0);
	memcpy(box_at(b, BOX_CODE), code, (size_t)(end - code));
	memcpy(box_at(b, BOX_GDT), gdt, sizeof(gdt));
	build_paging(b);
	build_tss(b);
	b->s.rip = BOX_CODE;
	b->s.gpr[X86_RSP] = BOX_STACK;
	if (mode == BOX_REAL)
		set_real(b);
	else
		set_protected(b);
}

void box_close(struct box *b)
{
	engine_bt.vcpu_destroy(b->vcpu);
	engine_bt.vm_destroy(b->vm);
	mem_fini(&b->mem);
}

enum run_result box_run(struct box *b)
{
	struct err e;
	enum run_result result;

	assert_int_equal(engine_bt.vcpu_set(b->vcpu, &b->s, &e), 0);
	result = engine_bt.vcpu_run(b->vcpu, &e);
	assert_int_equal(engine_bt.vcpu_get(b->vcpu, &b->s, &e), 0);
	return result;
}
