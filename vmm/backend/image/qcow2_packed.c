/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed clusters: raw deflate streams, or zstd frames. */
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/backend/image/qcow2.h"

/* Negative: a window of 4 KiB without zlib's header, as the format says. */
#define WINDOW_BITS (-12)

static int inflate_cluster(const uint8_t *in, uint64_t len, uint8_t *out, uint64_t cluster)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)len,
		      .next_out = out,
		      .avail_out = (uInt)cluster};
	int rc;

	if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* The length is known in sectors only: bytes may be left over behind the stream. */
	if (rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return -EIO;
	return z.avail_out ? -EIO : 0;
}

static int unzstd_cluster(const uint8_t *in, uint64_t len, uint8_t *out, uint64_t cluster)
{
	ZSTD_inBuffer from = {in, len, 0};
	ZSTD_outBuffer to = {out, cluster, 0};
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t rc = 1;

	if (!ctx)
		return -ENOMEM;
	while (to.pos < to.size) {
		size_t before = from.pos + to.pos;

		rc = ZSTD_decompressStream(ctx, &to, &from);
		if (ZSTD_isError(rc) || from.pos + to.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return !ZSTD_isError(rc) && to.pos == to.size ? 0 : -EIO;
}

int qcow2_unpack(struct image *img, const uint8_t *in, uint64_t len, uint8_t *out)
{
	const struct qcow2 *q = qcow2_of(img);

	return q->h.compression ? unzstd_cluster(in, len, out, q->cluster)
				: inflate_cluster(in, len, out, q->cluster);
}
