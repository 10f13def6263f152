/* SPDX-License-Identifier: Apache-2.0 */
/* A viewer for the tests: connects, decodes raw and ZRLE into a picture of its own. */
#ifndef TESTS_UNIT_DISPLAY_VIEWER_H
#define TESTS_UNIT_DISPLAY_VIEWER_H

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

#define VIEWER_MAX 1024

struct viewer {
	int fd;
	unsigned width, height;
	unsigned bytes; /* of a pixel: 4, or 2 after viewer_format16() */
	uint32_t pixel[VIEWER_MAX * VIEWER_MAX];
	z_stream inflate;
	bool has_inflate;
	unsigned rects, area; /* of the last update */
	bool told_keys;
	int absolute; /* -1: not told */
	char name[64];
};

int viewer_dial(const char *path);
void viewer_read(struct viewer *v, void *buf, size_t len); /* fails the test at the end */
void viewer_write(struct viewer *v, const void *buf, size_t len);
bool viewer_closed(struct viewer *v); /* waits for the end */
/* Version, security none, initialisation. */
void viewer_connect(struct viewer *v, const char *path);
void viewer_close(struct viewer *v);
void viewer_encodings(struct viewer *v, const int32_t *e, unsigned n);
void viewer_format16(struct viewer *v); /* RGB 565, big endian */
void viewer_ask(struct viewer *v, bool incremental);
void viewer_update(struct viewer *v); /* takes one update */

#endif
