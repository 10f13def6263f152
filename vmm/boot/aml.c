/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI machine language, byte by byte. */
#include "vmm/boot/aml.h"

#include <string.h>

void aml_byte(struct aml *a, uint8_t b)
{
	if (a->len < a->cap)
		a->buf[a->len++] = b;
	else
		a->full = true;
}

void aml_bytes(struct aml *a, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		aml_byte(a, b[i]);
}

void aml_op(struct aml *a, enum aml_op op)
{
	if (op > 0xff)
		aml_byte(a, (uint8_t)(op >> 8));
	aml_byte(a, (uint8_t)op);
}

static void put_le(struct aml *a, uint64_t n, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		aml_byte(a, (uint8_t)(n >> (8 * i)));
}

void aml_path(struct aml *a, const char *path)
{
	aml_bytes(a, path, strlen(path));
}

void aml_int(struct aml *a, uint64_t n)
{
	static const struct {
		uint64_t max;
		uint8_t prefix, bytes;
	} forms[] = {
		{0xff, 0x0a, 1}, {0xffff, 0x0b, 2}, {0xffffffff, 0x0c, 4}, {UINT64_MAX, 0x0e, 8}};
	unsigned i = 0;

	if (n <= 1) {
		aml_byte(a, (uint8_t)n); /* ZeroOp, OneOp */
		return;
	}
	while (n > forms[i].max)
		i++;
	aml_byte(a, forms[i].prefix);
	put_le(a, n, forms[i].bytes);
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* Three letters of 5 bits, four hexadecimal digits, big-endian (section 19.3.4). */
void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < 3; i++)
		n = n << 5 | (uint32_t)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		n = n << 4 | hex_digit(id[i]);
	aml_int(a, __builtin_bswap32(n));
}

/*
 * PkgLength counts itself. It is always written in its three-byte form: two bits say so, then 4, 8
 * and 8 bits of the length.
 */
#define PKG_LENGTH_BYTES 3

size_t aml_begin(struct aml *a, enum aml_op op)
{
	size_t mark;

	aml_op(a, op);
	mark = a->len;
	put_le(a, 0, PKG_LENGTH_BYTES);
	return mark;
}

void aml_end(struct aml *a, size_t mark)
{
	size_t n = a->len - mark;

	if (a->full)
		return;
	a->buf[mark] = (uint8_t)((PKG_LENGTH_BYTES - 1) << 6 | (n & 0xf));
	a->buf[mark + 1] = (uint8_t)(n >> 4);
	a->buf[mark + 2] = (uint8_t)(n >> 12);
}

void aml_name(struct aml *a, const char *path)
{
	aml_op(a, AML_NAME);
	aml_path(a, path);
}

/* ---- resource templates --------------------------------------------------------------------- */

#define BUFFER_SIZE_BYTES 3 /* a word constant with its prefix, filled in at the end */

size_t aml_resources_begin(struct aml *a)
{
	size_t mark = aml_begin(a, AML_BUFFER);

	aml_byte(a, 0x0b);
	put_le(a, 0, 2);
	return mark;
}

void aml_resources_end(struct aml *a, size_t mark)
{
	size_t size_at = mark + PKG_LENGTH_BYTES, n;

	put_le(a, 0x0079, 2); /* end tag, checksum 0: none */
	if (a->full)
		return;
	n = a->len - size_at - BUFFER_SIZE_BYTES;
	a->buf[size_at + 1] = (uint8_t)n;
	a->buf[size_at + 2] = (uint8_t)(n >> 8);
	aml_end(a, mark);
}

void aml_io(struct aml *a, uint16_t base, uint8_t len)
{
	put_le(a, 0x0147, 2); /* decodes 16 bits */
	put_le(a, base, 2);
	put_le(a, base, 2);
	aml_byte(a, 1);
	aml_byte(a, len);
}

void aml_irq(struct aml *a, unsigned irq)
{
	aml_byte(a, 0x22);
	put_le(a, 1u << irq, 2);
}

void aml_memory32(struct aml *a, uint32_t base, uint32_t len)
{
	aml_byte(a, 0x86);
	put_le(a, 9, 2);
	aml_byte(a, 1); /* read-write */
	put_le(a, base, 4);
	put_le(a, len, 4);
}

enum {
	WINDOW_MEMORY,
	WINDOW_IO,
	WINDOW_BUS
};

/* Address space descriptor with fields of 2, 4 or 8 bytes: fixed minimum and maximum, producer. */
static void put_window(struct aml *a, uint8_t tag, unsigned width, uint8_t type, uint8_t type_flags,
		       uint64_t first, uint64_t last)
{
	aml_byte(a, tag);
	put_le(a, 3 + 5 * width, 2);
	aml_byte(a, type);
	aml_byte(a, 0x0c);
	aml_byte(a, type_flags);
	put_le(a, 0, width); /* granularity */
	put_le(a, first, width);
	put_le(a, last, width);
	put_le(a, 0, width); /* translation */
	put_le(a, last - first + 1, width);
}

void aml_bus_window(struct aml *a, uint16_t first, uint16_t last)
{
	put_window(a, 0x88, 2, WINDOW_BUS, 0, first, last);
}

void aml_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	put_window(a, 0x88, 2, WINDOW_IO, 3, first, last); /* the entire range: ISA and not */
}

void aml_memory32_window(struct aml *a, uint32_t first, uint32_t last)
{
	put_window(a, 0x87, 4, WINDOW_MEMORY, 1, first, last); /* read-write, not cacheable */
}

void aml_memory64_window(struct aml *a, uint64_t first, uint64_t last)
{
	put_window(a, 0x8a, 8, WINDOW_MEMORY, 1, first, last);
}
