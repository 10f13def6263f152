// SPDX-License-Identifier: Apache-2.0
/* Copies of memory: 16 KiB a thousand times by different means, and 16 MiB at once. */
#include <emmintrin.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define SIZE  16384
#define LARGE (16u << 20)

static _Alignas(4096) char from[SIZE], to[SIZE];

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
	for (size_t i = 0; i < SIZE; i += 64)
		for (size_t k = i; k < i + 64; k += 16)
			_mm_store_si128((void *)(to + k), _mm_load_si128((void *)(from + k)));
}

__attribute__((target("avx"))) static void by_avx(void)
{
	for (size_t i = 0; i < SIZE; i += 128)
		for (size_t k = i; k < i + 128; k += 32)
			_mm256_store_si256((void *)(to + k), _mm256_load_si256((void *)(from + k)));
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
		__asm__ volatile("" : : "r"(b) : "memory");
	}
	sum = (uint64_t)b[units / 2];
	free(a);
	free(b);
	return sum;
}
