/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio console with one port: hvc0 in a Linux guest. (Virtio 1.2 section 5.3.) */
#include <errno.h>
#include <stdlib.h>

#include "vmm/backend/chardev.h"
#include "vmm/device/virtio/models.h"
#include "vmm/device/virtio/virtio.h"

#define QUEUE_SIZE 64
#define RX         0
#define TX         1

struct console_hw {
	struct virtio_hw v;
};

struct console {
	struct virtio_dev v;
	struct console_hw hw;
	struct chardev *backend; /* NULL: output is dropped */
	struct virtq_elem el;
};

/* No feature that gives the configuration a meaning is offered: it reads as zero. */
static void config_read(struct virtio_dev *v, uint8_t *config)
{
	(void)v;
	(void)config;
}

/* What the next buffer of the driver can hold; it is left where it is. */
static size_t room(void *opaque)
{
	struct console *c = opaque;
	struct virtqueue *q = &c->v.q[RX];

	if (!virtq_pop(q, &c->el))
		return 0;
	virtq_unpop(q, 1);
	return c->el.in_len < SIZE_MAX ? (size_t)c->el.in_len : SIZE_MAX;
}

static void input(void *opaque, const uint8_t *data, size_t len)
{
	struct console *c = opaque;
	struct virtqueue *q = &c->v.q[RX];

	for (unsigned budget = QUEUE_SIZE; len && budget && virtq_pop(q, &c->el); budget--) {
		uint64_t n = iov_write(virtq_in(&c->el), c->el.nin, 0, data, len);

		virtq_push(q, &c->el, (uint32_t)n);
		data += n;
		len -= n;
	}
	virtq_signal(q);
}

static void transmit(struct console *c)
{
	struct virtqueue *q = &c->v.q[TX];
	unsigned budget = QUEUE_SIZE;

	for (; budget && virtq_pop(q, &c->el); budget--) {
		for (unsigned i = 0; c->backend && i < c->el.nout; i++)
			c->backend->ops->write(c->backend, c->el.iov[i].iov_base,
					       c->el.iov[i].iov_len);
		virtq_push(q, &c->el, 0);
	}
	virtq_signal(q);
	if (!budget)
		virtio_requeue(&c->v, TX);
}

static void notify(struct virtio_dev *v, unsigned queue)
{
	struct console *c = (struct console *)v;

	if (queue == TX)
		transmit(c);
	else if (c->backend)
		c->backend->ops->poll_input(c->backend);
}

static const struct virtio_type type = {
	.name = "virtio-console",
	.id = 3,
	.class_code = 0x078000, /* communication controller, other */
	.nqueues = 2,
	.queue_size = {QUEUE_SIZE, QUEUE_SIZE},
	.config_size = 12,
	.config_read = config_read,
	.notify = notify,
};

static void console_destroy(struct device *d)
{
	struct console *c = (struct console *)d;

	virtio_unplug(&c->v);
	if (c->backend)
		c->backend->client = (struct chardev_client){0};
	free(c);
}

static int console_create(struct device **out, const struct device_env *env,
			  struct device_conf *conf, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, -ENOMEM, "virtio-console: out of memory");
	rc = virtio_plug(&c->v, &type, &c->hw.v, env, e);
	if (rc) {
		free(c);
		return rc;
	}
	c->backend = conf->backend;
	if (c->backend)
		c->backend->client = (struct chardev_client){room, input, c};
	c->v.dev.ops = &virtio_console_ops;
	*out = &c->v.dev;
	return 0;
}

static void *console_hw(struct device *d)
{
	return &((struct console *)d)->hw;
}

static int console_loaded(struct device *d, struct err *e)
{
	return virtio_device_loaded((struct virtio_dev *)d, e);
}

static const struct state_field fields[] = {
	VIRTIO_STATE(struct console_hw, v),
	ST_END,
};

static const struct state_desc state = {"virtio-console", 1, sizeof(struct console_hw), fields};

const struct device_ops virtio_console_ops = {
	.name = "virtio-console",
	.help = "fast console, hvc0 in Linux [chardev=unix:PATH]",
	.takes_chardev = true,
	.create = console_create,
	.reset = virtio_device_reset,
	.destroy = console_destroy,
	.state = &state,
	.hw = console_hw,
	.loaded = console_loaded,
	.stats = virtio_device_stats,
};
