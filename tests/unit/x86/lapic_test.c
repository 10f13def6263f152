/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register scripts for the local APIC. Each runs twice: straight through, and saved and loaded into
 * a fresh APIC in the engine-neutral form before every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "x86/lapic.h"

enum step_op {
	WR,      /* register `at` = val */
	RD,      /* register `at`, expect val */
	MSR_WR,  /* MSR `at` = val */
	MSR_RD,  /* MSR `at`, expect val */
	MSR_GP,  /* writing val to MSR `at` must fault */
	POST,    /* vector `at` arrives, level-triggered if val */
	PENDING, /* expect vector val, NONE if none */
	ACCEPT,  /* the processor takes vector val */
	SENT,    /* expect ICR val sent to destination `at` since the last look; NONE: nothing */
	EOI_OUT, /* expect a broadcast of vector val; NONE: none */
	ADV,     /* val nanoseconds pass */
	MATCH,   /* does physical destination `at` concern it? */
	LOGICAL, /* does logical destination `at` concern it? */
	EXTINT,  /* is LINT0 open for the PIC? */
	ARMED,   /* expect the timer armed for time or TSC val */
};

#define NONE 0xffffffffull

struct step {
	enum step_op op;
	uint32_t at;
	uint64_t val;
};

struct script {
	const char *name;
	const struct step *steps;
	size_t n;
};

struct bench {
	struct lapic a;
	uint64_t now, armed, sent, dest, eoi;
};

static void bench_send(void *opaque, uint32_t icr_low, uint32_t dest, bool x2apic)
{
	struct bench *b = opaque;

	(void)x2apic;
	b->sent = icr_low;
	b->dest = dest;
}

static void bench_eoi(void *opaque, uint8_t vector)
{
	((struct bench *)opaque)->eoi = vector;
}

static void bench_arm(void *opaque, uint64_t at, bool is_tsc)
{
	(void)is_tsc;
	((struct bench *)opaque)->armed = at;
}

static uint64_t bench_now(void *opaque)
{
	return ((struct bench *)opaque)->now;
}

static const struct lapic_ops bench_ops = {bench_send, bench_eoi, bench_arm, bench_now};

static void bench_reload(struct bench *b)
{
	uint64_t base = b->a.hw.base, deadline = b->a.hw.tsc_deadline;
	uint32_t regs[LAPIC_NREGS], errors;

	lapic_save(&b->a, regs);
	errors = b->a.hw.esr_pending;
	lapic_init(&b->a, 3, true, &bench_ops, b);
	lapic_load(&b->a, regs, base, deadline);
	/* Errors that nobody has asked for yet have no register to be saved in. */
	b->a.hw.esr_pending = errors;
}

static void bench_advance(struct bench *b, uint64_t ns)
{
	uint64_t until = b->now + ns;

	while (b->armed && b->armed <= until) {
		b->now = b->armed > b->now ? b->armed : b->now;
		b->armed = 0;
		lapic_timer_fired(&b->a);
	}
	b->now = until;
}

static uint64_t take(uint64_t *what)
{
	uint64_t val = *what;

	*what = NONE;
	return val;
}

/* Does the step; gives what is to be compared with `val`. */
static uint64_t step_do(struct bench *b, const struct step *s)
{
	uint64_t val = NONE;
	int vector;

	switch (s->op) {
	case WR:
		lapic_write(&b->a, s->at, (uint32_t)s->val);
		return s->val;
	case RD:
		return lapic_read(&b->a, s->at);
	case MSR_WR:
		return lapic_msr_write(&b->a, s->at, s->val) ? s->val : ~s->val;
	case MSR_RD:
		return lapic_msr_read(&b->a, s->at, &val) ? val : NONE;
	case MSR_GP:
		return lapic_msr_write(&b->a, s->at, s->val) ? ~s->val : s->val;
	case POST:
		lapic_post(&b->a, (uint8_t)s->at, s->val);
		return s->val;
	case PENDING:
		vector = lapic_pending(&b->a);
		return vector < 0 ? NONE : (uint64_t)vector;
	case ACCEPT:
		lapic_accept(&b->a, (uint8_t)s->val);
		return s->val;
	case SENT:
		return s->val == NONE || b->dest == s->at ? take(&b->sent) : NONE - 1;
	case EOI_OUT:
		return take(&b->eoi);
	case ADV:
		bench_advance(b, s->val);
		return s->val;
	case MATCH:
		return lapic_match(&b->a, s->at, false, s->at > 0xff);
	case LOGICAL:
		return lapic_match(&b->a, s->at, true, s->at > 0xff);
	case EXTINT:
		return lapic_accepts_extint(&b->a);
	case ARMED:
		return b->armed;
	}
	return NONE;
}

static bool script_run(const struct script *s, bool reload)
{
	struct bench b = {.sent = NONE, .eoi = NONE};

	lapic_init(&b.a, 3, true, &bench_ops, &b);
	for (size_t i = 0; i < s->n; i++) {
		uint64_t got;

		if (reload)
			bench_reload(&b);
		got = step_do(&b, &s->steps[i]);
		if (got == s->steps[i].val)
			continue;
		fprintf(stderr, "%s%s: step %zu: got %#llx, expected %#llx\n", s->name,
			reload ? " (reloaded)" : "", i, (unsigned long long)got,
			(unsigned long long)s->steps[i].val);
		return false;
	}
	return true;
}

/* clang-format off: a row is a sentence */

#define ENABLE                  \
	{                       \
		WR, 0xf0, 0x1ff \
	}

static const struct step reset_values[] = {
	{RD, 0x20, 0x03000000}, {RD, 0x30, 0x00050014}, {RD, 0x80, 0},
	{RD, 0xe0, 0xffffffff}, {RD, 0xf0, 0xff},       {RD, 0x320, 0x10000},
	{RD, 0x350, 0x700},     {RD, 0x360, 0x10000},   {MSR_RD, 0x1b, 0xfee00900},
	{EXTINT, 0, 1},
};
static const struct step disabled[] = {
	{WR, 0x320, 0x40},    {RD, 0x320, 0x10040}, /* masks can't be opened */
	{POST, 0x50, 0},      {PENDING, 0, NONE},   ENABLE,
	{PENDING, 0, NONE}, /* it is lost */
	{WR, 0x320, 0x40},    {RD, 0x320, 0x40},    {WR, 0xf0, 0xff},
	{RD, 0x320, 0x10040}, {EXTINT, 0, 0},
};
static const struct step priority[] = {
	ENABLE,
	{POST, 0x51, 0},
	{POST, 0x81, 0},
	{PENDING, 0, 0x81},
	{RD, 0x240, 0x2},
	{RD, 0x220, 0x20000},
	{ACCEPT, 0, 0x81},
	{RD, 0xa0, 0x80},
	{PENDING, 0, NONE},
	{POST, 0x8f, 0},
	{PENDING, 0, NONE},
	{POST, 0x90, 0},
	{PENDING, 0, 0x90},
	{ACCEPT, 0, 0x90},
	{WR, 0xb0, 0},
	{RD, 0xa0, 0x80},
	{WR, 0xb0, 0},
	{PENDING, 0, 0x8f},
	{WR, 0x80, 0x8f},
	{PENDING, 0, NONE},
	{RD, 0xa0, 0x8f},
	{WR, 0x80, 0x7f},
	{PENDING, 0, 0x8f},
	{EOI_OUT, 0, NONE},
};
static const struct step level[] = {
	ENABLE,
	{POST, 0x60, 1},
	{PENDING, 0, 0x60},
	{RD, 0x1b0, 1},
	{ACCEPT, 0, 0x60},
	{WR, 0xb0, 0},
	{EOI_OUT, 0, 0x60},
	{POST, 0x60, 0},
	{PENDING, 0, 0x60},
	{RD, 0x1b0, 0},
	{ACCEPT, 0, 0x60},
	{WR, 0xb0, 0},
	{EOI_OUT, 0, NONE},
	{WR, 0xb0, 0},
	{EOI_OUT, 0, NONE},
};
static const struct step ipi[] = {
	ENABLE,
	{WR, 0x310, 0x05000000},
	{WR, 0x300, 0x4500},
	{SENT, 5, 0x4500},
	{RD, 0x300, 0x4500},
	{WR, 0x300, 0x41040},
	{SENT, 5, 0x40040}, /* delivery status is read-only */
	{WR, 0x300, 0x05},
	{SENT, 0, NONE},
	{WR, 0x280, 0},
	{RD, 0x280, 0x20},
	{WR, 0x280, 0},
	{RD, 0x280, 0},
};
static const struct step errors[] = {
	ENABLE,
	{WR, 0x370, 0xfe},
	{WR, 0x40, 1},
	{PENDING, 0, 0xfe},
	{WR, 0x280, 0},
	{RD, 0x280, 0x80},
	{POST, 0x0f, 0},
	{PENDING, 0, 0xfe},
	{WR, 0x280, 0},
	{RD, 0x280, 0x40},
	{WR, 0x370, 0x05},
	{POST, 0x03, 0},
	{PENDING, 0, 0xfe}, /* an unusable error vector ends there */
};
static const struct step one_shot[] = {
	ENABLE,
	{WR, 0x3e0, 0xb},
	{WR, 0x320, 0x40},
	{WR, 0x380, 1000},
	{ADV, 0, 400},
	{RD, 0x390, 600},
	{ADV, 0, 599},
	{PENDING, 0, NONE},
	{ADV, 0, 1},
	{PENDING, 0, 0x40},
	{RD, 0x390, 0},
	{ARMED, 0, 0},
	{ACCEPT, 0, 0x40},
	{WR, 0xb0, 0},
	{ADV, 0, 10000},
	{PENDING, 0, NONE},
	{WR, 0x380, 1000},
	{WR, 0x380, 0},
	{ADV, 0, 10000},
	{PENDING, 0, NONE},
};
static const struct step divisors[] = {
	ENABLE,
	{WR, 0x320, 0x40},
	{WR, 0x3e0, 0x0},
	{WR, 0x380, 1000},
	{ADV, 0, 400},
	{RD, 0x390, 800},
	{WR, 0x3e0, 0xa},
	{ADV, 0, 12800},
	{RD, 0x390, 700}, /* goes on with 128 */
	{WR, 0x3e0, 0xff},
	{RD, 0x3e0, 0xb},
};
static const struct step periodic[] = {
	ENABLE,
	{WR, 0x3e0, 0xb},
	{WR, 0x320, 0x20041},
	{WR, 0x380, 100000},
	{ADV, 0, 100000},
	{PENDING, 0, 0x41},
	{ACCEPT, 0, 0x41},
	{WR, 0xb0, 0},
	{ADV, 0, 30000},
	{RD, 0x390, 70000},
	{ADV, 0, 70000},
	{PENDING, 0, 0x41},
	{ACCEPT, 0, 0x41},
	{WR, 0xb0, 0},
	{WR, 0x320, 0x30041},
	{ADV, 0, 500000},
	{PENDING, 0, NONE}, /* masked */
	{WR, 0x380, 1},
	{ARMED, 0, 720000}, /* one each nanosecond: 20 us apart */
};
static const struct step deadline[] = {
	ENABLE,
	{MSR_WR, 0x6e0, 5000},
	{MSR_RD, 0x6e0, 0}, /* not in that mode */
	{WR, 0x320, 0x40042},
	{MSR_WR, 0x6e0, 5000},
	{MSR_RD, 0x6e0, 5000},
	{ARMED, 0, 5000},
	{WR, 0x380, 77},
	{RD, 0x390, 0},
	{ADV, 0, 5000},
	{PENDING, 0, 0x42},
	{MSR_RD, 0x6e0, 0},
	{MSR_WR, 0x6e0, 9000},
	{WR, 0x320, 0x42},
	{ARMED, 0, 0},
	{MSR_RD, 0x6e0, 0},
};
static const struct step destinations[] = {
	ENABLE,
	{MATCH, 3, 1},
	{MATCH, 4, 0},
	{MATCH, 0xff, 1},
	{MATCH, 0xffffffff, 1},
	{WR, 0xd0, 0x24000000},
	{LOGICAL, 0x04, 1},
	{LOGICAL, 0x03, 0},
	{LOGICAL, 0xff, 1},
	{WR, 0xe0, 0x0fffffff}, /* clusters */
	{LOGICAL, 0x24, 1},
	{LOGICAL, 0x2b, 0},
	{LOGICAL, 0x14, 0},
	{LOGICAL, 0xff, 1},
};
static const struct step x2apic[] = {
	ENABLE,
	{MSR_GP, 0x80b, 0},
	{MSR_GP, 0x1b, 0xfee00d01},
	{MSR_GP, 0x1b, 0xfee00500},
	{MSR_WR, 0x1b, 0xfee00d00},
	{MSR_RD, 0x802, 3},
	{MSR_RD, 0x80d, 8},
	{MSR_RD, 0x80f, 0x1ff},
	{MSR_GP, 0x802, 1},
	{MSR_GP, 0x80b, 1},
	{MSR_GP, 0x80e, 0},
	{MSR_GP, 0x808, 0x100},
	{MSR_WR, 0x830, 0x0000000700004030},
	{SENT, 7, 0x4030},
	{MSR_RD, 0x830, 0x0000000700004030},
	{MSR_WR, 0x83f, 0x55},
	{SENT, 0, 0x40055},
	{MSR_GP, 0x83f, 0x155},
	{MSR_GP, 0x831, 0},
	{MATCH, 3, 1},
	{LOGICAL, 0x10008, 0},
	{LOGICAL, 0xffffffff, 1},
	{MSR_GP, 0x1b, 0xfee00900},
	{MSR_WR, 0x1b, 0xfee00100},
	{RD, 0xf0, 0xff},
	{EXTINT, 0, 1},
	{MSR_GP, 0x1b, 0xfee00d00},
	{MSR_WR, 0x1b, 0xfee00900},
	{RD, 0x20, 0x03000000},
};

/* clang-format on */

#define SCRIPT(s)                               \
	{                                       \
#s, s, sizeof(s) / sizeof(s[0]) \
	}

static const struct script scripts[] = {
	SCRIPT(reset_values), SCRIPT(disabled), SCRIPT(priority),     SCRIPT(level),
	SCRIPT(ipi),          SCRIPT(errors),   SCRIPT(one_shot),     SCRIPT(divisors),
	SCRIPT(periodic),     SCRIPT(deadline), SCRIPT(destinations), SCRIPT(x2apic),
};

#define NSCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

static void run_straight(void **state)
{
	assert_true(script_run(*state, false));
}

static void run_reloaded(void **state)
{
	assert_true(script_run(*state, true));
}

static void shorthands(void **state)
{
	struct bench b = {0};

	(void)state;
	lapic_init(&b.a, 3, true, &bench_ops, &b);
	assert_true(lapic_icr_match(&b.a, true, 0x40000, 0, false));
	assert_false(lapic_icr_match(&b.a, false, 0x40000, 3, false));
	assert_true(lapic_icr_match(&b.a, true, 0x80000, 0, false));
	assert_true(lapic_icr_match(&b.a, false, 0xc0000, 0, false));
	assert_false(lapic_icr_match(&b.a, true, 0xc0000, 3, false));
	assert_true(lapic_icr_match(&b.a, false, 0, 3, false));
	assert_false(lapic_icr_match(&b.a, false, 0x800, 3, false));
}

int main(void)
{
	struct CMUnitTest tests[2 * NSCRIPTS + 1];

	for (size_t i = 0; i < 2 * NSCRIPTS; i++)
		tests[i] = (struct CMUnitTest){.name = scripts[i / 2].name,
					       .test_func = i & 1 ? run_reloaded : run_straight,
					       .initial_state = (void *)&scripts[i / 2]};
	tests[2 * NSCRIPTS] = (struct CMUnitTest){.name = "shorthands", .test_func = shorthands};
	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
