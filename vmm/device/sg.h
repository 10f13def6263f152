/* SPDX-License-Identifier: Apache-2.0 */
/* A list of pieces of guest memory that one request of a device moves data to or from. */
#ifndef VMM_DEVICE_SG_H
#define VMM_DEVICE_SG_H

#include <stdbool.h>
#include <sys/uio.h>

#include "vmm/memory.h"

#define SG_MAX 65536 /* pieces; a SATA command may have one less */

struct sg {
	struct iovec *iov; /* for the disk, which may change it */
	struct sg_piece {
		gpa_t gpa;
		uint8_t *host;
		uint64_t len;
	} * piece;
	unsigned n, cap;
	uint64_t len; /* bytes in all */
};

void sg_clear(struct sg *s); /* empty again; its arrays stay */
void sg_free(struct sg *s);

/* -EFAULT: not RAM; -E2BIG: too many pieces; -ENOMEM. `write`: the device will write there. */
int sg_add(struct sg *s, const struct guest_memory *m, gpa_t gpa, uint64_t len, bool write);
/* Cuts the list to its first `len` bytes. */
void sg_trim(struct sg *s, uint64_t len);
/* Prepares iov for the whole list and returns it. */
struct iovec *sg_iov(struct sg *s);

/* Copies at most `len` bytes between the list, from `off` on, and `buf`; returns how many. */
uint64_t sg_put(struct sg *s, struct guest_memory *m, uint64_t off, const void *buf, uint64_t len);
uint64_t sg_get(const struct sg *s, uint64_t off, void *buf, uint64_t len);
/* A disk has filled the list. */
void sg_written(const struct sg *s, struct guest_memory *m);

#endif
