/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcpy and its kin without vector registers: the guest's vectors are in them while engine code
 * runs. vcpu.h redirects the standard names to these.
 */
#include <stddef.h>
#include <stdint.h>

void *bt_memcpy(void *dst, const void *src, size_t n);
void *bt_memmove(void *dst, const void *src, size_t n);
void *bt_memset(void *dst, int byte, size_t n);
int bt_memcmp(const void *a, const void *b, size_t n);

typedef uint64_t __attribute__((may_alias, aligned(1))) word;
typedef uint32_t __attribute__((may_alias, aligned(1))) half;

void *bt_memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	/* REP MOVS takes some 30 cycles to start: short copies go by words, the last one
	 * overlapping. */
	if (n < 4) {
		for (size_t i = 0; i < n; i++)
			d[i] = s[i];
	} else if (n < 8) {
		half first = *(const half *)s, last = *(const half *)(s + n - 4);

		*(half *)d = first;
		*(half *)(d + n - 4) = last;
	} else if (n < 128) {
		for (size_t i = 0; i < n - 8; i += 8)
			*(word *)(d + i) = *(const word *)(s + i);
		*(word *)(d + n - 8) = *(const word *)(s + n - 8);
	} else {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	}
	return dst;
}

void *bt_memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if ((uintptr_t)d - (uintptr_t)s >= n) {
		/* Upwards is safe; by bytes, since words would overlap. */
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		return dst;
	}
	for (d += n, s += n; n; n--) {
		*--d = *--s;
		__asm__ volatile("" : : : "memory"); /* or it becomes a call of memmove */
	}
	return dst;
}

void *bt_memset(void *dst, int byte, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(byte) : "memory");
	return dst;
}

int bt_memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}
