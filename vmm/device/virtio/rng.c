/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio entropy device: random bytes from the host's kernel. (Virtio 1.2 section 5.4.) */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vmm/device/virtio/models.h"
#include "vmm/device/virtio/virtio.h"

#define QUEUE_SIZE  64
#define MAX_REQUEST 4096u /* a longer one is answered in part, as the specification allows */

struct rng_hw {
	struct virtio_hw v;
};

struct rng {
	struct virtio_dev v;
	struct rng_hw hw;
	struct virtq_elem el;
};

static uint32_t answer(struct virtq_elem *el)
{
	uint8_t buf[256];
	uint64_t want = el->in_len < MAX_REQUEST ? el->in_len : MAX_REQUEST, done = 0;

	while (done < want) {
		uint64_t part = want - done < sizeof(buf) ? want - done : sizeof(buf);
		ssize_t got = getrandom(buf, part, 0); /* up to 256 bytes never come short */

		if (got <= 0)
			break;
		iov_write(virtq_in(el), el->nin, done, buf, (uint64_t)got);
		done += (uint64_t)got;
	}
	return (uint32_t)done;
}

static void notify(struct virtio_dev *v, unsigned queue)
{
	struct rng *r = (struct rng *)v;
	struct virtqueue *q = &v->q[queue];
	unsigned budget = QUEUE_SIZE;

	for (; budget && virtq_pop(q, &r->el); budget--)
		virtq_push(q, &r->el, answer(&r->el));
	virtq_signal(q);
	if (!budget)
		virtio_requeue(v, queue);
}

static const struct virtio_type type = {
	.name = "virtio-rng",
	.id = 4,
	.class_code = 0x00ff00, /* unclassified */
	.nqueues = 1,
	.queue_size = {QUEUE_SIZE},
	.notify = notify,
};

static void rng_destroy(struct device *d)
{
	virtio_unplug((struct virtio_dev *)d);
	free(d);
}

static int rng_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct rng *r = calloc(1, sizeof(*r));
	int rc;

	(void)conf;
	if (!r)
		return err_set(e, -ENOMEM, "virtio-rng: out of memory");
	rc = virtio_plug(&r->v, &type, &r->hw.v, env, e);
	if (rc) {
		free(r);
		return rc;
	}
	r->v.dev.ops = &virtio_rng_ops;
	*out = &r->v.dev;
	return 0;
}

static void *rng_hw(struct device *d)
{
	return &((struct rng *)d)->hw;
}

static int rng_loaded(struct device *d, struct err *e)
{
	return virtio_device_loaded((struct virtio_dev *)d, e);
}

static const struct state_field fields[] = {
	VIRTIO_STATE(struct rng_hw, v),
	ST_END,
};

static const struct state_desc state = {"virtio-rng", 1, sizeof(struct rng_hw), fields};

const struct device_ops virtio_rng_ops = {
	.name = "virtio-rng",
	.help = "source of random numbers",
	.create = rng_create,
	.reset = virtio_device_reset,
	.destroy = rng_destroy,
	.state = &state,
	.hw = rng_hw,
	.loaded = rng_loaded,
	.stats = virtio_device_stats,
};
