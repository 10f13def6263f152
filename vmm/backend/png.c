/* SPDX-License-Identifier: Apache-2.0 */
/* Writes pictures through libpng. */
#include "vmm/backend/png.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libpng's simplified interface: no callbacks, no long jumps. */
static bool write_picture(FILE *f, const struct surface *s, char *why, size_t size)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = s->width,
		.height = s->height,
		.format = PNG_FORMAT_BGR,
		.flags = PNG_IMAGE_FLAG_FAST,
	};
	size_t n = (size_t)s->width * s->height;
	uint8_t *bytes = malloc(3 * n);
	bool ok = false;

	for (size_t i = 0; bytes && i < n; i++)
		memcpy(bytes + 3 * i, &s->pixels[i], 3); /* blue, green, red */
	if (bytes)
		ok = png_image_write_to_stdio(&image, f, 0, bytes, 0, NULL);
	snprintf(why, size, "%s", bytes ? image.message : "out of memory");
	free(bytes);
	png_image_free(&image);
	return ok;
}

int png_write(int fd, const struct surface *s, struct err *e)
{
	FILE *f = fdopen(fd, "wb");
	char why[80];
	int rc = 0;

	if (!f) {
		rc = err_set(e, -errno, "%s", strerror(errno));
		close(fd);
		return rc;
	}
	if (!write_picture(f, s, why, sizeof(why)))
		rc = err_set(e, -EIO, "%s", why);
	if (fclose(f) && !rc)
		rc = err_set(e, -errno, "%s", strerror(errno));
	return rc;
}
