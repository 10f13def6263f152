/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memmove and memcmp without vector registers (memcpy and memset: local.c): the guest's vectors are
 * in them while engine code runs. vcpu.h redirects the standard names to these.
 */
#include <stddef.h>
#include <stdint.h>

void *bt_memcpy(void *dst, const void *src, size_t n);
void *bt_memmove(void *dst, const void *src, size_t n);
int bt_memcmp(const void *a, const void *b, size_t n);

void *bt_memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if ((uintptr_t)d - (uintptr_t)s >= n)
		return bt_memcpy(dst, src, n);
	for (d += n, s += n; n; n--) {
		*--d = *--s;
		__asm__ volatile(""
				 :
				 :
				 : "memory"); /* or the compiler makes it a call of memmove */
	}
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
