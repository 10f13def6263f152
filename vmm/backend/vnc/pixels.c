/* SPDX-License-Identifier: Apache-2.0 */
/* Growing byte buffers, numbers on the wire, and pixels as a client wants them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/vnc/internal.h"

uint8_t *vnc_room(struct vnc_bytes *b, size_t len)
{
	if (b->cap - b->len < len) {
		size_t cap = (b->len + len) * 3 / 2 + 256;
		uint8_t *data = realloc(b->data, cap);

		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	b->len += len;
	return b->data + b->len - len;
}

void vnc_put(struct vnc_bytes *b, const void *data, size_t len)
{
	uint8_t *to = vnc_room(b, len);

	if (to && len)
		memcpy(to, data, len);
}

void vnc_put8(struct vnc_bytes *b, unsigned v)
{
	vnc_put(b, &(uint8_t){(uint8_t)v}, 1);
}

void vnc_put16(struct vnc_bytes *b, unsigned v)
{
	vnc_put(b, (uint8_t[2]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

void vnc_put32(struct vnc_bytes *b, uint32_t v)
{
	vnc_put16(b, v >> 16);
	vnc_put16(b, v & 0xffff);
}

unsigned vnc_get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

uint32_t vnc_get32(const uint8_t *p)
{
	return (uint32_t)vnc_get16(p) << 16 | vnc_get16(p + 2);
}

/* ---- pixels --------------------------------------------------------------------------------- */

const struct vnc_format vnc_native = {32, 24, false, {255, 255, 255}, {16, 8, 0}};

int vnc_format_parse(const uint8_t w[16], struct vnc_format *f)
{
	*f = (struct vnc_format){.bits = w[0], .depth = w[1], .big_endian = w[2]};
	if ((f->bits != 8 && f->bits != 16 && f->bits != 32) || !w[3])
		return -EINVAL; /* no colour maps */
	for (unsigned i = 0; i < 3; i++) {
		f->max[i] = (uint16_t)vnc_get16(w + 4 + 2 * i);
		f->shift[i] = w[10 + i];
		if (f->shift[i] >= f->bits || ((uint64_t)f->max[i] << f->shift[i]) >> f->bits)
			return -EINVAL;
	}
	return 0;
}

bool vnc_format_is_native(const struct vnc_format *f)
{
	return f->bits == 32 && !f->big_endian && !memcmp(f->max, vnc_native.max, sizeof(f->max)) &&
	       !memcmp(f->shift, vnc_native.shift, sizeof(f->shift));
}

void vnc_format_put(struct vnc_bytes *b, const struct vnc_format *f)
{
	vnc_put(b, (uint8_t[4]){f->bits, f->depth, f->big_endian, 1}, 4);
	for (unsigned i = 0; i < 3; i++)
		vnc_put16(b, f->max[i]);
	vnc_put(b, f->shift, 3);
	vnc_put(b, (uint8_t[3]){0}, 3);
}

uint32_t vnc_pixel(const struct vnc_format *f, uint32_t rgb)
{
	uint32_t p = 0;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t part = rgb >> (16 - 8 * i) & 0xff;

		p |= (part * f->max[i] + 127) / 255 << f->shift[i];
	}
	return p;
}

unsigned vnc_cpixel(const struct vnc_format *f, unsigned *first)
{
	uint32_t used = 0;

	*first = 0;
	for (unsigned i = 0; i < 3; i++)
		used |= (uint32_t)f->max[i] << f->shift[i];
	if (f->bits != 32 || f->depth > 24)
		return f->bits / 8;
	if (!(used & 0xff000000))
		*first = f->big_endian ? 1 : 0;
	else if (!(used & 0xff))
		*first = f->big_endian ? 0 : 1;
	else
		return 4;
	return 3;
}

uint8_t *vnc_store(const struct vnc_format *f, uint32_t pixel, unsigned first, unsigned bytes,
		   uint8_t *to)
{
	unsigned size = f->bits / 8;

	for (unsigned i = first; i < first + bytes; i++)
		*to++ = (uint8_t)(pixel >> 8 * (f->big_endian ? size - 1 - i : i));
	return to;
}
