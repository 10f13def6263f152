/* SPDX-License-Identifier: Apache-2.0 */
/* Framing of gdb's remote protocol, and its hexadecimal texts. */
#include "vmm/gdb/packet.h"

static const char digits[] = "0123456789abcdef";

int gdb_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *gdb_hex_encode(char *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	return out;
}

bool gdb_hex_decode(const char *text, size_t text_len, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = gdb_hex_digit(text[2 * i]), low = gdb_hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		p[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool gdb_hex_number(const char **p, uint64_t *n)
{
	unsigned count = 0;

	for (*n = 0; gdb_hex_digit(**p) >= 0; ++*p) {
		if (++count > 16)
			return false;
		*n = *n << 4 | (unsigned)gdb_hex_digit(**p);
	}
	return count;
}

/* ---- in ------------------------------------------------------------------------------------- */

static void start(struct gdb_reader *r)
{
	r->state = INSIDE;
	r->too_long = false;
	r->sum = 0;
	r->len = 0;
}

static enum gdb_event outside(struct gdb_reader *r, uint8_t byte)
{
	switch (byte) {
	case '$':
		start(r);
		return GDB_NOTHING;
	case '+':
		return GDB_ACK;
	case '-':
		return GDB_NACK;
	case 3:
		return GDB_INTERRUPT;
	default:
		return GDB_NOTHING;
	}
}

static void append(struct gdb_reader *r, uint8_t byte)
{
	r->state = INSIDE;
	if (r->len == GDB_PACKET_SIZE)
		r->too_long = true;
	else
		r->data[r->len++] = (char)byte;
}

static void inside(struct gdb_reader *r, uint8_t byte)
{
	if (byte == '#') {
		r->state = CHECK_HIGH;
		return;
	}
	if (byte == '$') { /* the packet before was cut off */
		start(r);
		return;
	}
	r->sum += byte;
	if (byte == '}')
		r->state = ESCAPED;
	else
		append(r, byte);
}

static enum gdb_event finish(struct gdb_reader *r, int low)
{
	r->state = OUTSIDE;
	if (r->too_long || low < 0 || (r->check | low) != r->sum)
		return GDB_BAD;
	r->data[r->len] = '\0';
	return GDB_PACKET;
}

enum gdb_event gdb_read_byte(struct gdb_reader *r, uint8_t byte)
{
	int digit = gdb_hex_digit((char)byte);

	switch (r->state) {
	case OUTSIDE:
		return outside(r, byte);
	case INSIDE:
		inside(r, byte);
		return GDB_NOTHING;
	case ESCAPED:
		r->sum += byte;
		append(r, byte ^ 0x20);
		return GDB_NOTHING;
	case CHECK_HIGH:
		if (digit < 0)
			return finish(r, -1);
		r->check = (uint8_t)(digit << 4);
		r->state = CHECK_LOW;
		return GDB_NOTHING;
	case CHECK_LOW:
		return finish(r, digit);
	}
	return GDB_NOTHING;
}

/* ---- out ------------------------------------------------------------------------------------ */

static bool needs_escape(char c)
{
	return c == '#' || c == '$' || c == '}' || c == '*';
}

size_t gdb_frame(const char *data, size_t len, char *out)
{
	char *p = out;
	uint8_t sum = 0;

	*p++ = '$';
	for (size_t i = 0; i < len; i++) {
		if (needs_escape(data[i])) {
			*p++ = '}';
			*p++ = data[i] ^ 0x20;
		} else {
			*p++ = data[i];
		}
	}
	for (const char *q = out + 1; q < p; q++)
		sum += (uint8_t)*q;
	*p++ = '#';
	p = gdb_hex_encode(p, &sum, 1);
	return (size_t)(p - out);
}
