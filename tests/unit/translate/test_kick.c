/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kick ends every loop. Blocks in random places jump to one another in several ways; where each
 * goes is told by a byte that nobody changes while they run, so that they end in a loop without a
 * way out. If it does not look at requests, neither does this test end.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/translate/machine.h"
#include "vmm/engine/engine.h"

#define PT      0x13000 /* page table, by machine.c */
#define PTE_G   0x100
#define CR4_PGE 0x80
#define CODE    0x20000
#define BLOCK   128 /* bytes of room */
#define NBLOCKS 128
#define WAYS    TM_DATA /* a byte a block: which way it goes */
#define COUNTER (TM_DATA + 0x800)
#define TARGETS (TM_DATA + 0x1000) /* of indirect jumps */
#define TURNS   5000 /* blocks to run before a kick: they are translated and linked by then */
#define LOOPS   100
#define CHANGES 8 /* blocks that jump elsewhere from one loop to the next */

struct code {
	uint8_t *ram, *p;
};

static void put(struct code *c, const char *bytes, unsigned len, uint32_t imm)
{
	memcpy(c->p, bytes, len);
	memcpy(c->p + len, &imm, 4);
	c->p += len + 4;
}

static void put_jump(struct code *c, const char *bytes, unsigned len, unsigned block)
{
	uint32_t behind = (uint32_t)(c->p - c->ram) + len + 4;

	put(c, bytes, len, CODE + BLOCK * block - behind);
}

static void put_last_jump(struct code *c, unsigned i)
{
	unsigned to = (unsigned)rand() % NBLOCKS;
	uint64_t address = CODE + BLOCK * to;

	switch (rand() % 3) {
	case 0:
		put_jump(c, "\xe8", 1, to); /* CALL */
		break;
	case 1:
		put_jump(c, "\xe9", 1, to); /* JMP */
		break;
	default:
		memcpy(c->ram + TARGETS + 8 * i, &address, 8);
		put(c, "\xff\x24\x25", 3, TARGETS + 8 * i); /* JMP through memory */
		break;
	}
}

/* RSP may be 0, which looks like a request at first. */
static void put_block(struct code *c, unsigned i)
{
	c->p = c->ram + CODE + BLOCK * i;
	put(c, "\x48\xff\x04\x25", 4, COUNTER);  /* INC */
	put(c, "\xbc", 1, i % 8 ? TM_STACK : 0); /* MOV ESP */
	put(c, "\xf6\x04\x25", 3, WAYS + i);     /* TEST */
	*c->p++ = 1;
	put_jump(c, "\x0f\x85", 2, (unsigned)rand() % NBLOCKS); /* JNZ */
	put(c, "\xbc", 1, TM_STACK);
	put_last_jump(c, i);
}

/* If pages are global jumps to others are linked, too. */
static struct test_machine *new_machine(bool global)
{
	struct test_machine *m = tm_new("tier=translate");
	struct code c = {.ram = tm_ram(m)};

	srand(1);
	tm_reset(m, 1, NULL, 0);
	for (unsigned i = 0; global && i < 512; i++)
		c.ram[PT + 8 * i + 1] |= PTE_G >> 8;
	tm_start(m)->cr4 |= CR4_PGE;
	for (unsigned i = 0; i < NBLOCKS; i++)
		put_block(&c, i);
	memset(c.ram + COUNTER, 0, 8);
	tm_load(m);
	return m;
}

static uint64_t turns(struct test_machine *m)
{
	return __atomic_load_n((uint64_t *)(tm_ram(m) + COUNTER), __ATOMIC_RELAXED);
}

static void *kick_later(void *arg)
{
	struct test_machine *m = arg;
	uint64_t start = turns(m);

	while (turns(m) - start < TURNS)
		usleep(50);
	engine_bt.vcpu_kick(tm_vcpu(m));
	return NULL;
}

static void run_until_kicked(struct test_machine *m)
{
	enum run_result result;
	pthread_t kicker;
	struct err e;

	assert_int_equal(pthread_create(&kicker, NULL, kick_later, m), 0);
	result = engine_bt.vcpu_run(tm_vcpu(m), &e);
	pthread_join(kicker, NULL);
	assert_int_equal(result, RUN_KICKED);
}

/* So that what was linked is undone, and levels are what they were for other links. */
static void change(struct test_machine *m)
{
	struct code c = {.ram = tm_ram(m)};

	for (unsigned i = 0; i < CHANGES; i++) {
		unsigned block = (unsigned)rand() % NBLOCKS;

		put_block(&c, block);
		tm_written(m, CODE + BLOCK * block, BLOCK);
	}
}

static void run_loops(bool global)
{
	struct test_machine *m = new_machine(global);

	for (unsigned i = 0; i < LOOPS; i++) {
		for (unsigned k = 0; k < NBLOCKS; k++)
			tm_ram(m)[WAYS + k] = rand() & 1;
		tm_start(m)->rip = CODE + BLOCK * ((unsigned)rand() % NBLOCKS);
		tm_again(m);
		run_until_kicked(m);
		change(m);
	}
	tm_free(m);
}

static void test_loops(void **state)
{
	(void)state;
	run_loops(false);
}

static void test_linked_loops(void **state)
{
	(void)state;
	run_loops(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_loops),
					   cmocka_unit_test(test_linked_loops)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
