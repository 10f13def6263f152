/* SPDX-License-Identifier: Apache-2.0 */
/* Formats of disk images, as disk.c calls them. */
#ifndef VMM_BACKEND_RAW_H
#define VMM_BACKEND_RAW_H

#include "vmm/backend/disk.h"

/* `fd` is open and locked; owned by the result, left alone on failure. `size` in bytes. */
int raw_open(int fd, uint64_t size, struct loop *loop, struct disk **out, struct err *e);

#endif
