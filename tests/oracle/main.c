/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the engine with the host CPU on random instructions, and on the rows of earlier
 * failures. */
#include "tests/oracle/oracle.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "x86/ops.h"

#define MAX_REPORTED_PER_OP 1
#define MAX_OPS             4096
#define WHY_SIZE            200

struct options {
	uint64_t count, seed;
	double seconds; /* 0: no limit */
	enum oracle_set set;
	unsigned mode; /* enum x86_mode, or MODE_ANY */
	const char *engine, *rows;
};

struct run {
	struct native *native;
	struct engine_side *engine;
	uint64_t cases, faults, lost, failures;
	uint32_t seen[MAX_OPS], failed[MAX_OPS];
};

static unsigned op_of(const struct oracle_case *c)
{
	struct x86_insn in;

	return x86_decode(c->code, c->len, c->mode, &in) > 0 ? in.op % MAX_OPS : 0;
}

static bool fails(struct run *run, const struct oracle_case *c, char *why)
{
	struct outcome *engine = calloc(1, sizeof(*engine));
	bool ok;

	native_cases(run->native)[0] = *c;
	native_post(run->native, 1);
	engine_execute(run->engine, c, engine);
	native_wait(run->native);
	ok = outcome_equal(c, &native_outcomes(run->native)[0], engine, engine_may(run->engine),
			   why, WHY_SIZE);
	free(engine);
	return !ok;
}

/* ---- shrinking: every part that is not needed for the failure gets its usual value ---------- */

static void try_change(struct run *run, struct oracle_case *c, void *field, const void *usual,
		       size_t size)
{
	char why[WHY_SIZE];
	uint8_t old[64];

	if (!memcmp(field, usual, size))
		return;
	memcpy(old, field, size);
	memcpy(field, usual, size);
	if (!fails(run, c, why))
		memcpy(field, old, size);
}

static void shrink_patch(struct run *run, struct oracle_case *c)
{
	static const uint8_t zero[16];
	struct oracle_case shorter = *c;
	char why[WHY_SIZE];

	shorter.patch_len = 0;
	if (fails(run, &shorter, why)) {
		*c = shorter;
		return;
	}
	for (unsigned i = 0; i < c->patch_len; i += 16)
		try_change(run, c, c->patch + i, zero,
			   c->patch_len - i < 16 ? c->patch_len - i : 16);
}

/* Takes an instruction out; jumps over it still lead to where they did. */
static void remove_insn(struct oracle_case *c, unsigned from, unsigned len)
{
	struct x86_insn in;

	for (unsigned at = 0; case_next(c, &at, &in);) {
		unsigned to = at + (unsigned)in.imm;
		uint32_t rel = (uint32_t)in.imm + (at > from ? len : 0) - (to > from ? len : 0);

		if (in.opnd[0].kind == X86_OPK_REL)
			memcpy(c->code + at - in.len + in.imm_off, &rel, in.imm_len);
	}
	memmove(c->code + from, c->code + from + len, c->len - from - len);
	c->len -= len;
}

/* Leaves out what is not needed of several instructions. */
static void shrink_code(struct run *run, struct oracle_case *c)
{
	unsigned from = 0, at = 0;
	struct x86_insn in;

	for (char why[WHY_SIZE]; case_next(c, &at, &in); from = at) {
		struct oracle_case shorter = *c;

		remove_insn(&shorter, from, in.len);
		if (!shorter.len || !fails(run, &shorter, why))
			continue;
		*c = shorter;
		at = from;
	}
}

static void shrink(struct run *run, struct oracle_case *c)
{
	static const uint8_t zero[64];
	static const uint64_t flags = 0x202, small = 1;
	static const uint16_t fcw = 0x37f;
	static const uint32_t mxcsr = 0x1f80;

	shrink_code(run, c);
	shrink_patch(run, c);
	try_change(run, c, c->fp + FP_FCW, &fcw, 2);
	try_change(run, c, c->fp + FP_FSW, zero, 2);
	try_change(run, c, c->fp + FP_FTW, zero, 1);
	try_change(run, c, c->fp + FP_MXCSR, &mxcsr, 4);
	for (unsigned i = 0; i < 8; i++)
		try_change(run, c, c->fp + FP_ST + 16 * i, zero, 16);
	for (unsigned i = 0; i < 16; i++) {
		try_change(run, c, c->fp + FP_XMM + 16 * i, zero, 16);
		try_change(run, c, c->fp + FP_YMM + 16 * i, zero, 16);
		try_change(run, c, c->fp + FP_ZMM + 32 * i, zero, 32);
		try_change(run, c, c->fp + FP_ZMM16 + 64 * i, zero, 64);
	}
	for (unsigned i = 0; i < 8; i++)
		try_change(run, c, c->fp + FP_K + 8 * i, zero, 8);
	for (unsigned i = 0; i < X86_NGPR; i++) {
		try_change(run, c, &c->gpr[i], zero, 8);
		if (c->gpr[i])
			try_change(run, c, &c->gpr[i], &small, 8);
	}
	try_change(run, c, &c->rflags, &flags, 8);
	try_change(run, c, &c->fs_base, zero, 8);
	try_change(run, c, &c->gs_base, zero, 8);
}

/* ---- running -------------------------------------------------------------------------------- */

/* Of a difference that does not come again: the side that has another outcome now. */
static const char *changed_side(struct run *run, const struct oracle_case *c,
				const struct outcome *host)
{
	char why[WHY_SIZE];

	fails(run, c, why);
	return outcome_equal(c, host, &native_outcomes(run->native)[0], false, why, sizeof(why))
		       ? "engine"
		       : "host";
}

/* `first`: what differed when it was seen; what does not differ again depends on what ran before,
 * or on a signal or a switch between threads. `host`: the host's outcome then. */
static void report(struct run *run, const struct oracle_case *c, unsigned op, const char *first,
		   const struct outcome *host)
{
	struct oracle_case small = *c;
	char why[WHY_SIZE];

	run->failures++;
	if (run->failed[op]++ >= MAX_REPORTED_PER_OP)
		return;
	shrink(run, &small);
	if (!fails(run, &small, why))
		snprintf(why, sizeof(why), "once, by the %s, %s", changed_side(run, c, host),
			 first);
	printf("FAIL %s: %s\n  ", x86_op_name(op), why);
	row_print(&small);
	fflush(stdout);
}

static void run_batch(struct run *run, struct rng *rng, const struct options *o, unsigned count)
{
	static struct oracle_case cases[BATCH];
	static struct outcome engine[BATCH];
	static bool bad[BATCH];
	static char why[BATCH][WHY_SIZE];
	static struct outcome native[BATCH];

	for (unsigned i = 0; i < count; i++)
		case_generate(rng, o->set, o->mode, &cases[i]);
	memcpy(native_cases(run->native), cases, count * sizeof(cases[0]));
	native_post(run->native, count);
	for (unsigned i = 0; i < count; i++)
		engine_execute(run->engine, &cases[i], &engine[i]);
	native_wait(run->native);
	memcpy(native, native_outcomes(run->native), count * sizeof(native[0]));
	for (unsigned i = 0; i < count; i++) {
		run->seen[op_of(&cases[i])]++;
		run->lost += native[i].lost;
		run->faults += native[i].vector != NO_FAULT;
		bad[i] = !outcome_equal(&cases[i], &native[i], &engine[i], engine_may(run->engine),
					why[i], sizeof(why[i]));
	}
	run->cases += count;
	for (unsigned i = 0; i < count; i++)
		if (bad[i])
			report(run, &cases[i], op_of(&cases[i]), why[i], &native[i]);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void run_random(struct run *run, const struct options *o)
{
	struct rng rng = {o->seed};
	double start = now(), took;
	unsigned ops = 0;

	for (uint64_t left = o->count; left;) {
		unsigned n = left < BATCH ? left : BATCH;

		run_batch(run, &rng, o, n);
		left -= n;
		if (o->seconds && now() - start > o->seconds)
			break;
	}
	took = now() - start;
	for (unsigned i = 0; i < MAX_OPS; i++)
		ops += run->seen[i] != 0;
	printf("seed %#llx: %llu cases of %u mnemonics in %.1f s (%.0f/s), %llu faulted, "
	       "%llu without outcome, %llu differ\n",
	       (unsigned long long)o->seed, (unsigned long long)run->cases, ops, took,
	       (double)run->cases / took, (unsigned long long)run->faults,
	       (unsigned long long)run->lost, (unsigned long long)run->failures);
	for (unsigned i = 0; i < MAX_OPS; i++)
		if (run->failed[i])
			printf("  %s: %u of %u\n", x86_op_name(i), run->failed[i], run->seen[i]);
}

/* Lines that begin with # say what a row once showed. */
static bool run_rows(struct run *run, const char *path)
{
	char *line = NULL, why[WHY_SIZE];
	FILE *f = fopen(path, "r");
	struct oracle_case c;
	unsigned n = 0, rows = 0;
	size_t size = 0;

	if (!f) {
		fprintf(stderr, "oracle: cannot open %s\n", path);
		return false;
	}
	while (getline(&line, &size, f) > 0) {
		n++;
		if (line[0] == '#' || line[0] == '\n')
			continue;
		rows++;
		if (!row_parse(line, &c)) {
			fprintf(stderr, "oracle: %s:%u: not a row\n", path, n);
			run->failures++;
		} else if (fails(run, &c, why)) {
			printf("FAIL %s:%u %s: %s\n", path, n, x86_op_name(op_of(&c)), why);
			run->failures++;
		}
	}
	printf("%s: %u rows\n", path, rows);
	free(line);
	fclose(f);
	return true;
}

static enum oracle_set parse_set(const char *name)
{
	static const char *const names[] = {"all", "int", "vector", "sequence", "program"};

	for (unsigned i = 0; i < 5; i++)
		if (!strcmp(name, names[i]))
			return i;
	fprintf(stderr, "oracle: no set %s\n", name);
	exit(2);
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"count", required_argument, NULL, 'n'},   {"seed", required_argument, NULL, 's'},
		{"seconds", required_argument, NULL, 't'}, {"set", required_argument, NULL, 'S'},
		{"mode", required_argument, NULL, 'm'},    {"engine", required_argument, NULL, 'e'},
		{"rows", required_argument, NULL, 'r'},    {0},
	};

	for (int opt; (opt = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (opt) {
		case 'n':
			o->count = strtoull(optarg, NULL, 0);
			break;
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'S':
			o->set = parse_set(optarg);
			break;
		case 'm':
			o->mode = !strcmp(optarg, "16")   ? X86_MODE_16
				  : !strcmp(optarg, "32") ? X86_MODE_32
							  : X86_MODE_64;
			break;
		case 'e':
			o->engine = optarg;
			break;
		case 'r':
			o->rows = optarg;
			break;
		default:
			return false;
		}
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = {.count = 100000, .mode = MODE_ANY, .seed = 1, .engine = "tier=interp"};
	static struct run run;

	if (!parse_options(argc, argv, &o)) {
		fprintf(stderr, "usage: oracle [--count N] [--seconds S] [--seed N] [--set "
				"all|int|vector|sequence|program] [--mode 16|32|64]"
				" [--engine OPTIONS] [--rows FILE]\n");
		return 2;
	}
	run.engine = engine_start(o.engine);
	if (!run.engine)
		return 1;
	run.native = native_start();
	if (!run.native)
		return 1;
	if (o.rows && !run_rows(&run, o.rows))
		run.failures++;
	if (o.count)
		run_random(&run, &o);
	native_stop(run.native);
	engine_stop(run.engine);
	return run.failures ? 1 : 0;
}
