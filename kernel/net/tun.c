/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/net/tun: the VMs' ends of switches (Linux: Documentation/networking/tuntap.rst). Taps only,
 * whole frames without any header; what does not fit into a tap's queue is lost and counted.
 */
#include "kernel/net/tun.h"

#include <asm/ioctl.h>
#include <linux/if_tun.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/net/netif.h"
#include "kernel/sys/vfs.h"

#define QUEUE_LEN 256

struct queued {
	uint16_t len;
	uint8_t data[FRAME_MAX];
};

struct tap {
	struct netif netif; /* index 0: a file that is no interface yet */
	struct waitq queue;
	unsigned head, tail;  /* frames for the program: under net_lock */
	struct queued *frame; /* QUEUE_LEN */
};

static bool tap_send(struct port *p, const void *frame, unsigned len)
{
	struct tap *t = CONTAINER(p, struct tap, netif.port);
	unsigned at = t->head % QUEUE_LEN;

	if (t->head - t->tail == QUEUE_LEN)
		return false;
	memcpy(t->frame[at].data, frame, len);
	t->frame[at].len = (uint16_t)len;
	t->head++;
	waitq_wake(&t->queue, ~0u);
	return true;
}

/* 0: none is there. */
static unsigned take_frame(struct tap *t, uint8_t to[FRAME_MAX])
{
	SPIN_GUARD(&net_lock);
	unsigned at = t->tail % QUEUE_LEN, len = 0;

	if (t->head != t->tail) {
		len = t->frame[at].len;
		memcpy(to, t->frame[at].data, len);
		t->tail++;
	}
	return len;
}

/* What the vector has no room for is lost, as on Linux. */
static int64_t scatter(const struct uio *v, unsigned n, const uint8_t *frame, unsigned len)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		unsigned part = (unsigned)MIN(v[i].len, len - done);

		if (copy_to_user(v[i].addr, frame + done, part))
			return -EFAULT;
		done += part;
	}
	return done;
}

/* Length of the whole, FRAME_MAX + 1 if it is longer. */
static int64_t gather(const struct uio *v, unsigned n, uint8_t frame[FRAME_MAX])
{
	unsigned len = 0;

	for (unsigned i = 0; i < n; i++) {
		if (v[i].len > FRAME_MAX - len)
			return FRAME_MAX + 1;
		if (copy_from_user(frame + len, v[i].addr, v[i].len))
			return -EFAULT;
		len += (unsigned)v[i].len;
	}
	return len;
}

static int64_t tap_vector(struct file *f, bool write, const struct uio *v, unsigned n)
{
	struct tap *t = f->data;
	uint8_t frame[FRAME_MAX];
	int64_t len = 0;
	int rc;

	if (!t->netif.index)
		return -EBADFD;
	if (write) {
		if (!t->netif.port.up)
			return -EIO;
		len = gather(v, n, frame);
		return len < 0 || netif_receive(&t->netif, frame, (unsigned)len) ? len : -EINVAL;
	}
	rc = FILE_WAIT_FOR(f, POLLIN, (len = take_frame(t, frame)) != 0);
	return rc ? rc : scatter(v, n, frame, (unsigned)len);
}

static unsigned tap_poll(struct file *f)
{
	struct tap *t = f->data;

	if (!t->netif.index)
		return POLLERR;
	return (__atomic_load_n(&t->head, __ATOMIC_SEQ_CST) != t->tail ? POLLIN : 0) |
	       (t->netif.port.up ? POLLOUT : 0);
}

/* ---- ioctls ---------------------------------------------------------------------------------- */

static int set_interface(struct tap *t, struct ifreq_k *r)
{
	struct queued *frames;

	if ((r->flags & ~IFF_ONE_QUEUE) != (IFF_TAP | IFF_NO_PI))
		return -EINVAL;
	frames = kzalloc(QUEUE_LEN * sizeof(*frames));
	if (!frames)
		return -ENOMEM;
	if (!__sync_bool_compare_and_swap(&t->frame, NULL, frames))
		kfree(frames); /* there already: a second call, maybe at the same time */
	t->netif.running = true;
	t->netif.port.send = tap_send;
	r->name[IFNAME_SIZE - 1] = 0;
	return netif_add(&t->netif, r->name[0] ? r->name : "tap%d");
}

static int64_t tap_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct tap *t = f->data;
	unsigned features = IFF_TAP | IFF_NO_PI;
	struct ifreq_k r;
	int rc;

	if (cmd == TUNGETFEATURES)
		return copy_to_user(arg, &features, sizeof(features));
	if (cmd != TUNSETIFF)
		return -ENOTTY;
	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	rc = set_interface(t, &r);
	if (rc)
		return rc;
	strlcpy(r.name, t->netif.name, IFNAME_SIZE);
	return copy_to_user(arg, &r, sizeof(r));
}

static void tap_close(struct file *f)
{
	struct tap *t = f->data;

	if (t->netif.index)
		netif_remove(&t->netif);
	kfree(t->frame);
	kfree(t);
}

static const struct file_ops tap_ops = {
	.name = "/dev/net/tun",
	.vector = tap_vector,
	.poll = tap_poll,
	.waitq = offsetof(struct tap, queue),
	.ioctl = tap_ioctl,
	.close = tap_close,
};

static struct file *tap_open(struct node *n, unsigned flags, int *rc)
{
	struct tap *t = kzalloc(sizeof(*t));

	(void)n;
	*rc = -ENOMEM;
	if (!t)
		return NULL;
	return file_new(&tap_ops, flags, t);
}

void tun_init(void)
{
	static const struct node_ops ops = {.open = tap_open};

	vfs_device("dev/net/tun", S_IFCHR | 0666, 0xac8, &ops, NULL); /* 10, 200 */
}
