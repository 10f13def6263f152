// SPDX-License-Identifier: Apache-2.0
/* Calls, indirect calls and indirect jumps. */
#include "bench.h"

/* A recursion of a million calls or so. */
__attribute__((noinline, noclone)) static unsigned fibonacci(unsigned n)
{
	unsigned sum = 1;

	if (n < 2)
		return sum;
	sum = fibonacci(n - 1);
	__asm__ volatile("" : "+r"(sum)); /* no second call made a loop */
	return sum + fibonacci(n - 2);
}

uint64_t calls(unsigned units)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < units; i++)
		sum += fibonacci(29);
	return sum;
}

/* ---- virtual calls: a million through one pointer that changes ---------------------------------
 */

struct shape {
	uint64_t (*area)(const struct shape *s);
	uint64_t a, b;
};

__attribute__((noinline)) static uint64_t square(const struct shape *s)
{
	return s->a * s->a;
}

__attribute__((noinline)) static uint64_t rectangle(const struct shape *s)
{
	return s->a * s->b;
}

__attribute__((noinline)) static uint64_t triangle(const struct shape *s)
{
	return s->a * s->b / 2;
}

__attribute__((noinline)) static uint64_t ring(const struct shape *s)
{
	return s->a * s->a - s->b * s->b;
}

uint64_t virtual_calls(unsigned units)
{
	static uint64_t (*const kinds[])(const struct shape *) = {square, rectangle, triangle,
								  ring};
	struct shape shapes[64];
	uint64_t sum = 0;

	for (unsigned i = 0; i < 64; i++)
		shapes[i] = (struct shape){kinds[i * 7 / 3 % 4], i + 3, i + 1};
	for (uint64_t i = 0; i < units * 1000000ull; i++)
		sum += shapes[i % 64].area(&shapes[i % 64]);
	return sum;
}

/* ---- a bytecode interpreter with a jump for each operation --------------------------------------
 */

enum {
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_XOR,
	OP_SHIFT,
	OP_LOAD,
	OP_STORE,
	OP_LOOP
};

static const uint8_t program[] = {
	OP_LOAD, 0, OP_ADD,   3, OP_MUL,   5, OP_STORE, 1, OP_LOAD, 1, OP_XOR, 77, OP_SUB,   9,
	OP_ADD,  1, OP_SHIFT, 3, OP_STORE, 0, OP_LOAD,  2, OP_ADD,  1, OP_XOR, 2,  OP_STORE, 2,
	OP_LOAD, 3, OP_MUL,   3, OP_ADD,   7, OP_STORE, 3, OP_LOOP, 0,
};

uint64_t bytecode(unsigned units)
{
	static const void *const jump[] = {&&add,   &&sub,  &&mul,   &&xor_,
					   &&shift, &&load, &&store, &&loop};
	uint64_t var[4] = {1, 2, 3, 4}, acc = 0, left = units * 50000ull;
	const uint8_t *p = program;

#define NEXT()                  \
	do {                    \
		p += 2;         \
		goto *jump[*p]; \
	} while (0)
	goto *jump[*p];
add:
	acc += p[1];
	NEXT();
sub:
	acc -= p[1];
	NEXT();
mul:
	acc *= p[1];
	NEXT();
xor_:
	acc ^= p[1];
	NEXT();
shift:
	acc = acc << p[1] | acc >> (64 - p[1]);
	NEXT();
load:
	acc = var[p[1]];
	NEXT();
store:
	var[p[1]] = acc;
	NEXT();
loop:
	if (--left == 0)
		return acc + var[0] + var[1] + var[2];
	p = program;
	goto *jump[*p];
}
