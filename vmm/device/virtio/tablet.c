/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio input device: a tablet, which points at absolute positions, with three buttons and a
 * wheel. (Virtio 1.2 section 5.8.) What the driver has no buffers for waits as the newest position.
 */
#include <errno.h>
#include <linux/input.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/input.h"
#include "vmm/device/virtio/models.h"
#include "vmm/device/virtio/virtio.h"

#define QUEUE_SIZE 64
#define EVENTQ     0
#define MAX_EVENTS 8
#define WHEEL_MAX  100

/* Section 5.8.4. */
#define CFG_ID_NAME   0x01
#define CFG_ID_DEVIDS 0x03
#define CFG_EV_BITS   0x11
#define CFG_ABS_INFO  0x12
#define CFG_DATA      8 /* offset of what was selected */
#define CFG_DATA_SIZE 128
#define CFG_SELECTORS 2

struct tablet_hw {
	struct virtio_hw v;
	uint8_t select, subsel;
	uint8_t buttons, reported_buttons;
	uint16_t x, y, reported_x, reported_y;
	int16_t wheel; /* steps not reported yet */
};

struct tablet_event {
	uint16_t type, code;
	uint32_t value;
};

struct tablet {
	struct virtio_dev v;
	struct tablet_hw hw;
	struct input *input; /* NULL: nobody points */
	struct virtq_elem el[MAX_EVENTS];
};

/* ---- configuration -------------------------------------------------------------------------- */

static void set_bit(uint8_t *bits, unsigned n)
{
	bits[n / 8] |= (uint8_t)(1u << n % 8);
}

static unsigned event_bits(uint8_t type, uint8_t *data)
{
	switch (type) {
	case EV_KEY:
		set_bit(data, BTN_LEFT);
		set_bit(data, BTN_RIGHT);
		set_bit(data, BTN_MIDDLE);
		return BTN_MIDDLE / 8 + 1;
	case EV_REL:
		set_bit(data, REL_WHEEL);
		return REL_WHEEL / 8 + 1;
	case EV_ABS:
		set_bit(data, ABS_X);
		set_bit(data, ABS_Y);
		return 1;
	default:
		return 0;
	}
}

/* Fills what is selected and returns its size; 0: there is no such thing. */
static unsigned selected(const struct tablet *t, uint8_t *data)
{
	static const char name[] = "Baton tablet";
	static const uint16_t ids[4] = {BUS_VIRTUAL, 0, 1, 1}; /* bus, vendor, product, version */
	static const uint32_t axis[5] = {0, INPUT_SCALE - 1}; /* from, to, fuzz, flat, resolution */

	switch (t->hw.select) {
	case CFG_ID_NAME:
		memcpy(data, name, sizeof(name) - 1);
		return sizeof(name) - 1;
	case CFG_ID_DEVIDS:
		memcpy(data, ids, sizeof(ids));
		return sizeof(ids);
	case CFG_EV_BITS:
		return event_bits(t->hw.subsel, data);
	case CFG_ABS_INFO:
		if (t->hw.subsel > ABS_Y)
			return 0;
		memcpy(data, axis, sizeof(axis));
		return sizeof(axis);
	default:
		return 0;
	}
}

static void config_read(struct virtio_dev *v, uint8_t *config)
{
	const struct tablet *t = (struct tablet *)v;

	memset(config, 0, CFG_DATA + CFG_DATA_SIZE);
	config[0] = t->hw.select;
	config[1] = t->hw.subsel;
	config[2] = (uint8_t)selected(t, config + CFG_DATA);
}

static void config_write(struct virtio_dev *v, unsigned off, unsigned size, uint32_t val)
{
	struct tablet *t = (struct tablet *)v;

	for (unsigned i = 0; i < size && off + i < CFG_SELECTORS; i++)
		*(off + i ? &t->hw.subsel : &t->hw.select) = (uint8_t)(val >> 8 * i);
}

/* ---- events --------------------------------------------------------------------------------- */

/* What changed since the last report, as the list of events that tells it; 0: nothing. */
static unsigned collect(const struct tablet_hw *h, struct tablet_event e[MAX_EVENTS])
{
	static const uint16_t button[] = {BTN_LEFT, BTN_MIDDLE, BTN_RIGHT}; /* bits of input.h */
	uint8_t changed = h->buttons ^ h->reported_buttons;
	unsigned n = 0;

	if (h->x != h->reported_x)
		e[n++] = (struct tablet_event){EV_ABS, ABS_X, h->x};
	if (h->y != h->reported_y)
		e[n++] = (struct tablet_event){EV_ABS, ABS_Y, h->y};
	for (unsigned i = 0; i < 3; i++)
		if (changed >> i & 1)
			e[n++] = (struct tablet_event){EV_KEY, button[i], h->buttons >> i & 1};
	if (h->wheel) /* up is positive there */
		e[n++] = (struct tablet_event){EV_REL, REL_WHEEL, (uint32_t)-h->wheel};
	if (n)
		e[n++] = (struct tablet_event){EV_SYN, SYN_REPORT, 0};
	return n;
}

/* Takes `n` buffers or none. */
static bool take_buffers(struct tablet *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!virtq_pop(&t->v.q[EVENTQ], &t->el[i])) {
			if (i && virtio_running(&t->v))
				virtq_unpop(&t->v.q[EVENTQ], i);
			return false;
		}
	return true;
}

static void report(struct tablet *t)
{
	struct tablet_event e[MAX_EVENTS];
	unsigned n = collect(&t->hw, e);

	if (!n || !virtio_running(&t->v) || !take_buffers(t, n))
		return;
	for (unsigned i = 0; i < n; i++) {
		uint64_t len = iov_write(virtq_in(&t->el[i]), t->el[i].nin, 0, &e[i], sizeof(e[i]));

		virtq_push(&t->v.q[EVENTQ], &t->el[i], (uint32_t)len);
	}
	virtq_signal(&t->v.q[EVENTQ]);
	t->hw.reported_x = t->hw.x;
	t->hw.reported_y = t->hw.y;
	t->hw.reported_buttons = t->hw.buttons;
	t->hw.wheel = 0;
}

static bool listens(void *opaque)
{
	return virtio_running(opaque);
}

static void point(void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct tablet *t = opaque;

	t->hw.x = (uint16_t)x;
	t->hw.y = (uint16_t)y;
	t->hw.buttons = buttons & 7;
	if (t->hw.wheel > -WHEEL_MAX && t->hw.wheel < WHEEL_MAX && wheel > -10 && wheel < 10)
		t->hw.wheel = (int16_t)(t->hw.wheel + wheel);
	report(t);
}

/* There are buffers again. What the driver sends on the other queue (LEDs) a tablet has not. */
static void notify(struct virtio_dev *v, unsigned queue)
{
	struct tablet *t = (struct tablet *)v;
	unsigned budget = QUEUE_SIZE;

	if (queue == EVENTQ) {
		report(t);
		return;
	}
	for (; budget && virtq_pop(&v->q[queue], &t->el[0]); budget--)
		virtq_push(&v->q[queue], &t->el[0], 0);
	virtq_signal(&v->q[queue]);
	if (!budget)
		virtio_requeue(v, queue);
}

/* ---- life ----------------------------------------------------------------------------------- */

static const struct virtio_type type = {
	.name = "virtio-tablet",
	.id = 18,
	.class_code = 0x098000, /* input device */
	.nqueues = 2,
	.queue_size = {QUEUE_SIZE, QUEUE_SIZE},
	.config_size = CFG_DATA + CFG_DATA_SIZE,
	.config_read = config_read,
	.config_write = config_write,
	.notify = notify,
};

static void tablet_destroy(struct device *d)
{
	struct tablet *t = (struct tablet *)d;

	if (t->input)
		t->input->listens = NULL;
	virtio_unplug(&t->v);
	free(t);
}

static void join_input(struct tablet *t, struct input *in)
{
	t->input = in;
	in->listens = listens;
	in->point = point;
	in->tablet = t;
}

static int tablet_create(struct device **out, const struct device_env *env,
			 struct device_conf *conf, struct err *e)
{
	struct tablet *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return err_set(e, -ENOMEM, "virtio-tablet: out of memory");
	rc = virtio_plug(&t->v, &type, &t->hw.v, env, e);
	if (rc) {
		free(t);
		return rc;
	}
	if (conf->backend)
		join_input(t, conf->backend);
	t->v.dev.ops = &virtio_tablet_ops;
	*out = &t->v.dev;
	return 0;
}

static void *tablet_hw(struct device *d)
{
	return &((struct tablet *)d)->hw;
}

static int tablet_loaded(struct device *d, struct err *e)
{
	return virtio_device_loaded((struct virtio_dev *)d, e);
}

static const struct state_field fields[] = {
	ST(1, struct tablet_hw, select),
	ST(2, struct tablet_hw, subsel),
	ST(3, struct tablet_hw, buttons),
	ST(4, struct tablet_hw, reported_buttons),
	ST(5, struct tablet_hw, x),
	ST(6, struct tablet_hw, y),
	ST(7, struct tablet_hw, reported_x),
	ST(8, struct tablet_hw, reported_y),
	ST(9, struct tablet_hw, wheel),
	VIRTIO_STATE(struct tablet_hw, v),
	ST_END,
};

static const struct state_desc state = {"virtio-tablet", 1, sizeof(struct tablet_hw), fields};

const struct device_ops virtio_tablet_ops = {
	.name = "virtio-tablet",
	.help = "pointer at absolute positions, for screens that are seen from afar",
	.create = tablet_create,
	.reset = virtio_device_reset,
	.destroy = tablet_destroy,
	.state = &state,
	.hw = tablet_hw,
	.loaded = tablet_loaded,
	.stats = virtio_device_stats,
};
