/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/random.h"

#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"

static struct spinlock lock;
static uint64_t state[4];

static bool rdrand(uint64_t *v)
{
	uint8_t ok = 0;

	if (!(cpuid(1, 0).ecx & 1 << 30))
		return false;
	for (int i = 0; i < 10 && !ok; i++)
		__asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok)::"cc");
	return ok;
}

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

/* xoshiro256**, with the time stamp and, where there is one, the CPU's generator mixed in each
 * time. */
static uint64_t next(void)
{
	uint64_t result, t, hw = 0;

	state[1] += rdtsc() * 0x9e3779b97f4a7c15UL; /* before the first number, too */
	result = rotl(state[1] * 5, 7) * 9;
	t = state[1] << 17;
	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= t;
	state[3] = rotl(state[3], 45);
	return rdrand(&hw) ? result ^ hw : result;
}

void random_bytes(void *to, size_t n)
{
	uint8_t *p = to;
	SPIN_GUARD(&lock);

	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = next();

		memcpy(p + i, &v, MIN((size_t)8, n - i));
	}
}
