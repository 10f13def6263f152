/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and strings. Copies use REP: short, and fast on every processor with hardware
 * virtualization. */
#include "kernel/lib/lib.h"

#undef memcpy
#undef memset

void *memcpy(void *to, const void *from, size_t n)
{
	size_t words = n / 8;
	void *d = to;

	__asm__ volatile("rep movsq\n\tmov %3, %2\n\trep movsb"
			 : "+&D"(d), "+&S"(from), "+&c"(words)
			 : "r"(n % 8)
			 : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	char *d = to;
	const char *s = from;

	if (d <= s || d >= s + n)
		return memcpy(to, from, n);
	while (n--)
		d[n] = s[n];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	size_t words = n / 8;
	void *d = to;

	__asm__ volatile("rep stosq\n\tmov %2, %1\n\trep stosb"
			 : "+&D"(d), "+&c"(words)
			 : "r"(n % 8), "a"((uint8_t)c * 0x0101010101010101)
			 : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b)
			return (uint8_t)*a - (uint8_t)*b;
		if (!*a)
			break;
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	while (*s != (char)c) {
		if (!*s++)
			return NULL;
	}
	return (char *)s;
}

size_t strlcpy(char *to, const char *from, size_t size)
{
	size_t len = strlen(from), n = MIN(len, size - 1);

	memcpy(to, from, n);
	to[n] = 0;
	return len;
}
