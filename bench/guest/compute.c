// SPDX-License-Identifier: Apache-2.0
/* Integer and floating-point work with few branches out of line and little memory. */
#include <math.h>
#include <string.h>

#include "bench.h"

/* A million steps of integer arithmetic with branches that depend on it. */
uint64_t int_loop(unsigned units)
{
	uint64_t sum = 0, x = 88172645463325252u;

	for (uint64_t i = 0; i < units * 1000000ull; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		if (x & 1ull << 40)
			sum += x >> 33;
		else if (i % 3 == 0)
			sum ^= x;
		else
			sum -= i;
	}
	return sum;
}

/* ---- SHA-256 (FIPS 180-4) of 64 KiB ---------------------------------------------------------- */

/* The first 32 bits of the fractional parts of roots: counted here rather than listed. */
static uint32_t fraction(long double x)
{
	return (uint32_t)((x - floorl(x)) * 4294967296.0L);
}

static void make_constants(uint32_t k[64], uint32_t h[8])
{
	unsigned n = 0;

	for (unsigned p = 2; n < 64; p++) {
		unsigned d = 2;

		while (d * d <= p && p % d)
			d++;
		if (d * d <= p)
			continue;
		if (n < 8)
			h[n] = fraction(sqrtl(p));
		k[n++] = fraction(cbrtl(p));
	}
}

static uint32_t ror(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void sha256_block(uint32_t h[8], const uint32_t k[64], const uint8_t *p)
{
	uint32_t w[64], s[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
		       (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (unsigned i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, h, sizeof(s));
	for (unsigned i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
			      ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
		uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
			      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += s[i];
}

uint64_t sha256(unsigned units)
{
	static uint8_t text[65536];
	uint32_t k[64], h[8];

	make_constants(k, h);
	for (unsigned n = 0; n < units; n++)
		for (size_t i = 0; i < sizeof(text); i += 64)
			sha256_block(h, k, text + i);
	return (uint64_t)h[0] << 32 | h[1];
}

/* ---- n-body: gravity between five bodies, 10,000 steps -----------------------------------------
 */

#define BODIES 5

struct body {
	double x, y, z, vx, vy, vz, mass;
};

static void attract(struct body *a, struct body *b, double dt)
{
	double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
	double square = dx * dx + dy * dy + dz * dz + 0.01;
	double f = dt / (square * sqrt(square));

	a->vx -= dx * b->mass * f;
	a->vy -= dy * b->mass * f;
	a->vz -= dz * b->mass * f;
	b->vx += dx * a->mass * f;
	b->vy += dy * a->mass * f;
	b->vz += dz * a->mass * f;
}

static void advance(struct body *b, double dt)
{
	for (int i = 0; i < BODIES; i++)
		for (int k = i + 1; k < BODIES; k++)
			attract(&b[i], &b[k], dt);
	for (int i = 0; i < BODIES; i++) {
		b[i].x += dt * b[i].vx;
		b[i].y += dt * b[i].vy;
		b[i].z += dt * b[i].vz;
	}
}

static double draw(uint64_t *state)
{
	return (double)(bench_random(state) % 1000) / 100;
}

uint64_t nbody(unsigned units)
{
	struct body b[BODIES];
	uint64_t state = 1, bits;

	for (int i = 0; i < BODIES; i++)
		b[i] = (struct body){
			.x = draw(&state), .y = draw(&state), .z = draw(&state), .mass = i + 1};
	for (unsigned n = 0; n < units * 10000; n++)
		advance(b, 0.001);
	memcpy(&bits, &b[0].x, sizeof(bits));
	return bits;
}

/* ---- x87: a polynomial, a matrix product and square roots in long doubles ----------------------
 */

#define ORDER 24

static long double polynomial(const long double *c, long double x)
{
	long double y = 0;

	for (int i = 0; i < ORDER; i++)
		y = y * x + c[i];
	return y;
}

static void multiply(long double a[ORDER][ORDER], const long double *b, long double *out)
{
	for (int i = 0; i < ORDER; i++) {
		long double sum = 0;

		for (int k = 0; k < ORDER; k++)
			sum += a[i][k] * b[k];
		out[i] = sum;
	}
}

uint64_t x87(unsigned units)
{
	static long double a[ORDER][ORDER], b[ORDER], c[ORDER];
	uint64_t state = 88172645463325252u;
	long double sum = 0;

	for (int i = 0; i < ORDER; i++) {
		b[i] = (long double)draw(&state) / ORDER;
		for (int k = 0; k < ORDER; k++)
			a[i][k] = (long double)draw(&state) / (5 * ORDER);
	}
	for (unsigned n = 0; n < units * 1000; n++) {
		multiply(a, b, c);
		sum += polynomial(c, 0.5L) + sqrtl(c[n % ORDER] + 1);
		b[n % ORDER] = sum - (long double)(int64_t)sum;
	}
	return (uint64_t)(int64_t)(sum * 1000);
}
