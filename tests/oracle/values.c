/* SPDX-License-Identifier: Apache-2.0 */
/* Random values of every kind that registers hold, with more than their share of corner cases. */
#include <string.h>

#include "tests/oracle/generate.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- values --------------------------------------------------------------------------------- */

uint64_t value64(struct rng *r)
{
	unsigned bit = rng_below(r, 64);

	switch (rng_below(r, 10)) {
	case 0:
		return 0;
	case 1:
		return rng_below(r, 256);
	case 2:
		return -(uint64_t)rng_below(r, 256);
	case 3:
		return 1ull << bit;
	case 4:
		return (1ull << bit) - 1;
	case 5:
		return ~(1ull << bit);
	case 6:
		return (uint32_t)rng_next(r);
	case 7:
		return 0x8080808080808080ull >> (rng_next(r) & 1);
	}
	return rng_next(r);
}

static uint32_t value_float(struct rng *r)
{
	static const uint32_t corner[] = {
		0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0xffc00001, 0x7f800001, 0xffbfffff, 1,          0x807fffff, 0x00800000, 0x7f7fffff,
		0x4f000000, 0xcf000000, 0x5f000000, 0x4effffff, 0x3f000000, 0xbfc00000, 0x40200000,
	};

	if (rng_one_in(r, 2))
		return corner[rng_below(r, sizeof(corner) / sizeof(corner[0]))];
	if (rng_one_in(r, 2)) /* near 1: sums and products stay finite */
		return (rng_next(r) & 0x807fffff) | (110 + rng_below(r, 40)) << 23;
	return rng_next(r);
}

static uint64_t value_double(struct rng *r)
{
	static const uint64_t corner[] = {
		0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
		0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001,
		0x7ff0000000000001, 0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000,
		0x7fefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000,
		0x41dfffffffc00000, 0x3fe0000000000000, 0xbff8000000000000, 0x47efffffe0000000,
		0x3690000000000000, 0x380fffffffffffff,
	};

	if (rng_one_in(r, 2))
		return corner[rng_below(r, sizeof(corner) / sizeof(corner[0]))];
	if (rng_one_in(r, 2))
		return (rng_next(r) & 0x800fffffffffffff) | (1000ull + rng_below(r, 60)) << 52;
	return rng_next(r);
}

void fill_values(struct rng *r, uint8_t *p, unsigned len)
{
	unsigned kind = rng_below(r, 4);

	for (unsigned i = 0; i < len; i += 8) {
		uint64_t n = kind == 0   ? value64(r)
			     : kind == 1 ? value_double(r)
			     : kind == 2 ? value_float(r) | (uint64_t)value_float(r) << 32
					 : rng_next(r);

		memcpy(p + i, &n, len - i < 8 ? len - i : 8);
	}
}

void fill_extended(struct rng *r, uint8_t *p)
{
	static const struct {
		uint64_t mantissa;
		uint16_t exponent;
	} corner[] = {
		{0, 0},                       /* zero */
		{1ull << 63, 0x3fff},         /* one */
		{1ull << 63, 0x7fff},         /* infinity */
		{3ull << 62, 0x7fff},         /* quiet NaN */
		{1ull << 63 | 1, 0x7fff},     /* signalling NaN */
		{1, 0},                       /* denormal */
		{1ull << 63, 0},              /* pseudo-denormal */
		{1, 0x3fff},                  /* unnormal: unsupported */
		{0, 0x7fff},                  /* pseudo-infinity: unsupported */
		{UINT64_MAX, 0x7ffe},         /* greatest */
		{0xc90fdaa22168c235, 0x4000}, /* pi */
		{1ull << 63, 0x401e},         /* 2^31 */
		{1ull << 63, 0x403e},         /* 2^63 */
		{0xc000000000000000, 0x3ffe}, /* 0.75 */
	};
	unsigned i = rng_below(r, sizeof(corner) / sizeof(corner[0]));
	uint64_t mantissa = corner[i].mantissa;
	uint16_t exponent = corner[i].exponent;

	if (!rng_one_in(r, 3)) {
		mantissa = rng_next(r) | 1ull << 63;
		if (rng_one_in(r, 3))
			mantissa &= ~0ull << rng_below(r, 63);
		exponent =
			rng_one_in(r, 4) ? rng_next(r) & 0x7fff : 0x3fff - 40 + rng_below(r, 120);
	}
	exponent |= rng_next(r) & 0x8000;
	memcpy(p, &mantissa, 8);
	memcpy(p + 8, &exponent, 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

uint32_t value_mxcsr(struct rng *r)
{
	uint32_t m = 0x1f80;

	if (rng_one_in(r, 8))
		m &= rng_next(r); /* unmasked */
	m |= rng_next(r) & 0x6000;
	if (rng_one_in(r, 2))
		m |= rng_next(r) & 0x3f;
	if (rng_one_in(r, 4))
		m |= rng_next(r) & 0x8040;
	return m;
}

/* Masks with all, none or some of the elements. */
static void fill_avx512(struct rng *r, uint8_t *fp)
{
	for (unsigned i = 0; i < 8; i++) {
		uint64_t k = rng_one_in(r, 4) ? ~0ull : rng_one_in(r, 6) ? 0 : rng_next(r);

		memcpy(fp + FP_K + 8 * i, &k, 8);
	}
	fill_values(r, fp + FP_ZMM, 256);
	fill_values(r, fp + FP_ZMM + 256, 256);
	for (unsigned i = 0; i < 16; i++)
		fill_values(r, fp + FP_ZMM16 + 64 * i, 64);
	fp[FP_BV] |= 0xe0;
}

void fill_fp(struct rng *r, uint8_t *fp)
{
	uint16_t fcw = 0x37f, fsw = rng_next(r) & 0x7f7f;
	uint32_t mxcsr = value_mxcsr(r);

	memset(fp, 0, FP_SIZE);
	if (rng_one_in(r, 2))
		fcw = 0x7f | (rng_next(r) & 0x1f00);
	if (rng_one_in(r, 10))
		fcw &= rng_next(r) | 0xffc0;
	if (!rng_one_in(r, 8))
		fsw &= ~(~fcw & 0x3f); /* nothing pending */
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	put16(fp + FP_FCW, fcw);
	put16(fp + FP_FSW, fsw);
	fp[FP_FTW] = rng_one_in(r, 3) ? rng_next(r) : rng_one_in(r, 4) ? 0 : 0xff;
	memcpy(fp + FP_MXCSR, &mxcsr, 4);
	for (unsigned i = 0; i < 8; i++)
		fill_extended(r, fp + FP_ST + 16 * i);
	for (unsigned i = 0; i < 16; i++) {
		fill_values(r, fp + FP_XMM + 16 * i, 16);
		fill_values(r, fp + FP_YMM + 16 * i, 16);
	}
	fp[FP_BV] = 7;
	if (fp_has_avx512())
		fill_avx512(r, fp);
}
