/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of bytes between processes: pipes, sockets, terminals. */
#ifndef KERNEL_SYS_RING_H
#define KERNEL_SYS_RING_H

#include "kernel/lib/lib.h"

struct ring {
	char *data;
	uint32_t size; /* a power of two */
	uint32_t head, tail;
};

int ring_init(struct ring *r, uint32_t size);
void ring_free(struct ring *r);

static inline uint32_t ring_used(const struct ring *r)
{
	return r->head - r->tail;
}

static inline uint32_t ring_room(const struct ring *r)
{
	return r->size - ring_used(r);
}

/* User memory to ring and back; bytes moved (0 if there is no room or nothing), or -EFAULT. */
int64_t ring_from_user(struct ring *r, uint64_t buf, uint64_t n);
int64_t ring_to_user(struct ring *r, uint64_t buf, uint64_t n);
/* Kernel memory; what does not fit is dropped. */
void ring_put(struct ring *r, const char *data, uint32_t n);

#endif
