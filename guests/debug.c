/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a debugger on the virtual machine: code to stop in and data to watch. The guest itself
 * checks that nothing of a debugger shows (Intel SDM 3B chapter 18: the debug registers are its
 * own).
 */
#include "guests/lib/guest.h"

#define ROUNDS 1000

static volatile uint64_t watched;
static volatile uint64_t rounds_done;
/* In a page of their own: accesses near a watched variable are no accesses to it. */
static volatile uint8_t watched_bytes[16] __attribute__((aligned(16)));

/* Where the tests set breakpoints: RDI is the round, RAX what it returns. */
__attribute__((noinline, used)) static uint64_t work(uint64_t round)
{
	uint64_t sum = round;

	for (unsigned i = 0; i < 100; i++)
		sum = sum * 3 + i;
	__asm__ volatile("" : "+r"(sum));
	return sum;
}

__attribute__((noinline, used)) static void store_watched(uint64_t val)
{
	watched = val;
}

__attribute__((noinline, used)) static uint64_t load_watched(void)
{
	return watched;
}

static uint64_t code_sum(void)
{
	const uint8_t *p = (const uint8_t *)work;
	uint64_t sum = 0;

	for (unsigned i = 0; i < 64; i++)
		sum = sum * 31 + p[i];
	return sum;
}

static bool stay_unseen(void)
{
	uint64_t before = code_sum(), dr6, dr7, flags, total = 0;
	bool ok = true;

	for (rounds_done = 0; rounds_done < ROUNDS; rounds_done++) {
		total += work(rounds_done);
		if (rounds_done % 100 == 0)
			store_watched(rounds_done);
		if (rounds_done % 100 == 50)
			total += load_watched();
		watched_bytes[rounds_done % 16] = (uint8_t)total;
	}
	__asm__ volatile("mov %%dr6, %0\n\tmov %%dr7, %1\n\tpushf\n\tpop %2"
			 : "=r"(dr6), "=r"(dr7), "=r"(flags));
	ok &= expect("bytes of code", code_sum(), before);
	ok &= expect("DR6", dr6, 0xffff0ff0);
	ok &= expect("DR7", dr7, 0x400);
	ok &= expect("EFLAGS.TF", flags & 0x100, 0);
	return ok;
}

const struct check checks[] = {
	{1, "18.2: code, DR6, DR7 and TF are as if there were no debugger", stay_unseen},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 3;
