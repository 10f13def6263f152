/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's vector state outside the engine: saving, restoring, images. Compiled without vector
 * registers, as the engine is, since they are the guest's between bt_fpu_enter() and _leave().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/vm.h"

/* Offsets in an XSAVE image. */
#define FCW   0
#define FSW   2
#define FTW   4
#define FIP   8
#define MXCSR 24
#define ST0   32
#define XMM0  160
#define BV    512
#define XCOMP 520

struct fixture {
	struct bt_vcpu v;
	struct bt_vm vm;
	uint8_t image[X86_XSAVE_SIZE], other[X86_XSAVE_SIZE];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cpu_model model;
	struct err e = {0};

	cpu_model_init(&model, "v3");
	model.xcr0_allowed = XC_X87 | XC_SSE | XC_AVX;
	f->v.self = &f->v;
	f->v.xcr0 = model.xcr0_allowed;
	*state = f;
	f->v.vm = &f->vm;
	return bt_fpu_create(&f->v, &model, &e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bt_fpu_destroy(&f->v);
	free(f);
	return 0;
}

static uint32_t get(const uint8_t *image, unsigned at, unsigned size)
{
	uint32_t val = 0;

	memcpy(&val, image + at, size);
	return val;
}

/* A valid image with something in every register. */
static void fill(uint8_t *image)
{
	memset(image, 0, X86_XSAVE_SIZE);
	image[FCW] = 0x7f;
	image[FCW + 1] = 0x02;
	image[FTW] = 0x81;
	image[FIP] = 0x11;
	image[MXCSR] = 0xa5;
	image[MXCSR + 1] = 0x7f;
	image[MXCSR + 4] = image[MXCSR + 5] = 0xff; /* mask of valid bits */
	for (unsigned i = 0; i < 8; i++)
		memset(image + ST0 + 16 * i, (int)(0x21 + i), 10);
	for (unsigned i = 0; i < 256; i++)
		image[XMM0 + i] = (uint8_t)(i * 7 + 1);
	image[BV] = XC_X87 | XC_SSE;
}

static void power_on(void **state)
{
	struct fixture *f = *state;

	bt_fpu_get(&f->v, f->image);
	assert_int_equal(get(f->image, FCW, 2), 0x40);
	assert_int_equal(get(f->image, FSW, 2), 0);
	assert_int_equal(f->image[FTW], 0xff);
	assert_int_equal(get(f->image, MXCSR, 4), MXCSR_RESET);
	assert_int_equal(f->image[BV], XC_X87 | XC_SSE);
}

/* Through the registers and back, with C code's own state in between. */
static void round_trip(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	fill(f->image);
	assert_int_equal(bt_fpu_set(&f->v, f->image, &e), 0);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t inside, outside;

		bt_fpu_enter(&f->v);
		__asm__ volatile("stmxcsr %0" : "=m"(inside));
		bt_fpu_leave(&f->v);
		__asm__ volatile("stmxcsr %0" : "=m"(outside));
		assert_int_equal(inside, 0x7fa5);
		assert_int_equal(outside & ~0x3fu, MXCSR_RESET);
	}
	bt_fpu_get(&f->v, f->other);
	assert_memory_equal(f->image, f->other, X86_XSAVE_SIZE);
}

static void leave_nests(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	fill(f->image);
	assert_int_equal(bt_fpu_set(&f->v, f->image, &e), 0);
	bt_fpu_enter(&f->v);
	bt_fpu_leave(&f->v);
	bt_fpu_leave(&f->v);
	__asm__ volatile("fninit\n\tpxor %%xmm0, %%xmm0" : : : "memory");
	bt_fpu_enter(&f->v); /* not the outermost: nothing is loaded */
	assert_int_equal(f->v.fpu->depth, 1);
	bt_fpu_get(&f->v, f->other);
	assert_memory_equal(f->image, f->other, X86_XSAVE_SIZE);
}

static void empty_image_is_initial(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	memset(f->image, 0, sizeof(f->image));
	assert_int_equal(bt_fpu_set(&f->v, f->image, &e), 0);
	bt_fpu_get(&f->v, f->other);
	assert_int_equal(get(f->other, FCW, 2), FCW_RESET);
	assert_int_equal(get(f->other, MXCSR, 4), MXCSR_RESET);
}

/* ES and B follow from the exception flags and masks, whatever the image claims. */
static void pending_exception_is_derived(void **state)
{
	static const struct {
		uint16_t fcw, fsw, expect;
	} rows[] = {
		{0x37f, 0x8080, 0x0000},
		{0x37e, 0x0001, 0x8081},
		{0x37e, 0x8081, 0x8081},
		{0x37f, 0x3801, 0x3801},
	};
	struct fixture *f = *state;
	struct err e = {0};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fill(f->image);
		memcpy(f->image + FCW, &rows[i].fcw, 2);
		memcpy(f->image + FSW, &rows[i].fsw, 2);
		assert_int_equal(bt_fpu_set(&f->v, f->image, &e), 0);
		bt_fpu_get(&f->v, f->other);
		assert_int_equal(get(f->other, FSW, 2), rows[i].expect);
	}
}

/* XRSTOR would fault on these: refused, and the state stays. */
static void bad_images(void **state)
{
	static const struct {
		uint16_t at;
		uint8_t val;
		const char *says;
	} rows[] = {
		{BV, XC_X87 | 0x20, "components"}, {BV + 7, 0x40, "components"},
		{XCOMP, 1, "header byte 8"},       {XCOMP + 7, 0x80, "header byte 15"},
		{XCOMP + 55, 1, "header byte 63"}, {MXCSR + 2, 1, "MXCSR"},
		{MXCSR + 3, 0x80, "MXCSR"},
	};
	struct fixture *f = *state;

	bt_fpu_get(&f->v, f->other);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = {0};

		fill(f->image);
		f->image[rows[i].at] = rows[i].val;
		assert_int_equal(bt_fpu_set(&f->v, f->image, &e), -EINVAL);
		assert_non_null(strstr(e.text, rows[i].says));
		bt_fpu_get(&f->v, f->image);
		assert_memory_equal(f->image, f->other, X86_XSAVE_SIZE);
	}
}

static void components_in_use(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	uint64_t clean, used;

	memset(f->image, 0, sizeof(f->image));
	assert_int_equal(bt_fpu_set(&f->v, f->image, &e), 0);
	bt_fpu_enter(&f->v);
	clean = bt_fpu_inuse(&f->v);
	__asm__ volatile("pcmpeqd %%xmm3, %%xmm3" : : : "memory");
	used = bt_fpu_inuse(&f->v);
	bt_fpu_leave(&f->v);
	assert_int_equal(clean & (XC_SSE | XC_AVX), 0);
	assert_int_equal(used & XC_SSE, XC_SSE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(power_on),
		TEST(round_trip),
		TEST(leave_nests),
		TEST(empty_image_is_initial),
		TEST(pending_exception_is_derived),
		TEST(bad_images),
		TEST(components_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
