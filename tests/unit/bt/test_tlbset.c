/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of a TLB's indices, against an array of booleans. */
#include "vmm/engine/bt/tlbset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHANGES 3000

static struct bt_tlb_set set;
static bool has[BT_TLB_SIZE];

static void same(void)
{
	unsigned member = bt_set_from(&set, 0);

	for (unsigned i = 0; i < BT_TLB_SIZE; i++) {
		assert_int_equal(bt_set_has(&set, i), has[i]);
		if (!has[i])
			continue;
		assert_int_equal(member, i);
		assert_int_equal(bt_set_from(&set, i), i);
		member = bt_set_from(&set, i + 1);
	}
	assert_int_equal(member, BT_TLB_SIZE);
}

static void change(unsigned i, bool in)
{
	has[i] = in;
	if (in)
		bt_set_add(&set, i);
	else
		bt_set_remove(&set, i);
}

static void members(void **state)
{
	(void)state;
	same();
	change(0, true);
	change(BT_TLB_SIZE - 1, true);
	same();
	for (unsigned n = 0; n < CHANGES; n++) /* many near each other, and all over the place */
		change((unsigned)(rand() % (n % 2 ? 200 : BT_TLB_SIZE)), rand() % 4 != 0);
	same();
}

static void cleared(void **state)
{
	(void)state;
	bt_set_clear(&set);
	memset(has, 0, sizeof(has));
	same();
	change(64 * 64, true); /* a word of another word's bits */
	same();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),
		cmocka_unit_test(cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
