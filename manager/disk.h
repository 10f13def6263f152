/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk images as their owner handles them: made, looked at, converted, repaired. Images that a VM
 * uses are locked: what would change them fails with -EBUSY and the VM's name.
 */
#ifndef MANAGER_DISK_H
#define MANAGER_DISK_H

#include <jansson.h>

#include "base/err.h"
#include "vmm/backend/image/chain.h"

/*
 * The format that a file's name asks for: by ".vdi", ".raw", ".img"; else "qcow2". It may be one
 * that cannot be made, such as "vmdk".
 */
const char *disk_format_for(const char *path);

/* Makes an image. With c->backing it is an overlay, which needs no size. */
int disk_make(const char *path, struct image_create *c, struct err *e);

/*
 * All about an image as an object: "path", "format", "size", "used", "cluster", "in_use" (a
 * sentence or null), "chain" (the images below, each with path, format, size, used). The images
 * below may be missing: then "problem" says so.
 */
int disk_describe(const char *path, const char *format, json_t **out, struct err *e);

/* "20G" sets, "+5G" adds, "-5G" takes away. *size: bytes; `shrinks` tells that data would be lost.
 */
int disk_new_size(const char *path, const char *format, const char *text, uint64_t *size,
		  bool *shrinks, struct err *e);

/* Sets the size. The disk of a running VM grows under its guest, who is told. */
int disk_set_size(const char *path, const char *format, uint64_t size, struct err *e);

#endif
