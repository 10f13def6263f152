/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which exception a vector instruction raises under which bits of CR0, CR4 and XCR0, and with
 * floating-point exceptions pending (Intel SDM volume 2, exceptions of each instruction; volume 3A
 * tables 2-2 and 14-1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/bt/box.h"
#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/vm.h"

#define NONE  0xff
#define LEN   6 /* bytes of code given to the decoder: more than any here has */
#define STATE X86_XSAVE_SIZE

/* What the guest's state is besides the usual (everything is allowed, nothing pending). */
#define PENDING  0x1 /* x87: an unmasked exception */
#define UNMASKED 0x2 /* MXCSR: all exceptions, DIVPS meets 0/0 */
#define NO_XMM   0x4 /* CR4.OSXMMEXCPT clear */
#define NO_FXSR  0x8
#define NO_XSAVE 0x10
#define XCR0_SSE 0x20 /* XCR0 without AVX */

struct row {
	const char *name;
	uint8_t code[LEN];
	uint32_t cr0; /* EM, TS, MP */
	unsigned state;
	uint8_t expect;
};

#define FLD1               \
	{                  \
		0xd9, 0xe8 \
	}
#define FNSTSW             \
	{                  \
		0xdf, 0xe0 \
	}
#define FNINIT             \
	{                  \
		0xdb, 0xe3 \
	}
#define FWAIT        \
	{            \
		0x9b \
	}
#define EMMS               \
	{                  \
		0x0f, 0x77 \
	}
#define PADDB                    \
	{                        \
		0x0f, 0xfc, 0xc1 \
	}
#define MOVAPS                   \
	{                        \
		0x0f, 0x28, 0xc1 \
	}
#define DIVPS                    \
	{                        \
		0x0f, 0x5e, 0xc1 \
	}
#define MOVQ2DQ                        \
	{                              \
		0xf3, 0x0f, 0xd6, 0xc1 \
	}
#define LDMXCSR                  \
	{                        \
		0x0f, 0xae, 0x13 \
	}
#define FXSAVE                   \
	{                        \
		0x0f, 0xae, 0x03 \
	}
#define XSAVE                    \
	{                        \
		0x0f, 0xae, 0x23 \
	}
#define VMOVAPS                        \
	{                              \
		0xc5, 0xf8, 0x28, 0xc1 \
	}
#define VDIVPS                         \
	{                              \
		0xc5, 0xf8, 0x5e, 0xc1 \
	}
#define MFENCE                   \
	{                        \
		0x0f, 0xae, 0xf0 \
	}
#define PREFTCH                  \
	{                        \
		0x0f, 0x18, 0x0b \
	}
#define MOVNTI                   \
	{                        \
		0x0f, 0xc3, 0x03 \
	}

static const struct row rows[] = {
	{"fld1", FLD1, 0, 0, NONE},
	{"fld1, TS", FLD1, CR0_TS, 0, EXC_NM},
	{"fld1, EM", FLD1, CR0_EM, 0, EXC_NM},
	{"fld1, pending", FLD1, 0, PENDING, EXC_MF},
	{"fld1, pending, TS", FLD1, CR0_TS, PENDING, EXC_NM},
	{"fnstsw, pending", FNSTSW, 0, PENDING, NONE},
	{"fninit, pending", FNINIT, 0, PENDING, NONE},
	{"fwait, TS", FWAIT, CR0_TS, 0, NONE},
	{"fwait, TS MP", FWAIT, CR0_TS | CR0_MP, 0, EXC_NM},
	{"fwait, EM", FWAIT, CR0_EM, 0, NONE},
	{"fwait, pending", FWAIT, 0, PENDING, EXC_MF},
	{"emms, pending", EMMS, 0, PENDING, EXC_MF},
	{"paddb, TS", PADDB, CR0_TS, 0, EXC_NM},
	{"paddb, EM", PADDB, CR0_EM, 0, EXC_UD},
	{"paddb, EM TS", PADDB, CR0_EM | CR0_TS, 0, EXC_UD},
	{"paddb, pending", PADDB, 0, PENDING, EXC_MF},
	{"movaps", MOVAPS, 0, 0, NONE},
	{"movaps, TS", MOVAPS, CR0_TS, 0, EXC_NM},
	{"movaps, EM", MOVAPS, CR0_EM, 0, EXC_UD},
	{"movaps, no OSFXSR", MOVAPS, 0, NO_FXSR, EXC_UD},
	{"movaps, pending", MOVAPS, 0, PENDING, NONE},
	{"movq2dq, pending", MOVQ2DQ, 0, PENDING, EXC_MF},
	{"divps", DIVPS, 0, 0, NONE},
	{"divps, unmasked", DIVPS, 0, UNMASKED, EXC_XM},
	{"divps, unmasked, no OSXMMEXCPT", DIVPS, 0, UNMASKED | NO_XMM, EXC_UD},
	{"ldmxcsr, TS", LDMXCSR, CR0_TS, 0, EXC_NM},
	{"ldmxcsr, no OSFXSR", LDMXCSR, 0, NO_FXSR, EXC_UD},
	{"fxsave", FXSAVE, 0, 0, NONE},
	{"fxsave, TS", FXSAVE, CR0_TS, 0, EXC_NM},
	{"fxsave, EM", FXSAVE, CR0_EM, 0, EXC_NM},
	{"fxsave, pending", FXSAVE, 0, PENDING, NONE},
	{"xsave", XSAVE, 0, 0, NONE},
	{"xsave, TS", XSAVE, CR0_TS, 0, EXC_NM},
	{"xsave, no OSXSAVE", XSAVE, 0, NO_XSAVE, EXC_UD},
	{"vmovaps", VMOVAPS, 0, 0, NONE},
	{"vmovaps, TS", VMOVAPS, CR0_TS, 0, EXC_NM},
	{"vmovaps, EM", VMOVAPS, CR0_EM, 0, NONE},
	{"vmovaps, no OSXSAVE", VMOVAPS, 0, NO_XSAVE, EXC_UD},
	{"vmovaps, XCR0", VMOVAPS, 0, XCR0_SSE, EXC_UD},
	{"vdivps, unmasked", VDIVPS, 0, UNMASKED, EXC_XM},
	{"mfence, TS EM", MFENCE, CR0_TS | CR0_EM, NO_FXSR, NONE},
	{"prefetch, TS EM", PREFTCH, CR0_TS | CR0_EM, NO_FXSR, NONE},
	{"movnti, TS EM", MOVNTI, CR0_TS | CR0_EM, NO_FXSR, NONE},
};

static void put_control(struct bt_vcpu *v, const struct row *r)
{
	v->cr0 = (v->cr0 & ~(uint64_t)(CR0_EM | CR0_TS | CR0_MP)) | CR0_NE | r->cr0;
	v->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	if (r->state & NO_XMM)
		v->cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
	if (r->state & NO_FXSR)
		v->cr4 &= ~(uint64_t)CR4_OSFXSR;
	if (r->state & NO_XSAVE)
		v->cr4 &= ~(uint64_t)CR4_OSXSAVE;
	v->xcr0 = r->state & XCR0_SSE ? XC_X87 | XC_SSE : XC_X87 | XC_SSE | XC_AVX;
	bt_mode_changed(v);
}

static void put_vectors(struct bt_vcpu *v, const struct row *r)
{
	static const uint16_t fcw_open = 0x340, fsw_invalid = 1;
	static const uint32_t open = 0x0000;
	static uint8_t image[STATE];
	struct err e = {0};

	memset(image, 0, sizeof(image));
	image[512] = XC_X87 | XC_SSE;
	image[0] = 0x7f;
	image[1] = 0x03;
	image[24] = 0x80;
	image[25] = 0x1f;
	if (r->state & PENDING) {
		memcpy(image, &fcw_open, 2);
		memcpy(image + 2, &fsw_invalid, 2);
	}
	if (r->state & UNMASKED)
		memcpy(image + 24, &open, 4);
	assert_int_equal(bt_fpu_set(v, image, &e), 0);
}

/* The exception of one instruction, RBX pointing to zeroes. */
static uint8_t raised(struct bt_vcpu *v, const uint8_t *code)
{
	struct x86_insn in;
	bool ok;

	assert_true(x86_decode(code, LEN, X86_MODE_64, &in) > 0);
	v->gpr[X86_RBX] = BOX_DATA;
	v->gpr[X86_RAX] = XC_X87 | XC_SSE;
	v->gpr[X86_RDX] = 0;
	bt_fpu_enter(v);
	ok = bt_interpret(v, &in);
	bt_fpu_leave(v);
	return ok ? NONE : v->fault.vector;
}

static void conditions(void **state)
{
	static const uint8_t hlt[] = {0xf4};
	struct err e = {0};
	struct box box;
	struct bt_vcpu *v;
	unsigned bad = 0;

	(void)state;
	box_open(&box, BOX_LONG, hlt, hlt + sizeof(hlt));
	box.cpu.has[X86_FEAT_XSAVE] = box.cpu.has[X86_FEAT_AVX] = true;
	v = ((struct bt_vm *)box.vm)->vcpu[0];
	assert_int_equal(engine_bt.vcpu_set(box.vcpu, &box.s, &e), 0);
	assert_int_equal(bt_fpu_thread_start(v, &e), 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t got;

		put_control(v, &rows[i]);
		put_vectors(v, &rows[i]);
		got = raised(v, rows[i].code);
		if (got == rows[i].expect)
			continue;
		fprintf(stderr, "%s: exception %d instead of %d\n", rows[i].name, (int8_t)got,
			(int8_t)rows[i].expect);
		bad++;
	}
	bt_fpu_thread_stop(v);
	box_close(&box);
	assert_int_equal(bad, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(conditions)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
