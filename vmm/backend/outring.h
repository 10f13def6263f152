/* SPDX-License-Identifier: Apache-2.0 */
/* Output that the host does not take at once: the last 64 KiB of it wait here. */
#ifndef VMM_BACKEND_OUTRING_H
#define VMM_BACKEND_OUTRING_H

#include <stddef.h>
#include <stdint.h>

#define OUTRING_SIZE 65536u

struct outring {
	unsigned start, len;
	unsigned long dropped; /* bytes, oldest first */
	uint8_t buf[OUTRING_SIZE];
};

void outring_put(struct outring *r, const void *data, size_t len);
/* Writes as much as the descriptor takes without blocking. 0, or the errno that will not go away.
 */
int outring_flush(struct outring *r, int fd);
/* Writes what is waiting, then `data`; what the descriptor does not take waits. Errors as above. */
int outring_write(struct outring *r, int fd, const void *data, size_t len);
/* Waits up to `ms` milliseconds for the rest to go out. */
void outring_drain(struct outring *r, int fd, int ms);

#endif
