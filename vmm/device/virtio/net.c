/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio network device: one queue pair, mergeable receive buffers, no offloads. (Virtio 1.2
 * section 5.1.)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmm/backend/netdev.h"
#include "vmm/device/virtio/models.h"
#include "vmm/device/virtio/virtio.h"

#define QUEUE_SIZE 256
#define RX         0
#define TX         1

#define F_MTU       (1ull << 3)
#define F_MAC       (1ull << 5)
#define F_MRG_RXBUF (1ull << 15)
#define F_STATUS    (1ull << 16)

#define STATUS_LINK_UP 1

#define MAX_FRAME 65550u

/* Section 5.1.6; without offloads all but num_buffers is zero. */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct net_hw {
	struct virtio_hw v;
};

struct net {
	struct virtio_dev v;
	struct net_hw hw;
	struct netdev *backend;
	uint8_t mac[6];
	unsigned mtu;
	uint64_t rx_frames, rx_bytes, rx_dropped, tx_frames, tx_bytes;
	struct virtq_elem el; /* the request being worked on; none outlives a call */
};

static void config_read(struct virtio_dev *v, uint8_t *config)
{
	const struct net *n = (const struct net *)v;

	memcpy(config, n->mac, sizeof(n->mac));
	config[6] = STATUS_LINK_UP;
	config[8] = 1; /* queue pairs */
	config[10] = (uint8_t)n->mtu;
	config[11] = (uint8_t)(n->mtu >> 8);
}

/* ---- to the guest
 * ---------------------------------------------------------------------------------- */

/* Puts `len` bytes behind what the buffer holds already; returns how many fitted. */
static uint64_t fill(struct virtq_elem *el, uint64_t at, const uint8_t *data, uint64_t len)
{
	return iov_write(virtq_in(el), el->nin, at, data, len);
}

/*
 * num_buffers is known only when the last buffer is filled, when the first is no longer at hand:
 * its place in guest memory is remembered.
 */
struct header_place {
	gpa_t gpa[2]; /* its two bytes: a driver may split even those */
};

static bool find_byte(const struct virtq_elem *el, uint64_t off, gpa_t *gpa)
{
	for (unsigned i = el->nout; i < el->nout + el->nin; i++) {
		if (off < el->len[i]) {
			*gpa = el->gpa[i] + off;
			return true;
		}
		off -= el->len[i];
	}
	return false;
}

static bool find_num_buffers(const struct virtq_elem *el, struct header_place *p)
{
	uint64_t off = offsetof(struct net_header, num_buffers);

	return find_byte(el, off, &p->gpa[0]) && find_byte(el, off + 1, &p->gpa[1]);
}

static void set_num_buffers(struct net *n, const struct header_place *p, unsigned count)
{
	uint8_t bytes[2] = {(uint8_t)count, (uint8_t)(count >> 8)};

	for (unsigned i = 0; i < 2; i++)
		mem_write(n->v.env.mem, p->gpa[i], &bytes[i], 1);
}

/*
 * Spreads the frame over as many buffers as it needs. Returns how many, 0 when there are too few,
 * -1 when the driver's buffers cannot hold it.
 */
static int scatter(struct net *n, const uint8_t *frame, uint64_t len)
{
	static const struct net_header header = {.num_buffers = 1};
	struct virtqueue *q = &n->v.q[RX];
	struct header_place place;
	uint64_t done = 0;
	unsigned count = 0;

	do {
		uint64_t at = 0, part;

		if (!virtq_pop(q, &n->el)) {
			virtq_unpop(q, count);
			return count < n->hw.v.vq.size[RX] ? 0 : -1;
		}
		if (!count) {
			at = fill(&n->el, 0, (const uint8_t *)&header, sizeof(header));
			if (at < sizeof(header) || !find_num_buffers(&n->el, &place)) {
				virtio_broken(&n->v, "receive buffer shorter than its header");
				return -1;
			}
		}
		part = fill(&n->el, at, frame + done, len - done);
		done += part;
		virtq_fill(q, count++, &n->el, (uint32_t)(at + part));
		if (done < len && !virtio_has(&n->v, F_MRG_RXBUF)) {
			virtq_unpop(q, count);
			return -1;
		}
	} while (done < len);
	if (count > 1)
		set_num_buffers(n, &place, count);
	return (int)count;
}

static bool receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct net *n = opaque;
	int count;

	if (!virtio_running(&n->v) || !n->v.q[RX].avail)
		return true; /* nobody listens: lost, as on a wire */
	count = scatter(n, frame, len);
	if (count > 0) {
		virtq_publish(&n->v.q[RX], (unsigned)count);
		n->rx_frames++;
		n->rx_bytes += len;
	} else if (count < 0) {
		n->rx_dropped++;
	}
	/* A device that broke just now will never have room. */
	return count != 0 || !virtio_running(&n->v);
}

static void batch_done(void *opaque)
{
	struct net *n = opaque;

	virtq_signal(&n->v.q[RX]);
}

/* ---- from the guest
 * -------------------------------------------------------------------------------- */

static void send_frame(struct net *n, const struct iovec *iov, unsigned niov)
{
	n->tx_frames++;
	n->tx_bytes += n->el.out_len - sizeof(struct net_header);
	if (n->backend)
		n->backend->ops->send(n->backend, iov, niov);
}

static void transmit(struct net *n)
{
	struct virtqueue *q = &n->v.q[TX];
	struct virtq_elem *el = &n->el;
	unsigned budget = QUEUE_SIZE;

	for (; budget && virtq_pop(q, el); budget--) {
		unsigned niov = el->nout;
		struct iovec *iov = iov_skip(el->iov, &niov, sizeof(struct net_header));

		if (el->out_len <= sizeof(struct net_header) ||
		    el->out_len > sizeof(struct net_header) + MAX_FRAME)
			log_guest_error(&n->v.guest_errors, "virtio-net: frame of %llu bytes",
					(unsigned long long)el->out_len);
		else
			send_frame(n, iov, niov);
		virtq_push(q, el, 0);
	}
	if (n->backend)
		n->backend->ops->flush(n->backend);
	virtq_signal(q);
	if (!budget)
		virtio_requeue(&n->v, TX);
}

static void notify(struct virtio_dev *v, unsigned queue)
{
	struct net *n = (struct net *)v;

	if (queue == TX)
		transmit(n);
	else if (n->backend)
		n->backend->ops->resume(n->backend);
}

static const struct virtio_type type = {
	.name = "virtio-net",
	.id = 1,
	.class_code = 0x020000,
	.nqueues = 2,
	.queue_size = {QUEUE_SIZE, QUEUE_SIZE},
	.config_size = 12,
	.deferred = 1u << TX,
	.config_read = config_read,
	.notify = notify,
};

/* ---- life
 * ------------------------------------------------------------------------------------------ */

static int parse_mac(const char *text, uint8_t mac[6], struct err *e)
{
	unsigned b[6];
	int used = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &used) != 6 ||
	    text[used])
		return err_set(e, -EINVAL, "virtio-net: mac=%s is not like 52:54:00:12:34:56",
			       text);
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	if (mac[0] & 1)
		return err_set(e, -EINVAL,
			       "virtio-net: mac=%s is a multicast address; its first "
			       "byte must be even",
			       text);
	return 0;
}

static void net_destroy(struct device *d)
{
	struct net *n = (struct net *)d;

	virtio_unplug(&n->v);
	if (n->backend)
		n->backend->client = (struct netdev_client){0};
	free(n);
}

static int net_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct net *n = calloc(1, sizeof(*n));
	uint64_t offer_mtu;
	int rc;

	if (!n)
		return err_set(e, -ENOMEM, "virtio-net: out of memory");
	rc = parse_mac(device_conf_str(conf, "mac", "52:54:00:12:34:56"), n->mac, e);
	if (rc)
		goto free_net;
	rc = device_conf_u64(conf, "mtu", 1, 0, 1, &offer_mtu, e);
	if (rc)
		goto free_net;
	n->backend = conf->backend;
	n->v.features = F_MAC | F_MRG_RXBUF | F_STATUS;
	if (n->backend && n->backend->mtu && offer_mtu) {
		n->v.features |= F_MTU;
		n->mtu = n->backend->mtu;
	}
	rc = virtio_plug(&n->v, &type, &n->hw.v, env, e);
	if (rc)
		goto free_net;
	if (n->backend)
		n->backend->client = (struct netdev_client){receive, batch_done, NULL, n};
	n->v.dev.ops = &virtio_net_ops;
	*out = &n->v.dev;
	return 0;
free_net:
	free(n);
	return rc;
}

static void *net_hw(struct device *d)
{
	return &((struct net *)d)->hw;
}

static int net_loaded(struct device *d, struct err *e)
{
	return virtio_device_loaded((struct virtio_dev *)d, e);
}

static void net_stats(struct device *d, stat_fn *fn, void *opaque)
{
	const struct net *n = (const struct net *)d;

	virtio_device_stats(d, fn, opaque);
	fn(opaque, "rx_frames", n->rx_frames);
	fn(opaque, "rx_bytes", n->rx_bytes);
	fn(opaque, "rx_dropped", n->rx_dropped);
	fn(opaque, "tx_frames", n->tx_frames);
	fn(opaque, "tx_bytes", n->tx_bytes);
}

static void net_boot_path(struct device *d, unsigned unit, char *path, size_t len)
{
	(void)unit;
	snprintf(path, len, "/pci@i0cf8/ethernet@%x/ethernet-phy@0",
		 virtio_pci_function((struct virtio_dev *)d)->slot);
}

static const struct state_field fields[] = {
	VIRTIO_STATE(struct net_hw, v),
	ST_END,
};

static const struct state_desc state = {"virtio-net", 1, sizeof(struct net_hw), fields};

const struct device_ops virtio_net_ops = {
	.name = "virtio-net",
	.help = "network card [mac=ADDRESS, mtu=1: offer the network's own]; made by --net",
	.create = net_create,
	.reset = virtio_device_reset,
	.destroy = net_destroy,
	.state = &state,
	.hw = net_hw,
	.loaded = net_loaded,
	.stats = net_stats,
	.boot_path = net_boot_path,
};
