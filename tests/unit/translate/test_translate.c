/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same guest code under the interpreter and the translator: registers, flags, vectors and all
 * of memory must agree at the end. Each is run several times, so that cold, fresh and linked code
 * all count.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/translate/machine.h"
#include "vmm/engine/engine.h"

/* clang-format off */
#define SNIPPETS(S) \
	S(loop) S(memory) S(crossing) S(crossing_apart) S(crossing_beside) S(crossing_loads) S(stack) S(stack_crossing) S(flags) S(context_regs) \
	S(held) S(selectors) S(bits) S(fibonacci) S(indirect) S(self_modifying) S(self_modifying_other) S(changing) S(data_beside) S(code_beside) S(places) S(vector) S(aliases) \
	S(strings) S(string_forms) S(string_compares) S(masked_moves) S(gathers) S(windows) S(based_windows) S(based_beside_code) S(based_held) S(far_arrays) S(not_written) \
	S(same_values) S(multiplied_base) S(indirect_flags) S(loops) S(fault) S(fault_divide) \
	S(fault_aligned) S(followed) S(page_zero) S(fault_around) S(fault_top) S(fault_top_live) \
	S(stack_runs) S(pages) S(fault_in_turn) S(fault_in_third_turn) S(turns)
/* clang-format on */

#define S(name) extern const uint8_t snip_##name[], snip_##name##_end[];
SNIPPETS(S)
#undef S
extern const uint8_t snip_exact_store[], snip_exact_store_end[];
extern const uint8_t snip_exact_window[], snip_exact_window_end[];

/* With "flags=exact": what faults between flags and their end. */
#define EXACT(S) S(exact_store) S(exact_window) S(fault) S(fault_aligned)

static struct test_machine *interp, *translate, *lockstep, *exact;

/* cmocka takes these signals for itself before each test; the engine needs them. */
static const int engine_signals[] = {SIGFPE, SIGILL, SIGSEGV};
static struct sigaction engine_action[3];

static void signals_save(void)
{
	for (unsigned i = 0; i < 3; i++)
		sigaction(engine_signals[i], NULL, &engine_action[i]);
}

static void signals_restore(void)
{
	for (unsigned i = 0; i < 3; i++)
		sigaction(engine_signals[i], &engine_action[i], NULL);
}

static void compare(struct test_machine *tested, const char *name, unsigned run)
{
	struct x86_cpu_state *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	unsigned len;
	const uint8_t *ma = tm_memory(interp, &len), *mb = tm_memory(tested, &len);

	tm_state(interp, a);
	tm_state(tested, b);
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (a->gpr[i] != b->gpr[i])
			fail_msg("%s, run %u: register %u is %llx, not %llx", name, run, i,
				 (unsigned long long)b->gpr[i], (unsigned long long)a->gpr[i]);
	if (a->rip != b->rip)
		fail_msg("%s, run %u: RIP is %llx, not %llx", name, run, (unsigned long long)b->rip,
			 (unsigned long long)a->rip);
	if ((a->rflags ^ b->rflags) & ~0x10ull)
		fail_msg("%s, run %u: RFLAGS is %llx, not %llx", name, run,
			 (unsigned long long)b->rflags, (unsigned long long)a->rflags);
	assert_memory_equal(a->xsave + 160, b->xsave + 160, 256);
	for (unsigned i = 0; i < len; i++)
		if (ma[i] != mb[i])
			fail_msg("%s, run %u: byte %x is %x, not %x", name, run, i, mb[i], ma[i]);
	free(a);
	free(b);
}

static void run_both(const char *name, const uint8_t *code, const uint8_t *end)
{
	signals_restore();
	for (unsigned run = 0; run < 4; run++) {
		unsigned len = (unsigned)(end - code);

		tm_reset(interp, run + 1, code, len);
		tm_reset(translate, run + 1, code, len);
		assert_true(tm_run(interp));
		assert_true(tm_run(translate));
		tm_reset(lockstep, run + 1, code, len);
		assert_true(tm_run(lockstep)); /* or else it has said what differs */
		compare(translate, name, run);
	}
}

static void run_exact(struct test_machine *m, const char *name, const uint8_t *code,
		      const uint8_t *end)
{
	for (unsigned run = 0; run < 6; run++) { /* cold at first */
		tm_reset(interp, run + 1, code, (unsigned)(end - code));
		tm_reset(m, run + 1, code, (unsigned)(end - code));
		assert_true(tm_run(interp));
		assert_true(tm_run(m));
		compare(m, name, run);
	}
}

/* Asked for, and because there is a breakpoint somewhere. */
static void run_exact_ways(const char *name, const uint8_t *code, const uint8_t *end)
{
	const struct engine_point far = {.addr = 0x1000, .kind = POINT_CODE};
	const struct engine_debug d = {.point = &far, .npoints = 1};
	struct err e;

	signals_restore();
	run_exact(exact, name, code, end);
	run_exact(translate, name, code, end);
	assert_int_equal(engine_bt.vcpu_debug(tm_vcpu(translate), &d, &e), 0);
	run_exact(translate, name, code, end);
	assert_int_equal(engine_bt.vcpu_debug(tm_vcpu(translate), NULL, &e), 0);
}

#define S(name)                                                        \
	static void test_flags_##name(void **state)                    \
	{                                                              \
		(void)state;                                           \
		run_exact_ways(#name, snip_##name, snip_##name##_end); \
	}
EXACT(S)
#undef S

#define S(name)                                                  \
	static void test_##name(void **state)                    \
	{                                                        \
		(void)state;                                     \
		run_both(#name, snip_##name, snip_##name##_end); \
	}
SNIPPETS(S)
#undef S

static void take_interpreted(void *opaque, const char *name, uint64_t value)
{
	if (!strcmp(name, "interpreted"))
		*(uint64_t *)opaque = value;
}

/* What is translated is not interpreted again and again. */
static void check_stays(const char *name, const uint8_t *code, const uint8_t *end)
{
	uint64_t cold, n;

	run_both(name, code, end);
	engine_bt.stats(tm_vm(translate), take_interpreted, &cold);
	for (unsigned i = 0; i < 10; i++)
		run_both(name, code, end);
	engine_bt.stats(tm_vm(translate), take_interpreted, &n);
	assert_true(n - cold < 8000); /* 40 runs, thousands of instructions each */
}

static void test_stays_translated(void **state)
{
	(void)state;
	check_stays("far_arrays", snip_far_arrays, snip_far_arrays_end);
	check_stays("not_written", snip_not_written, snip_not_written_end);
	check_stays("selectors", snip_selectors, snip_selectors_end);
	check_stays("data_beside", snip_data_beside, snip_data_beside_end);
}

int main(void)
{
	int rc;
#define S(name) cmocka_unit_test(test_##name),
#define F(name) cmocka_unit_test(test_flags_##name),
	const struct CMUnitTest tests[] = {SNIPPETS(S) EXACT(F)
						   cmocka_unit_test(test_stays_translated)};
#undef F
#undef S

	interp = tm_new("tier=interp");
	translate = tm_new("tier=translate");
	lockstep = tm_new("tier=lockstep");
	exact = tm_new("tier=translate,flags=exact");
	tm_reset(interp, 0, snip_loop, (unsigned)(snip_loop_end - snip_loop));
	tm_run(interp); /* installs the engine's signal handlers */
	signals_save();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	tm_free(interp);
	tm_free(translate);
	tm_free(lockstep);
	tm_free(exact);
	return rc;
}
