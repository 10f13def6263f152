/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures as PNG files. */
#ifndef VMM_BACKEND_PNG_H
#define VMM_BACKEND_PNG_H

#include "base/err.h"
#include "vmm/backend/display.h"

/* Writes a new file and renames it to `path`: a reader never sees half a picture. */
int png_write(const char *path, const struct surface *s, struct err *e);

#endif
