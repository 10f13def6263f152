/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices on PCI, without the legacy interface (OASIS virtio 1.2: 2.7 split virtqueues, 4.1
 * PCI) with MSI-X. A device that answers nonsense is not believed: its queue is broken from then
 * on.
 */
#ifndef KERNEL_DRIVERS_VIRTIO_H
#define KERNEL_DRIVERS_VIRTIO_H

#include "kernel/drivers/pci.h"

#define VIRTIO_VENDOR     0x1af4
#define VIRTIO_F_VERSION1 (1UL << 32)

#define VIRTQ_MAX 256 /* descriptors */

struct virtio {
	struct pci_device *pci;
	volatile void *common, *notify;
	volatile void *config; /* of the kind of device; NULL: none */
	uint32_t config_len, notify_len, notify_step;
	uint64_t features; /* agreed on */
};

/* A piece of memory for the device. */
struct virtq_buffer {
	uint64_t phys;
	uint32_t len;
	bool device_writes; /* buffers that the device reads come first */
};

/* No function locks: the driver does. */
struct virtq {
	struct virtio *dev;
	uint16_t index, size;
	bool broken;
	bool quiet;             /* nothing is logged: it is the log's own */
	uint16_t free, nfree;   /* list of free descriptors */
	uint16_t offered, used; /* our places in the rings */
	volatile void *bell;
	struct virtq_descriptor *descriptors;
	volatile uint16_t *avail; /* flags, index, ring */
	volatile uint16_t *used_ring;
	/* By descriptor. Ours, as the device could write to the descriptors. */
	struct {
		void *token; /* of the request that begins here */
		uint16_t next;
		uint16_t count; /* descriptors of the request */
		uint32_t room;  /* bytes that the device may write */
	} slot[VIRTQ_MAX];
};

/* Finds the registers, resets the device and agrees on `wanted` features (VERSION1 is implied). */
int virtio_start(struct virtio *v, struct pci_device *d, uint64_t wanted);
/*
 * Makes queue `index` with at most `max` descriptors (a power of two, at most VIRTQ_MAX).
 * irq(opaque) runs when the device has used buffers; several queues may have the same. NULL: no
 * interrupt, the queue is looked at.
 */
int virtq_start(struct virtq *q, struct virtio *v, unsigned index, unsigned max, irq_fn *irq,
		void *opaque);
/* After the last queue: the device begins to work. */
void virtio_ready(struct virtio *v);

/* Offers a request of n buffers; the device is told by virtq_kick(). -ENOSPC: no descriptors are
 * left; -EIO: the queue is broken. `token` is not NULL. */
int virtq_add(struct virtq *q, const struct virtq_buffer *b, unsigned n, void *token);
/* A request of one buffer, which is its token. */
int virtq_offer(struct virtq *q, void *mem, size_t n, bool device_writes);
void virtq_kick(struct virtq *q);
/* The token of a request that the device has finished, and how many bytes it wrote; NULL: none. */
void *virtq_take(struct virtq *q, uint32_t *written);
/* The device is of no more use: it answered nonsense, asks for a reset, or is gone. */
bool virtq_failed(struct virtq *q);

#endif
