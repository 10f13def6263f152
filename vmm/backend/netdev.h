/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a guest's Ethernet frames go. Frames carry no virtio header and no FCS; 14..65550 bytes.
 */
#ifndef VMM_BACKEND_NETDEV_H
#define VMM_BACKEND_NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "vmm/loop.h"

struct netdev;

struct netdev_ops {
	/* Takes a copy, drops the frame when full. It may be held back until flush(). */
	void (*send)(struct netdev *n, const struct iovec *iov, unsigned niov);
	void (*flush)(struct netdev *n);
	void (*resume)(struct netdev *n); /* the client has room again */
	void (*destroy)(struct netdev *n);
};

struct netdev_client {
	/* One frame from the host; false: no buffer now, the back end keeps it until resume(). */
	bool (*receive)(void *opaque, const uint8_t *frame, size_t len);
	/* After each batch of receive() calls, so that the guest is interrupted once. Optional. */
	void (*batch_done)(void *opaque);
	/* The other end is gone for good. The back end may not be destroyed in the call. Optional:
	 * without it that is said in the log. */
	void (*gone)(void *opaque);
	void *opaque;
};

struct netdev {
	const struct netdev_ops *ops;
	struct netdev_client client;
	unsigned mtu; /* largest packet it carries, 0: the usual 1500 */
};

/*
 * The stream protocol of passt and QEMU's "stream" netdev: each frame behind a 32-bit big-endian
 * length. `fd` is a connected stream socket; owned by the result.
 */
int netdev_stream_open(int fd, struct loop *loop, struct netdev **out, struct err *e);

/* A TAP interface of the host, opened without packet information; `fd` is owned by the result. */
int netdev_tap_open(int fd, struct loop *loop, struct netdev **out, struct err *e);

/*
 * Tells the other end that the card with this address is here, as a guest that was moved or
 * restored would not by itself: switches send to where an address spoke last, passt to the one that
 * spoke.
 */
void netdev_announce(struct netdev *n, const uint8_t mac[6]);

#endif
