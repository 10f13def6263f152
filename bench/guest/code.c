// SPDX-License-Identifier: Apache-2.0
/* Code that changes: an instruction overwritten before each call, and functions made at run time.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define SIZE 65536

static uint8_t *map_code(void)
{
	uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	return p;
}

typedef uint64_t function(uint64_t x);

/* mov $imm, %eax; ret: a thousand times with another imm. */
uint64_t self_modify(unsigned units)
{
	uint8_t *p = map_code();
	uint64_t sum = 0;

	p[0] = 0xb8;
	p[5] = 0xc3;
	for (uint32_t i = 0; i < units * 1000; i++) {
		memcpy(p + 1, &i, sizeof(i));
		__asm__ volatile("" : : : "memory");
		sum += ((function *)(void *)p)(0);
	}
	munmap(p, SIZE);
	return sum;
}

/* A function of 40 operations on its argument; returns what is behind it. */
static uint8_t *compile(uint8_t *p, uint64_t *state)
{
	static const uint8_t start[] = {0x48, 0x89, 0xf8}; /* mov %rdi, %rax */
	static const uint8_t op[][4] = {
		{0x48, 0x83, 0xc0, 0}, /* add $imm8, %rax */
		{0x48, 0x83, 0xf0, 0}, /* xor $imm8, %rax */
		{0x48, 0x6b, 0xc0, 0}, /* imul $imm8, %rax, %rax */
		{0x48, 0xc1, 0xc0, 0}, /* rol $imm8, %rax */
	};

	memcpy(p, start, sizeof(start));
	p += sizeof(start);
	for (unsigned i = 0; i < 40; i++) {
		uint64_t r = bench_random(state);

		memcpy(p, op[r & 3], 4);
		p[3] = (uint8_t)(r >> 8 & 63);
		p += 4;
	}
	*p++ = 0xc3;
	return p;
}

/* Makes a function and calls it 200 times, over and over a buffer that holds hundreds. */
uint64_t small_jit(unsigned units)
{
	uint8_t *code = map_code(), *p = code;
	uint64_t state = 7, sum = 0;

	for (unsigned n = 0; n < units * 100; n++) {
		function *f = (function *)(void *)p;

		p = compile(p, &state);
		__asm__ volatile("" : : : "memory");
		for (unsigned i = 0; i < 200; i++)
			sum = f(sum + i);
		if (p > code + SIZE - 400)
			p = code;
	}
	munmap(code, SIZE);
	return sum;
}

/* Another function in the same place each time, called a hundred times. */
uint64_t jit_again(unsigned units)
{
	uint8_t *code = map_code();
	uint64_t state = 7, sum = 0;

	for (unsigned n = 0; n < units * 100; n++) {
		compile(code, &state);
		__asm__ volatile("" : : : "memory");
		for (unsigned i = 0; i < 100; i++)
			sum = ((function *)(void *)code)(sum + i);
	}
	munmap(code, SIZE);
	return sum;
}
