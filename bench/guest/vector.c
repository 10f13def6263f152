// SPDX-License-Identifier: Apache-2.0
/* Floating-point matrices by SSE and AVX, and integers in vectors. */
#include <immintrin.h>

#include "bench.h"

#define N 128

static _Alignas(64) float a[N][N], b[N][N], c[N][N];

static void fill(void)
{
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++) {
			a[i][k] = (float)(i + k) / N;
			b[i][k] = (float)(i - k) / N;
		}
}

/* Each row of the product, 16 or 32 columns at a time. */
static void product_sse(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j += 16) {
			__m128 sum[4] = {0};

			for (int k = 0; k < N; k++)
				for (int m = 0; m < 4; m++)
					sum[m] = _mm_add_ps(
						sum[m], _mm_mul_ps(_mm_set1_ps(a[i][k]),
								   _mm_load_ps(&b[k][j + 4 * m])));
			for (int m = 0; m < 4; m++)
				_mm_store_ps(&c[i][j + 4 * m], sum[m]);
		}
}

__attribute__((target("avx"))) static void product_avx(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j += 32) {
			__m256 sum[4] = {0};

			for (int k = 0; k < N; k++)
				for (int m = 0; m < 4; m++)
					sum[m] = _mm256_add_ps(
						sum[m],
						_mm256_mul_ps(_mm256_set1_ps(a[i][k]),
							      _mm256_load_ps(&b[k][j + 8 * m])));
			for (int m = 0; m < 4; m++)
				_mm256_store_ps(&c[i][j + 8 * m], sum[m]);
		}
}

uint64_t matrix_sse(unsigned units)
{
	fill();
	for (unsigned n = 0; n < units; n++)
		product_sse();
	return (uint64_t)c[3][5] + units;
}

uint64_t matrix_avx(unsigned units)
{
	fill();
	for (unsigned n = 0; n < units; n++)
		product_avx();
	return (uint64_t)c[3][5] + units;
}

/* A sum of absolute differences and a blend over 16 KiB of pixels, a thousand times. */
uint64_t simd_int(unsigned units)
{
	static _Alignas(64) uint8_t x[16384], y[16384];
	__m128i sum = _mm_setzero_si128();

	for (unsigned i = 0; i < sizeof(x); i++) {
		x[i] = (uint8_t)(i * 7);
		y[i] = (uint8_t)(i * 13);
	}
	for (unsigned n = 0; n < units * 1000; n++)
		for (unsigned i = 0; i < sizeof(x); i += 16) {
			__m128i p = _mm_load_si128((void *)(x + i)),
				q = _mm_load_si128((void *)(y + i));
			__m128i low = _mm_unpacklo_epi8(p, q);

			sum = _mm_add_epi64(sum, _mm_sad_epu8(p, q));
			low = _mm_add_epi16(_mm_mullo_epi16(low, low), _mm_srli_epi16(low, 3));
			q = _mm_avg_epu8(_mm_packus_epi16(low, low), q);
			_mm_store_si128((void *)(y + i), _mm_xor_si128(q, p));
		}
	return (uint64_t)_mm_cvtsi128_si64(sum);
}

/* A table's elements by indices in vectors, added to some of another's: a thousand times 4 KiB. */
__attribute__((target("avx2"))) uint64_t gathers(unsigned units)
{
	static _Alignas(64) int table[1024], index[1024], out[1024];
	const __m256i some = _mm256_setr_epi32(-1, 0, -1, -1, 0, 0, -1, -1);

	for (int i = 0; i < 1024; i++) {
		table[i] = i;
		index[i] = i * 77 & 1023;
	}
	for (unsigned n = 0; n < units * 1000; n++)
		for (int i = 0; i < 1024; i += 8) {
			__m256i at = _mm256_load_si256((void *)(index + i));
			__m256i sum = _mm256_add_epi32(_mm256_i32gather_epi32(table, at, 4),
						       _mm256_maskload_epi32(out + i, some));

			_mm256_maskstore_epi32(out + i, some, sum);
		}
	return (uint64_t)(unsigned)out[8];
}
