/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutates page tables under running code: the same random guest (pages_guest.S) under the
 * interpreter and the translator must see the same faults, with the same registers, and leave the
 * same memory, accessed and dirty bits included. It also tries addresses of this process, of memory
 * that is not there, and any others.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/oracle/pages.h"
#include "tests/unit/translate/machine.h"

#define STEPS 4000

extern const uint8_t pages_guest[], pages_guest_end[];

/* The guest has this address, and must not get there. */
#define CANARY 0x5a
static uint8_t canary[4096] __attribute__((aligned(4096)));

static void put64(uint8_t *ram, unsigned at, uint64_t val)
{
	memcpy(ram + at, &val, sizeof(val));
}

/* Both spaces map the window to the frames; the rest is the machine's identity map. */
static void build_spaces(uint8_t *ram)
{
	memcpy(ram + PAGES_PML4_2, ram + PAGES_PML4, 4096);
	put64(ram, PAGES_PML4 + 8, PAGES_PDPT | 0x27);
	put64(ram, PAGES_PML4_2 + 8, PAGES_PDPT2 | 0x27);
	put64(ram, PAGES_PDPT, PAGES_PD | 0x27);
	put64(ram, PAGES_PDPT2, PAGES_PD2 | 0x27);
	put64(ram, PAGES_PD, PAGES_PT | 0x27);
	put64(ram, PAGES_PD2, PAGES_PT2 | 0x27);
	for (unsigned i = 0; i < 64; i++) {
		put64(ram, PAGES_PT + 8 * i, (PAGES_FRAMES + i % PAGES_NFRAMES * 4096) | 7);
		put64(ram, PAGES_PT2 + 8 * i, (PAGES_FRAMES + i * 7 % PAGES_NFRAMES * 4096) | 7);
	}
	put64(ram, PAGES_DIRECTORY, PAGES_PD);
	put64(ram, PAGES_TABLE, PAGES_PT);
	put64(ram, PAGES_HOST, (uintptr_t)canary);
	/* Whether code looks at the next instruction's page early is nobody's business here. */
	for (unsigned i = 0; i < 512; i++)
		put64(ram, PT_AT + 8 * i, i * 4096ull | 0x67);
}

static void build_frames(uint8_t *ram)
{
	static const uint8_t add_rbx[] = {0x48, 0x81, 0xc3}, ret = 0xc3;

	for (unsigned i = 0; i < PAGES_NFRAMES; i++) {
		uint8_t *frame = ram + PAGES_FRAMES + i * 4096;
		uint32_t imm = i * 0x01010101u;

		memcpy(frame + PAGES_INSIDE, add_rbx, 3);
		memcpy(frame + PAGES_INSIDE + 3, &imm, 4);
		frame[PAGES_INSIDE + 7] = ret;
		memcpy(frame + PAGES_ACROSS, add_rbx, 3);
		memcpy(frame, &imm, 4);
		frame[4] = ret;
	}
}

static void prepare(struct test_machine *m, uint32_t seed, unsigned steps)
{
	uint8_t *ram;
	struct x86_cpu_state *s;

	tm_reset(m, seed, pages_guest, (unsigned)(pages_guest_end - pages_guest));
	ram = tm_ram(m);
	build_spaces(ram);
	build_frames(ram);
	ram[PAGES_GLOBAL + 1] = seed & 1; /* 100h */
	s = tm_start(m);
	s->gpr[X86_R12] = seed * 0x9e3779b97f4a7c15ull | 1;
	s->gpr[X86_R13] = steps;
	tm_load(m);
}

static bool same(const struct test_machine *a, const struct test_machine *b, uint32_t seed)
{
	static struct x86_cpu_state sa, sb;
	unsigned len;
	const uint8_t *ma = tm_memory(a, &len), *mb = tm_memory(b, &len);

	tm_state(a, &sa);
	tm_state(b, &sb);
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (i != X86_RAX && sa.gpr[i] != sb.gpr[i]) {
			printf("seed %u: register %u is %#llx, not %#llx\n", seed, i,
			       (unsigned long long)sb.gpr[i], (unsigned long long)sa.gpr[i]);
			return false;
		}
	for (unsigned i = 0; i < len; i++)
		if (ma[i] != mb[i]) {
			printf("seed %u: byte %#x is %#x, not %#x\n", seed, i, mb[i], ma[i]);
			return false;
		}
	return true;
}

static bool canary_lives(void)
{
	for (unsigned i = 0; i < sizeof(canary); i++)
		if (canary[i] != CANARY) {
			printf("the guest has changed the test's own memory\n");
			return false;
		}
	return true;
}

struct options {
	uint32_t seed;
	unsigned runs, steps;
};

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {{"seed", required_argument, NULL, 's'},
					      {"runs", required_argument, NULL, 'r'},
					      {"steps", required_argument, NULL, 't'},
					      {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		unsigned long val = optarg ? strtoul(optarg, NULL, 0) : 0;

		if (c == 's')
			o->seed = (uint32_t)val;
		else if (c == 'r')
			o->runs = (unsigned)val;
		else if (c == 't')
			o->steps = (unsigned)val;
		else
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .runs = 40, .steps = STEPS};
	struct test_machine *interp, *translate;
	unsigned long faults = 0;
	bool good = true;

	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "usage: pages [--seed N] [--runs N] [--steps N]\n");
		return 2;
	}
	memset(canary, CANARY, sizeof(canary));
	interp = tm_new("tier=interp");
	translate = tm_new("tier=translate");
	for (unsigned i = 0; i < o.runs && good; i++) {
		uint32_t count;

		prepare(interp, o.seed + i, o.steps);
		prepare(translate, o.seed + i, o.steps);
		good = tm_run(interp) && tm_run(translate) && same(interp, translate, o.seed + i) &&
		       canary_lives();
		memcpy(&count, tm_ram(translate) + PAGES_FAULTS, sizeof(count));
		faults += count;
	}
	tm_free(interp);
	tm_free(translate);
	printf("seeds %u to %u: %s, %lu page faults\n", o.seed, o.seed + o.runs - 1,
	       good ? "the same" : "DIFFERENT", faults);
	return good && faults ? 0 : 1;
}
