/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacks kernels with the libraries for each format; everything they are given is hostile. */
#include "vmm/boot/payload.h"

#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#define LENGTH_BYTES  4              /* behind the stream: the unpacked size */
#define LZ4_BLOCK     (8u << 20)     /* of the old frame: blocks of that size, unpacked */
#define XZ_MAX_MEMORY (256ull << 20) /* for the dictionary */

struct stream {
	const uint8_t *in;
	size_t in_size;
	uint8_t *out;
	size_t out_size; /* exactly */
};

/* gzip's own last four bytes are the length. */
static bool unpack_gzip(const struct stream *s)
{
	z_stream z = {.next_in = (Bytef *)s->in,
		      .avail_in = (uInt)(s->in_size + LENGTH_BYTES),
		      .next_out = s->out,
		      .avail_out = (uInt)s->out_size};
	bool good;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return false;
	good = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == s->out_size;
	inflateEnd(&z);
	return good;
}

static bool unpack_lz4(const struct stream *s)
{
	size_t in = 4, out = 0;

	while (s->in_size - in >= 4) {
		size_t room = s->out_size - out;
		uint32_t len;
		int n;

		memcpy(&len, s->in + in, 4);
		in += 4;
		if (len > s->in_size - in)
			return false;
		n = LZ4_decompress_safe((const char *)s->in + in, (char *)s->out + out, (int)len,
					(int)(room < LZ4_BLOCK ? room : LZ4_BLOCK));
		if (n <= 0)
			return false;
		in += len;
		out += (size_t)n;
	}
	return out == s->out_size;
}

static bool unpack_xz(const struct stream *s)
{
	uint64_t memory = XZ_MAX_MEMORY;
	size_t in = 0, out = 0;

	return lzma_stream_buffer_decode(&memory, 0, NULL, s->in, &in, s->in_size, s->out, &out,
					 s->out_size) == LZMA_OK &&
	       out == s->out_size;
}

static bool unpack_zstd(const struct stream *s)
{
	return ZSTD_decompress(s->out, s->out_size, s->in, s->in_size) == s->out_size;
}

static const struct format {
	uint8_t magic[6], length;
	bool (*unpack)(const struct stream *s);
} formats[] = {
	{{0x1f, 0x8b}, 2, unpack_gzip},
	{{0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4},
	{{0xfd, '7', 'z', 'X', 'Z', 0}, 6, unpack_xz},
	{{0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
};

static const struct format *find_format(const uint8_t *packed)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!memcmp(packed, formats[i].magic, formats[i].length))
			return &formats[i];
	return NULL;
}

static bool map(struct payload *p, size_t size)
{
	p->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->data == MAP_FAILED) {
		p->data = NULL;
		return false;
	}
	p->size = size;
	madvise(p->data, size, MADV_HUGEPAGE);
	return true;
}

bool payload_unpack(const uint8_t *packed, size_t size, size_t max, struct payload *out)
{
	const struct format *f;
	struct stream s;
	uint32_t unpacked;

	*out = (struct payload){0};
	if (size < sizeof(f->magic) + LENGTH_BYTES || size > PAYLOAD_MAX_UNPACKED)
		return false;
	f = find_format(packed);
	memcpy(&unpacked, packed + size - LENGTH_BYTES, LENGTH_BYTES);
	if (!f || !unpacked || unpacked > max || unpacked > PAYLOAD_MAX_UNPACKED ||
	    !map(out, unpacked))
		return false;
	s = (struct stream){packed, size - LENGTH_BYTES, out->data, unpacked};
	if (f->unpack(&s))
		return true;
	payload_free(out);
	return false;
}

void payload_free(struct payload *p)
{
	if (p->data)
		munmap(p->data, p->size);
	*p = (struct payload){0};
}
