// SPDX-License-Identifier: Apache-2.0
/*
 * Copies of memory: 16 KiB a thousand times by different means, and 16 MiB at once. The compiler
 * must not make one of the other.
 */
#include <emmintrin.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define SIZE  16384
#define LARGE (16u << 20)

/* The gap keeps the caches from taking a load for one of the stores just before it. */
static _Alignas(64) char from[SIZE + 1024], to[SIZE];

#define KEEP() __asm__ volatile("" : : : "memory")

typedef void copy_fn(void);

static uint64_t repeat(copy_fn *copy, unsigned units)
{
	for (unsigned i = 0; i < units * 1000; i++) {
		from[i % SIZE]++;
		copy();
	}
	return (uint64_t)to[units % SIZE] + units;
}

static void by_sse(void)
{
	for (size_t i = 0; i < SIZE; i += 64) {
		const __m128i *s = (const void *)(from + i);
		__m128i *d = (void *)(to + i), a = s[0], b = s[1], c = s[2], e = s[3];

		KEEP();
		d[0] = a;
		d[1] = b;
		d[2] = c;
		d[3] = e;
		KEEP();
	}
}

__attribute__((target("avx"))) static void by_avx(void)
{
	for (size_t i = 0; i < SIZE; i += 128) {
		const __m256i *s = (const void *)(from + i);
		__m256i *d = (void *)(to + i), a = s[0], b = s[1], c = s[2], e = s[3];

		KEEP();
		d[0] = a;
		d[1] = b;
		d[2] = c;
		d[3] = e;
		KEEP();
	}
}

static void by_rep(void)
{
	void *d = to;
	const void *s = from;
	size_t n = SIZE;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}

uint64_t copy_sse(unsigned units)
{
	return repeat(by_sse, units);
}

uint64_t copy_avx(unsigned units)
{
	return repeat(by_avx, units);
}

uint64_t copy_rep(unsigned units)
{
	return repeat(by_rep, units);
}

/* As the C library does it on the processor it finds. */
uint64_t copy_large(unsigned units)
{
	char *a = malloc(LARGE), *b = malloc(LARGE);
	uint64_t sum;

	memset(a, 1, LARGE);
	memset(b, 2, LARGE);
	for (unsigned i = 0; i < units; i++) {
		a[i % LARGE]++;
		memcpy(b, a, LARGE);
		KEEP();
	}
	sum = (uint64_t)b[units / 2];
	free(a);
	free(b);
	return sum;
}

/* A string's end and the first difference of two, by REPNE SCASB and REPE CMPSB. */
uint64_t strings(unsigned units)
{
	uint64_t sum = 0;

	memset(from, 'a', 1000);
	memset(to, 'a', 1000);
	from[1000] = 0;
	for (unsigned n = 0; n < units * 1000; n++) {
		const void *a = from, *b = to;
		size_t left = SIZE, same = 16 + n % 200;

		__asm__ volatile("repne scasb" : "+D"(a), "+c"(left) : "a"(0) : "memory", "cc");
		a = from;
		__asm__ volatile("repe cmpsb" : "+S"(a), "+D"(b), "+c"(same) : : "memory", "cc");
		sum += left + same;
	}
	return sum;
}
