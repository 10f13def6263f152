/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is not of one process: files of the RAM file system, memfds, shared anonymous
 * mappings. A growing array of pages, each made at its first touch. Reference counted.
 */
#ifndef KERNEL_MM_OBJECT_H
#define KERNEL_MM_OBJECT_H

#include "kernel/lib/lib.h"

struct memobj {
	struct spinlock lock;
	uint32_t refs;
	uint64_t size;   /* bytes; of files: their length */
	uint64_t *pages; /* physical addresses, 0: a hole */
	uint64_t npages; /* length of the array */
	uint64_t resident;
	struct domain *maker; /* pages count for all of it, see landlock_pages(); NULL is allowed */
};

struct memobj *memobj_new(void);
struct memobj *memobj_get(struct memobj *o);
void memobj_put(struct memobj *o); /* NULL is allowed */

/* The page at a byte offset, made if `create`; 0 if there is none. With a reference for the caller.
 */
uint64_t memobj_page(struct memobj *o, uint64_t offset, bool create);
/* Shorter sizes free pages and zero the rest of the last one. 0, -ENOMEM or -EFBIG. */
int memobj_resize(struct memobj *o, uint64_t size);
/* [offset, offset + len) becomes zeros; whole pages of it are freed, but who maps them keeps them.
 */
void memobj_punch(struct memobj *o, uint64_t offset, uint64_t len);
/* Copies bytes to the kernel; -EINVAL beyond the end. */
int memobj_read(struct memobj *o, void *to, uint64_t at, uint64_t n);
/* Wraps memory that is there already, such as a file of the initramfs: pages are copied on reading
 * in. */
int memobj_fill(struct memobj *o, const void *data, uint64_t len);

#endif
