/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' viewer, written from RFC 6143 and not from the server. */
#include "tests/unit/display/viewer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

int viewer_dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 10};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

void viewer_read(struct viewer *v, void *buf, size_t len)
{
	assert_int_equal(recv(v->fd, buf, len, MSG_WAITALL), len);
}

void viewer_write(struct viewer *v, const void *buf, size_t len)
{
	assert_int_equal(send(v->fd, buf, len, MSG_NOSIGNAL), len);
}

bool viewer_closed(struct viewer *v)
{
	char rest[256];
	ssize_t n;

	while ((n = recv(v->fd, rest, sizeof(rest), 0)) > 0)
		;
	return n == 0;
}

static unsigned read16(struct viewer *v)
{
	uint8_t b[2];

	viewer_read(v, b, 2);
	return b[0] << 8u | b[1];
}

static uint32_t read32(struct viewer *v)
{
	uint32_t high = read16(v);

	return high << 16 | read16(v);
}

void viewer_connect(struct viewer *v, const char *path)
{
	char version[12];
	uint8_t types[2], format[16];
	uint32_t n;

	memset(v, 0, sizeof(*v));
	v->fd = viewer_dial(path);
	v->bytes = 4;
	v->absolute = -1;
	viewer_read(v, version, 12);
	assert_memory_equal(version, "RFB 003.008\n", 12);
	viewer_write(v, version, 12);
	viewer_read(v, types, 2);
	assert_memory_equal(types, "\1\1", 2);
	viewer_write(v, "\1", 1);
	assert_int_equal(read32(v), 0);
	viewer_write(v, "\1", 1);
	v->width = read16(v);
	v->height = read16(v);
	viewer_read(v, format, 16);
	assert_memory_equal(format, "\x20\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0", 13);
	n = read32(v);
	assert_true(n < sizeof(v->name));
	viewer_read(v, v->name, n);
}

void viewer_close(struct viewer *v)
{
	if (v->has_inflate)
		inflateEnd(&v->inflate);
	close(v->fd);
}

void viewer_encodings(struct viewer *v, const int32_t *e, unsigned n)
{
	uint8_t head[4] = {2, 0, (uint8_t)(n >> 8), (uint8_t)n};

	viewer_write(v, head, 4);
	for (unsigned i = 0; i < n; i++) {
		uint32_t wire = __builtin_bswap32((uint32_t)e[i]);

		viewer_write(v, &wire, 4);
	}
}

void viewer_format16(struct viewer *v)
{
	static const uint8_t message[20] = {0, 0,  0, 0,  16, 16, 1, 1, 0, 31,
					    0, 63, 0, 31, 11, 5,  0, 0, 0, 0};

	viewer_write(v, message, sizeof(message));
	v->bytes = 2;
}

void viewer_ask(struct viewer *v, bool incremental)
{
	uint8_t message[10] = {3, incremental, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

	viewer_write(v, message, sizeof(message));
}

/* ---- decoding ------------------------------------------------------------------------------- */

static void store(struct viewer *v, unsigned x, unsigned y, uint32_t c)
{
	assert_true(x < v->width && y < v->height);
	v->pixel[y * VIEWER_MAX + x] = c;
}

static uint32_t widen(uint16_t c)
{
	return (uint32_t)(c >> 11) << 19 | (uint32_t)(c >> 5 & 63) << 10 | (uint32_t)(c & 31) << 3;
}

static void raw(struct viewer *v, unsigned x, unsigned y, unsigned w, unsigned h)
{
	for (unsigned i = 0; i < w * h; i++) {
		uint8_t b[4] = {0};

		viewer_read(v, b, v->bytes);
		store(v, x + i % w, y + i / w,
		      v->bytes == 4 ? (uint32_t)(b[0] | b[1] << 8 | b[2] << 16)
				    : widen((uint16_t)(b[0] << 8 | b[1])));
	}
}

static uint32_t cpixel(struct viewer *v, const uint8_t **p)
{
	const uint8_t *b = *p;

	*p += v->bytes == 4 ? 3 : 2;
	if (v->bytes == 4)
		return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
	return widen((uint16_t)(b[0] << 8 | b[1]));
}

static const uint8_t *tile(struct viewer *v, const uint8_t *p, unsigned x, unsigned y, unsigned w,
			   unsigned h)
{
	unsigned colours = *p++, bits = colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
	uint32_t palette[16];

	assert_true(colours <= 16);
	for (unsigned i = 0; i < colours; i++)
		palette[i] = cpixel(v, &p);
	for (unsigned row = 0; row < h; row++) {
		for (unsigned i = 0; i < w; i++) {
			uint32_t c;

			if (colours == 0)
				c = cpixel(v, &p);
			else if (colours == 1)
				c = palette[0];
			else
				c = palette[p[i * bits / 8] >> (8 - bits - i * bits % 8) &
					    ((1 << bits) - 1)];
			store(v, x + i, y + row, c);
		}
		p += colours > 1 ? (w * bits + 7) / 8 : 0;
	}
	return p;
}

static void zrle(struct viewer *v, unsigned x, unsigned y, unsigned w, unsigned h)
{
	size_t room = 4u * w * h + w * h / 64 + 4096;
	uint32_t n = read32(v);
	uint8_t *packed = malloc(n), *plain = malloc(room);
	const uint8_t *p = plain;

	viewer_read(v, packed, n);
	if (!v->has_inflate)
		assert_int_equal(inflateInit(&v->inflate), Z_OK);
	v->has_inflate = true;
	v->inflate.next_in = packed;
	v->inflate.avail_in = n;
	v->inflate.next_out = plain;
	v->inflate.avail_out = (unsigned)room;
	assert_int_equal(inflate(&v->inflate, Z_SYNC_FLUSH), Z_OK);
	assert_int_equal(v->inflate.avail_in, 0);
	for (unsigned ty = 0; ty < h; ty += 64)
		for (unsigned tx = 0; tx < w; tx += 64)
			p = tile(v, p, x + tx, y + ty, w - tx < 64 ? w - tx : 64,
				 h - ty < 64 ? h - ty : 64);
	assert_ptr_equal(p, v->inflate.next_out);
	free(packed);
	free(plain);
}

static void rectangle(struct viewer *v)
{
	unsigned x = read16(v), y = read16(v), w = read16(v), h = read16(v);
	int32_t encoding = (int32_t)read32(v);

	if (encoding == -223) {
		v->width = w;
		v->height = h;
		assert_true(w <= VIEWER_MAX && h <= VIEWER_MAX);
	} else if (encoding == -258) {
		v->told_keys = true;
	} else if (encoding == -257) {
		v->absolute = (int)x;
	} else if (encoding == 16) {
		zrle(v, x, y, w, h);
		v->area += w * h;
	} else {
		assert_int_equal(encoding, 0);
		raw(v, x, y, w, h);
		v->area += w * h;
	}
}

void viewer_update(struct viewer *v)
{
	uint8_t head[2];

	viewer_read(v, head, 2);
	assert_int_equal(head[0], 0);
	v->rects = read16(v);
	v->area = 0;
	for (unsigned i = 0; i < v->rects; i++)
		rectangle(v);
}
