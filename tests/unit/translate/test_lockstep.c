/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does lockstep find a wrong translation? A block is translated rightly first; then one byte of its
 * host code is changed, as an error of the translator would have it, and the block runs again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/translate/machine.h"
#include "vmm/engine/bt/translate/tr.h"
#include "vmm/engine/engine.h"

#define END 0xe6, 0xf4, 0xeb, 0xfe /* OUT 0xf4, AL; JMP to itself */

static struct test_machine *machine;

static struct translator *translator(void)
{
	return tr_of((struct bt_vcpu *)tm_vcpu(machine));
}

/* The place in the code cache where `find` lies, once. */
static uint8_t *host_code(const uint8_t *find, unsigned len)
{
	struct translator *t = translator();

	for (uint32_t at = t->stubs_end; at + len <= t->used; at++)
		if (!memcmp(t->rw + at, find, len))
			return t->rw + at;
	fail_msg("the block's host code has not the bytes looked for");
	return NULL;
}

static enum run_result run(struct err *e)
{
	enum run_result r;

	tm_again(machine);
	do {
		r = engine_bt.vcpu_run(tm_vcpu(machine), e);
	} while (r == RUN_KICKED && !tm_ended(machine));
	return r;
}

/* `find` in the host code of `code` becomes `wrong`; the report must name `what`. */
static void expect_found(const uint8_t *code, unsigned len, const char *find, const char *wrong,
			 const char *what)
{
	unsigned n = (unsigned)strlen(find);
	uint8_t *at;
	struct err e;

	tm_reset(machine, 1, code, len);
	assert_int_equal(run(&e), RUN_KICKED);
	at = host_code((const uint8_t *)find, n);
	memcpy(at, wrong, n);
	assert_int_equal(run(&e), RUN_ERROR);
	memcpy(at, find, n);
	if (!strstr(e.text, what))
		fail_msg("\"%s\" does not name %s", e.text, what);
	assert_int_equal(run(&e), RUN_KICKED);
}

#define EXPECT_FOUND(code, find, wrong, what) expect_found(code, sizeof(code), find, wrong, what)

static void a_wrong_constant(void **state)
{
	static const uint8_t code[] = {0xb8, 0x44, 0x33, 0x22, 0x11, END}; /* MOV EAX, imm32 */

	(void)state;
	EXPECT_FOUND(code, "\x44\x33\x22\x11", "\x44\x33\x23\x11", "RAX");
}

static void a_wrong_store(void **state)
{
	/* MOV DWORD [RDI], imm32: no register shows it */
	static const uint8_t code[] = {0xc7, 0x07, 0x88, 0x77, 0x66, 0x55, END};

	(void)state;
	EXPECT_FOUND(code, "\x88\x77\x66\x55", "\x88\x77\x66\x54", "memory at 0x40003");
}

static void a_wrong_flag(void **state)
{
	static const uint8_t code[] = {0x31, 0xc0, 0x3d, 0x99, 0x88, 0x77, 0x66, END};

	(void)state; /* XOR EAX, EAX; CMP EAX, imm32 */
	EXPECT_FOUND(code, "\x99\x88\x77\x66", "\x99\x88\x77\xe6", "RFLAGS");
}

static void a_wrong_branch(void **state)
{
	/* XOR EAX, EAX; JE +5: MOV EBX, 1 is left out */
	static const uint8_t code[] = {0x31, 0xc0, 0x74, 0x05, 0xbb, 0x01, 0x00, 0x00, 0x00, END};

	(void)state;
	EXPECT_FOUND(code, "\x0f\x84", "\x0f\x85", "RBX");
}

static void a_wrong_vector(void **state)
{
	/* PXOR XMM3, XMM3; PCMPEQD XMM3, XMM3 */
	static const uint8_t code[] = {0x66, 0x0f, 0xef, 0xdb, 0x66, 0x0f, 0x76, 0xdb, END};

	(void)state;
	EXPECT_FOUND(code, "\x66\x0f\x76\xdb", "\x66\x0f\xef\xdb", "vector image at byte 0xd0");
}

static void several_processors_are_refused(void **state)
{
	struct err e;

	(void)state;
	assert_int_not_equal(tm_try("tier=lockstep", 2, &e), 0);
	assert_non_null(strstr(e.text, "--cpus 1"));
	assert_int_equal(tm_try("tier=translate", 2, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_constant),
		cmocka_unit_test(a_wrong_store),
		cmocka_unit_test(a_wrong_flag),
		cmocka_unit_test(a_wrong_branch),
		cmocka_unit_test(a_wrong_vector),
		cmocka_unit_test(several_processors_are_refused),
	};
	int rc;

	machine = tm_new("tier=lockstep");
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	tm_free(machine);
	return rc;
}
