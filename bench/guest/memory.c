// SPDX-License-Identifier: Apache-2.0
/* Dependent loads, and streams of loads and stores. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* A cycle through all of `n` lines in random order; a million steps of it. */
static uint64_t chase(size_t n, unsigned units)
{
	struct line {
		struct line *next;
		char rest[56];
	} *lines = aligned_alloc(4096, n * sizeof(*lines)), *p;
	uint32_t *order = malloc(n * sizeof(*order));
	uint64_t state = 88172645463325252u;

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t k = bench_random(&state) % (i + 1);
		uint32_t swap = order[i];

		order[i] = order[k];
		order[k] = swap;
	}
	for (size_t i = 0; i < n; i++)
		lines[order[i]].next = &lines[order[(i + 1) % n]];
	p = lines;
	for (uint64_t i = 0; i < units * 1000000ull; i++)
		p = p->next;
	state = (uint64_t)(p - lines);
	free(order);
	free(lines);
	return state;
}

uint64_t chase_l1(unsigned units)
{
	return chase(16384 / 64, units);
}

uint64_t chase_l2(unsigned units)
{
	return chase(524288 / 64, units);
}

uint64_t chase_mem(unsigned units)
{
	return chase((64u << 20) / 64, units);
}

#define WORDS 2048

/* A million loads of 8 bytes, four to a turn, each at an address of its own. */
uint64_t loads(unsigned units)
{
	static volatile uint64_t a[WORDS];
	uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

	for (size_t n = 0; n < units * 1000000ull / WORDS; n++)
		for (size_t i = 0; i < WORDS; i += 4) {
			s0 += a[i];
			s1 ^= a[i + 1];
			s2 += a[i + 2];
			s3 ^= a[i + 3];
		}
	return s0 + s1 + s2 + s3 + units;
}

uint64_t stores(unsigned units)
{
	static volatile uint64_t a[WORDS];

	for (size_t n = 0; n < units * 1000000ull / WORDS; n++)
		for (size_t i = 0; i < WORDS; i += 4) {
			a[i] = n;
			a[i + 1] = i;
			a[i + 2] = n;
			a[i + 3] = i;
		}
	return a[5] + units;
}

/* Memory whose every page has been written to. */
static uint64_t *filled(size_t bytes)
{
	uint64_t *a = aligned_alloc(4096, bytes);

	memset(a, 1, bytes);
	return a;
}

/* A million loads from random places in memory of that size; none waits for another. */
static uint64_t load_randomly(size_t bytes, unsigned units)
{
	uint64_t *a = filled(bytes), state = 88172645463325252u, sum = 0;

	for (uint64_t i = 0; i < units * 1000000ull; i++)
		sum += a[bench_random(&state) % (bytes / sizeof(*a))];
	free(a);
	return sum;
}

uint64_t random_128m(unsigned units)
{
	return load_randomly(128u << 20, units);
}

uint64_t random_384m(unsigned units)
{
	return load_randomly(384u << 20, units);
}

/* The same with stores. */
uint64_t random_stores(unsigned units)
{
	const size_t n = (128u << 20) / sizeof(uint64_t);
	uint64_t *a = filled(n * sizeof(*a)), state = 88172645463325252u, last;

	for (uint64_t i = 0; i < units * 1000000ull; i++)
		a[bench_random(&state) % n] = i;
	last = a[state % n];
	free(a);
	return last;
}

#define PAGE   4096
#define NPAGES 64

typedef uint64_t pair __attribute__((vector_size(16)));

/* The bytes around the end of a page; at most 8 of them are before it. */
static unsigned char *end_of(unsigned char *a, size_t page)
{
	return a + page * PAGE - 1 - page % 7;
}

/* A thousand loads of 8 and of 16 bytes across the ends of pages, and as many stores. */
uint64_t across_pages(unsigned units)
{
	unsigned char *a = aligned_alloc(PAGE, NPAGES * PAGE);
	uint64_t sum = 0, word;
	pair both, mix = {0};

	memset(a, 1, NPAGES * PAGE);
	for (unsigned i = 0; i < units * 1000 / (NPAGES - 1); i++) {
		for (size_t page = 1; page < NPAGES; page++) {
			memcpy(&word, end_of(a, page), sizeof(word));
			memcpy(&both, end_of(a, page), sizeof(both));
			sum += word;
			mix ^= both;
		}
		for (size_t page = 1; page < NPAGES; page++) {
			memcpy(end_of(a, page), &i, sizeof(i));
			memcpy(end_of(a, page) - 3, &mix, sizeof(mix));
		}
	}
	free(a);
	return sum + mix[0];
}
