/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter's privileged side: modes, faults, gates, paging, debugging, devices, interrupts.
 */
#include "tests/unit/bt/box.h"

#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* clang-format off */
#define SNIPPETS(S) \
	S(real_interrupt) S(real_strings) S(real_limit) S(real_to_protected) S(ring3_gate) \
	S(ring3_privilege) S(call_gate) S(v86) S(touch) S(crossing) S(self_modifying) \
	S(syscalls) S(ist) S(single_step) S(watchpoint) S(devices) S(locked) S(apic_timer) \
	S(shadow)
/* clang-format on */
#define S(name) extern const uint8_t name[], name##_end[];
SNIPPETS(S)
#undef S

#define HANDLER             (BOX_CODE + 0x100) /* where a snippet's handler lies, if it has one */
#define OPEN(b, mode, name) box_open(b, mode, name, name##_end)

static void expect(const struct box *b, unsigned n, const uint32_t *out)
{
	assert_int_equal(b->nout, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(b->out[i], out[i]);
}
#define EXPECT(b, ...) expect(b, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

/* ---- real and protected mode ------------------------------------------------------------------
 */

static void test_real_interrupt(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_REAL, real_interrupt);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 42, 0xfff0);
	box_close(&b);
}

/* INT 10h, the video BIOS, has the number of the x87 exception, which goes another way there. */
static void test_video_interrupt(void **state)
{
	/* mov al, 7; int 0x10; hlt; its handler: out 0xf4, al; out 0xf5, al */
	static const uint8_t code[] = {0xb0, 0x07, 0xcd, 0x10, 0xf4, 0xe6, 0xf4, 0xe6, 0xf5};
	static const uint16_t vector[2] = {5, BOX_CODE >> 4};
	struct box b;

	(void)state;
	box_open(&b, BOX_REAL, code, code + sizeof(code));
	memcpy(box_at(&b, 4 * 0x10), vector, sizeof(vector));
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 7);
	assert_int_equal(b.nfpu_errors, 0);
	box_close(&b);
}

static void test_real_strings(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_REAL, real_strings);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 999); /* 3000 equal ones, then the one that differs */
	box_close(&b);
}

static void test_real_limit(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_REAL, real_limit);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 13);
	box_close(&b);
}

static void test_real_to_protected(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_REAL, real_to_protected);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 0xabcd1234);
	box_close(&b);
}

static void test_ring3_gate(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_PROTECTED, ring3_gate);
	box_ring3(&b);
	box_gate(&b, 0x80, HANDLER, 3, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 107, BOX_STACK);
	assert_int_equal(b.s.seg[X86_CS].selector, SEL_UCODE32);
	box_close(&b);
}

/* A gate with DPL 0 is not for ring 3: #GP with the gate's index. */
static void test_gate_privilege(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_PROTECTED, ring3_gate);
	memcpy(box_at(&b, HANDLER), ring3_privilege + 0x100, 16);
	box_ring3(&b);
	box_gate(&b, 0x80, BOX_CODE, 0, 0);
	box_gate(&b, 13, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 0x80 * 8 + 2, BOX_CODE + 5, SEL_UCODE32);
	box_close(&b);
}

static void test_ring3_privilege(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_PROTECTED, ring3_privilege);
	box_ring3(&b);
	box_gate(&b, 13, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 0, BOX_CODE + 1, SEL_UCODE32);
	box_close(&b);
}

static void test_call_gate(void **state)
{
	struct box b;
	uint64_t *gate;

	(void)state;
	OPEN(&b, BOX_PROTECTED, call_gate);
	box_ring3(&b);
	gate = box_at(&b, BOX_GDT + SEL_GATE);
	*gate = 0x0000ec0100000000 | (uint64_t)SEL_CODE32 << 16 | (HANDLER & 0xffff) |
		(uint64_t)(HANDLER >> 16) << 48;
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, SEL_CODE32, 0x1111, BOX_STACK);
	box_close(&b);
}

static void test_v86(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_PROTECTED, v86);
	box_gate(&b, 13, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	/* DS there; null here; EFLAGS with VM as pushed; the DS that was pushed. */
	assert_int_equal(b.nout, 4);
	assert_int_equal(b.out[0], 0x3000);
	assert_int_equal(b.out[1], 0);
	assert_int_equal(b.out[2] & 0x23000, 0x23000);
	assert_int_equal(b.out[3], 0x2000);
	assert_int_equal(*(uint8_t *)box_at(&b, 0x30000), 0x77);
	box_close(&b);
}

/* ---- paging ---------------------------------------------------------------------------------- */

/* How DATA's page is mapped, what is done, and the error code; NO_FAULT: it works. */
#define NO_FAULT 0xffff
#define NX       (1ull << 63)
static const struct touch_row {
	const char *name;
	bool user;
	uint64_t pte; /* flags */
	uint64_t cr4, rflags;
	unsigned how;
	uint32_t error;
} touch_rows[] = {
	{"present", false, 7, 0, 0, 0, NO_FAULT},
	{"absent read", false, 0, 0, 0, 0, 0},
	{"absent write", false, 0, 0, 0, 1, 2},
	{"absent fetch", false, 0, 0, 0, 2, 0x10},
	{"absent user read", true, 0, 0, 0, 0, 4},
	{"read-only write, WP", false, 5, 0, 0, 1, 3},
	{"read-only user write", true, 5, 0, 0, 1, 7},
	{"supervisor page, user read", true, 3, 0, 0, 0, 5},
	{"supervisor page", false, 3, 0, 0, 1, NO_FAULT},
	{"no execute", false, 3 | NX, 0, 0, 2, 0x11},
	{"no execute, user", true, 7 | NX, 0, 0, 2, 0x15},
	{"reserved bit", false, 7 | 1ull << 51, 0, 0, 0, 9},
	{"reserved bit, user write", true, 7 | 1ull << 51, 0, 0, 1, 0xf},
	{"SMEP", false, 7, 1 << 20, 0, 2, 0x11},
	{"SMAP", false, 7, 1 << 21, 0, 0, 1},
	{"SMAP write", false, 7, 1 << 21, 0, 1, 3},
	{"SMAP with AC", false, 7, 1 << 21, 1 << 18, 0, NO_FAULT},
};

static void supervisor_page(struct box *b, uint64_t gva)
{
	*box_pte(b, gva) &= ~4ull;
}

static void run_touch(const struct touch_row *row)
{
	struct box b;

	OPEN(&b, BOX_LONG, touch);
	if (row->user)
		box_ring3(&b);
	else /* what ring 0 runs and pushes on must not be the user's under SMEP and SMAP */
		for (uint64_t gva = 0x1000; gva < BOX_RAM; gva += MEM_PAGE_SIZE)
			supervisor_page(&b, gva);
	*box_pte(&b, BOX_DATA) = BOX_DATA | row->pte;
	box_gate(&b, 14, HANDLER, 0, 0);
	b.s.cr4 |= row->cr4;
	b.s.rflags |= row->rflags;
	b.s.gpr[X86_RBX] = row->how;
	*(uint8_t *)box_at(&b, BOX_DATA) = 0xf4;
	assert_int_equal(box_run(&b), RUN_KICKED);
	if (row->error == NO_FAULT)
		EXPECT(&b, 0x600d);
	else
		EXPECT(&b, row->error, BOX_DATA);
	box_close(&b);
}

static void test_page_faults(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(touch_rows) / sizeof(touch_rows[0]); i++) {
		print_message("           %s\n", touch_rows[i].name);
		run_touch(&touch_rows[i]);
	}
}

static void test_accessed_dirty(void **state)
{
	static const uint64_t bits[] = {0x20, 0x60}; /* after a read, a write */
	struct box b;

	(void)state;
	for (unsigned how = 0; how < 2; how++) {
		OPEN(&b, BOX_LONG, touch);
		b.s.gpr[X86_RBX] = how;
		assert_int_equal(box_run(&b), RUN_KICKED);
		assert_int_equal(*box_pte(&b, BOX_DATA) & 0x60, bits[how]);
		assert_int_equal(*box_pte(&b, BOX_DATA + 0x1000) & 0x60, 0);
		box_close(&b);
	}
}

static void test_crossing(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, crossing);
	*box_pte(&b, BOX_DATA + 0x1000) = 0;
	box_gate(&b, 14, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 0, BOX_DATA + 0x1000);
	box_close(&b);
}

/* ---- long mode ------------------------------------------------------------------------------- */

static void test_self_modifying(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, self_modifying);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 1 + 2 + 3);
	box_close(&b);
}

static void test_syscalls(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, syscalls);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, SEL_UCODE64, SEL_CODE64, 0x3002); /* IF masked */
	box_close(&b);
}

static void test_ist(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, ist);
	box_gate(&b, 6, HANDLER, 0, 1);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, BOX_STACK1 - 40, BOX_CODE + 2);
	box_close(&b);
}

static void test_single_step(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, single_step);
	box_gate(&b, 1, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	/* nop, nop, pushfq, and, popfq (TF was still set when it began) */
	EXPECT(&b, 5, 0xffff4ff0);
	box_close(&b);
}

static void test_watchpoint(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, watchpoint);
	box_gate(&b, 1, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	assert_int_equal(b.nout, 2);
	assert_int_equal(b.out[1], 0xffff0ff1);
	box_close(&b);
}

/* No handler for #UD, none for #GP, none for #DF. */
static void test_triple_fault(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, ist);
	assert_int_equal(box_run(&b), RUN_SHUTDOWN);
	box_close(&b);
}

/* ---- devices and interrupts ------------------------------------------------------------------ */

static void test_devices(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, devices);
	b.mmio_value = 0x40;
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 0x40, 0xc000000c);
	assert_int_equal(b.mmio_written, 0x99);
	box_close(&b);
}

/* Stores to a device's page while its memory comes, moves and goes; between them the guest only
 * stops for a moment and keeps what it knows of addresses. */
static void test_device_memory(void **state)
{
	/* mov ebx, 0xc0000000; 1: add al, 1; mov [rbx], al; out 0xf5, al; jmp 1b */
	static const uint8_t code[] = {0xbb, 0x00, 0x00, 0x00, 0xc0, 0x04, 0x01,
				       0x88, 0x03, 0xe6, 0xf5, 0xeb, 0xf8};
	static const struct {
		gpa_t at;
		bool in_memory;
	} rows[] = {{MEM_UNMAPPED, false},         {MEM_LOW_END, true}, {MEM_LOW_END, true},
		    {MEM_LOW_END + 0x1000, false}, {MEM_LOW_END, true}, {MEM_UNMAPPED, false}};
	static const char *const tiers[] = {"tier=interp", "tier=translate"};

	(void)state;
	for (unsigned t = 0; t < 2; t++) {
		struct mem_slot *slot;
		struct err e;
		struct box b;

		box_open_with(&b, BOX_LONG, code, code + sizeof(code), tiers[t]);
		slot = &b.mem.slot[b.device_slot];
		b.s.gpr[X86_RAX] = 0;
		assert_int_equal(engine_bt.vcpu_set(b.vcpu, &b.s, &e), 0);
		for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			gpa_t old = slot->gpa;

			mem_move(&b.mem, b.device_slot, rows[i].at);
			if (old != rows[i].at)
				assert_int_equal(engine_bt.mem_moved(b.vm, b.device_slot, old), 0);
			*slot->host = 0;
			b.mmio_written = 0;
			assert_int_equal(engine_bt.vcpu_run(b.vcpu, &e), RUN_KICKED);
			assert_int_equal(*slot->host, rows[i].in_memory ? i + 1 : 0);
			assert_int_equal(b.mmio_written, rows[i].in_memory ? 0 : i + 1);
		}
		box_close(&b);
	}
}

static void test_locked(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, locked);
	*(uint16_t *)box_at(&b, BOX_DATA + 0xffe) = 0xffff;
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 0xffff, 0x10000, 1, 22);
	box_close(&b);
}

static void map_lapic(struct box *b)
{
	*(uint64_t *)box_at(b, BOX_PD + 0x2000 + 0x1f7 * 8) = 0xfee00000 | 0x87;
}

static void test_apic_timer(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, apic_timer);
	map_lapic(&b);
	clock_resume(&b.clock);
	box_gate(&b, 0x40, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 1, 0); /* in service, then not */
	box_close(&b);
}

static void test_shadow(void **state)
{
	struct box b;

	(void)state;
	OPEN(&b, BOX_LONG, shadow);
	map_lapic(&b);
	box_gate(&b, 0x40, HANDLER, 0, 0);
	assert_int_equal(box_run(&b), RUN_KICKED);
	EXPECT(&b, 1);
	box_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_interrupt),    cmocka_unit_test(test_video_interrupt),
		cmocka_unit_test(test_real_strings),      cmocka_unit_test(test_real_limit),
		cmocka_unit_test(test_real_to_protected), cmocka_unit_test(test_ring3_gate),
		cmocka_unit_test(test_gate_privilege),    cmocka_unit_test(test_ring3_privilege),
		cmocka_unit_test(test_call_gate),         cmocka_unit_test(test_v86),
		cmocka_unit_test(test_page_faults),       cmocka_unit_test(test_accessed_dirty),
		cmocka_unit_test(test_crossing),          cmocka_unit_test(test_self_modifying),
		cmocka_unit_test(test_syscalls),          cmocka_unit_test(test_ist),
		cmocka_unit_test(test_single_step),       cmocka_unit_test(test_watchpoint),
		cmocka_unit_test(test_triple_fault),      cmocka_unit_test(test_devices),
		cmocka_unit_test(test_device_memory),     cmocka_unit_test(test_locked),
		cmocka_unit_test(test_apic_timer),        cmocka_unit_test(test_shadow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
