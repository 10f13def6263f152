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

void *bt_memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	/* Short copies by words: REP MOVS takes some 20 cycles to start. */
	if (n < 64) {
		for (; n >= 8; n -= 8, d += 8, s += 8)
			*(word *)d = *(const word *)s;
	}
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return dst;
}

void *bt_memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if ((uintptr_t)d - (uintptr_t)s >= n)
		return bt_memcpy(dst, src, n);
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
