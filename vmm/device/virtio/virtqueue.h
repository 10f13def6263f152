/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (virtio 1.2 section 2.7): takes requests from the driver's rings and gives them
 * back. Rings and buffers are used where they lie in guest memory, nothing is copied; each value
 * is read once and checked. An invalid one breaks the device (virtio_broken()).
 */
#ifndef VMM_DEVICE_VIRTIO_VIRTQUEUE_H
#define VMM_DEVICE_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/state/state.h"
#include "vmm/types.h"

#define VIRTIO_MAX_QUEUES 5
#define VIRTQ_MAX_SIZE    256
#define VIRTQ_MAX_SEGS    130 /* descriptors of one request: 128 of data, header and status */

struct virtio_dev;

/* What a save holds: one column a queue. */
struct virtqueue_hw {
	uint64_t desc[VIRTIO_MAX_QUEUES], driver[VIRTIO_MAX_QUEUES], device[VIRTIO_MAX_QUEUES];
	uint16_t size[VIRTIO_MAX_QUEUES];
	uint16_t next_avail[VIRTIO_MAX_QUEUES]; /* next entry of the available ring to take */
	uint16_t next_used[VIRTIO_MAX_QUEUES];  /* next entry of the used ring to fill */
	uint16_t signalled[VIRTIO_MAX_QUEUES];  /* next_used when the driver was last considered */
	uint8_t enabled[VIRTIO_MAX_QUEUES];
};

#define VIRTQUEUE_STATE(t, type, m)                                                      \
	ST_ARR((t), type, m.desc), ST_ARR((t) + 1, type, m.driver),                      \
		ST_ARR((t) + 2, type, m.device), ST_ARR((t) + 3, type, m.size),          \
		ST_ARR((t) + 4, type, m.next_avail), ST_ARR((t) + 5, type, m.next_used), \
		ST_ARR((t) + 6, type, m.signalled), ST_ARR((t) + 7, type, m.enabled)

/* Layouts of section 2.7.5 to 2.7.8; little-endian, as is the host. */
struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring_used_elem {
	uint32_t id, len;
};

#define VRING_DESC_NEXT          1
#define VRING_DESC_WRITE         2
#define VRING_DESC_INDIRECT      4
#define VRING_USED_NO_NOTIFY     1
#define VRING_AVAIL_NO_INTERRUPT 1

struct virtqueue {
	struct virtio_dev *dev;
	unsigned index;
	/* The rings in host memory, NULL while the queue is not enabled. */
	const struct vring_desc *desc;
	const uint16_t *avail; /* flags, idx, ring[size], used_event */
	uint16_t *used;        /* flags, idx, ring[size], avail_event */
};

/* One request: first what the device reads, then what it writes. */
struct virtq_elem {
	uint16_t head;
	unsigned nout, nin;
	uint64_t out_len, in_len;
	struct iovec iov[VIRTQ_MAX_SEGS]; /* the device may shorten and change these */
	gpa_t gpa[VIRTQ_MAX_SEGS];
	uint32_t len[VIRTQ_MAX_SEGS]; /* as the driver gave it */
};

/* Checks addresses and sizes and looks up the rings; breaks the device if they are wrong. */
bool virtq_enable(struct virtqueue *q);
void virtq_disable(struct virtqueue *q);

/*
 * Takes the next request; false when there is none (the driver will then ring the bell for the next
 * one) or when the device is, or thereby becomes, broken.
 */
bool virtq_pop(struct virtqueue *q, struct virtq_elem *el);
/* Puts back the last `n` requests taken and not yet given back, as if they had not been seen. */
void virtq_unpop(struct virtqueue *q, unsigned n);
/* Asks for a bell when more requests come; false: some are already there. */
bool virtq_want_notify(struct virtqueue *q);
/* True when the available ring is known to hold another request. */
bool virtq_more(const struct virtqueue *q);

/* Gives a request back with `written` bytes in its in part. */
void virtq_push(struct virtqueue *q, const struct virtq_elem *el, uint32_t written);
/* The same in two steps, for several that must become visible at once: fill 0, 1, ..., then
 * publish. */
void virtq_fill(struct virtqueue *q, unsigned at, const struct virtq_elem *el, uint32_t written);
void virtq_publish(struct virtqueue *q, unsigned count);
/* Interrupts the driver if it wants to know what was given back since the last call. */
void virtq_signal(struct virtqueue *q);

/* ---- lists of buffers --------------------------------------------------------------------------
 */

/* Copies up to `len` bytes at `off`; returns how many there were. */
uint64_t iov_read(const struct iovec *iov, unsigned n, uint64_t off, void *buf, uint64_t len);
uint64_t iov_write(const struct iovec *iov, unsigned n, uint64_t off, const void *buf,
		   uint64_t len);
/* Drops `len` bytes from the front; returns the first entry left and lowers *n. */
struct iovec *iov_skip(struct iovec *iov, unsigned *n, uint64_t len);

static inline struct iovec *virtq_in(struct virtq_elem *el)
{
	return &el->iov[el->nout];
}

#endif
