/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures as PNG files. */
#ifndef VMM_BACKEND_PNG_H
#define VMM_BACKEND_PNG_H

#include "base/err.h"
#include "vmm/backend/display.h"

/* Writes the picture to an open file, which it closes in any case. */
int png_write(int fd, const struct surface *s, struct err *e);

#endif
