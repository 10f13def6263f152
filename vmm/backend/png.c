/* SPDX-License-Identifier: Apache-2.0 */
/* Writes pictures through libpng. */
#include "vmm/backend/png.h"

#include <errno.h>
#include <fcntl.h>
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

int png_write(const char *path, const struct surface *s, struct err *e)
{
	char *temporary, why[80];
	FILE *f = NULL;
	int fd, rc = 0;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd >= 0)
		f = fdopen(fd, "wb");
	if (!f) {
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
		goto free_name;
	}
	if (!write_picture(f, s, why, sizeof(why)))
		rc = err_set(e, -EIO, "%s: %s", path, why);
	if (fclose(f) && !rc)
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (!rc && rename(temporary, path))
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (rc)
		unlink(temporary);
free_name:
	free(temporary);
	return rc;
}
