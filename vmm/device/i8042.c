/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PS/2 controller with a keyboard and a mouse that answer commands but are never touched, the
 * reset line behind it and the "fast" A20 and reset port 92h.
 *
 * The A20 mask itself does not exist: the switches are remembered, memory is always whole.
 */
#include "vmm/device/models.h"

#include <errno.h>
#include <stdlib.h>

#define QUEUE 16

#define STATUS_OUTPUT  0x01
#define STATUS_SYSTEM  0x04
#define STATUS_COMMAND 0x08 /* the last write went to the command port */
#define STATUS_UNLOCK  0x10
#define STATUS_AUX     0x20

#define CTR_KBD_IRQ     0x01
#define CTR_AUX_IRQ     0x02
#define CTR_SYSTEM      0x04
#define CTR_KBD_DISABLE 0x10
#define CTR_AUX_DISABLE 0x20
#define CTR_TRANSLATE   0x40

#define OUTPORT_RESET 0x01 /* low: reset */
#define OUTPORT_A20   0x02

#define REPLY_ACK    0xfa
#define REPLY_RESEND 0xfe
#define SELFTEST_OK  0xaa

enum {
	KBD,
	AUX
};

struct queue {
	uint8_t data[QUEUE], head, len;
	uint8_t argument_of; /* the device waits for this command's argument */
};

struct i8042_hw {
	struct queue queue[2];
	uint8_t ram[32]; /* byte 0 is the command byte (CTR) */
	uint8_t output, output_full, output_aux;
	uint8_t outport, command, status_command;
	uint8_t port92, scan_set;
};

struct i8042 {
	struct device dev;
	struct i8042_hw hw;
	const struct device_env *env;
	struct irq_line irq[2];
};

static const struct state_field i8042_fields[] = {
	ST_ARR(1, struct i8042_hw, queue[0].data), ST(2, struct i8042_hw, queue[0].head),
	ST(3, struct i8042_hw, queue[0].len),      ST(4, struct i8042_hw, queue[0].argument_of),
	ST_ARR(5, struct i8042_hw, queue[1].data), ST(6, struct i8042_hw, queue[1].head),
	ST(7, struct i8042_hw, queue[1].len),      ST(8, struct i8042_hw, queue[1].argument_of),
	ST_ARR(9, struct i8042_hw, ram),           ST(10, struct i8042_hw, output),
	ST(11, struct i8042_hw, output_full),      ST(12, struct i8042_hw, output_aux),
	ST(13, struct i8042_hw, outport),          ST(14, struct i8042_hw, command),
	ST(15, struct i8042_hw, status_command),   ST(16, struct i8042_hw, port92),
	ST(17, struct i8042_hw, scan_set),         ST_END,
};
static const struct state_desc i8042_state = {"i8042", 1, sizeof(struct i8042_hw), i8042_fields};

/* ---- output buffer --------------------------------------------------------------------------- */

static void i8042_drive(struct i8042 *k)
{
	uint8_t ctr = k->hw.ram[0];

	irq_set(&k->irq[KBD], k->hw.output_full && !k->hw.output_aux && (ctr & CTR_KBD_IRQ));
	irq_set(&k->irq[AUX], k->hw.output_full && k->hw.output_aux && (ctr & CTR_AUX_IRQ));
}

/* Moves the next waiting byte into the output buffer. */
static void i8042_refill(struct i8042 *k)
{
	static const uint8_t disable[2] = {CTR_KBD_DISABLE, CTR_AUX_DISABLE};

	for (uint8_t port = KBD; port <= AUX && !k->hw.output_full; port++) {
		struct queue *q = &k->hw.queue[port];

		if (!q->len || (k->hw.ram[0] & disable[port]))
			continue;
		k->hw.output = q->data[q->head % QUEUE];
		k->hw.output_full = 1;
		k->hw.output_aux = port;
		q->head = (q->head + 1) % QUEUE;
		q->len--;
	}
	i8042_drive(k);
}

/* The controller's own answers go in front of what the devices have to say. */
static void i8042_answer(struct i8042 *k, uint8_t val, uint8_t port)
{
	k->hw.output = val;
	k->hw.output_full = 1;
	k->hw.output_aux = port;
	i8042_drive(k);
}

static void queue_put(struct queue *q, const uint8_t *data, unsigned len)
{
	for (unsigned i = 0; i < len && q->len < QUEUE; i++, q->len++)
		q->data[(q->head + q->len) % QUEUE] = data[i];
}

/* ---- keyboard and mouse ---------------------------------------------------------------------- */

/* What a device answers to a command; `argument`: one more byte follows and is acknowledged. */
struct reply {
	uint8_t command, argument, len, data[4];
};

static const struct reply kbd_replies[] = {
	{0xed, 1, 1, {REPLY_ACK}},              /* LEDs */
	{0xee, 0, 1, {0xee}},                   /* echo */
	{0xf0, 1, 1, {REPLY_ACK}},              /* scan code set */
	{0xf2, 0, 3, {REPLY_ACK, 0xab, 0x83}},  /* identify: MF2 keyboard */
	{0xf3, 1, 1, {REPLY_ACK}},              /* typematic rate */
	{0xf4, 0, 1, {REPLY_ACK}},              /* enable */
	{0xf5, 0, 1, {REPLY_ACK}},              /* disable */
	{0xf6, 0, 1, {REPLY_ACK}},              /* defaults */
	{0xfa, 0, 1, {REPLY_ACK}},              /* all keys typematic, make, break */
	{0xff, 0, 2, {REPLY_ACK, SELFTEST_OK}}, /* reset */
	{0},
};

static const struct reply aux_replies[] = {
	{0xe6, 0, 1, {REPLY_ACK}},                    /* scaling 1:1 */
	{0xe7, 0, 1, {REPLY_ACK}},                    /* scaling 2:1 */
	{0xe8, 1, 1, {REPLY_ACK}},                    /* resolution */
	{0xe9, 0, 4, {REPLY_ACK, 0x00, 0x02, 0x64}},  /* status: 4 counts/mm, 100 reports/s */
	{0xea, 0, 1, {REPLY_ACK}},                    /* stream mode */
	{0xeb, 0, 4, {REPLY_ACK, 0x08, 0x00, 0x00}},  /* read data: nothing moved */
	{0xf0, 0, 1, {REPLY_ACK}},                    /* remote mode */
	{0xf2, 0, 2, {REPLY_ACK, 0x00}},              /* identify: plain mouse */
	{0xf3, 1, 1, {REPLY_ACK}},                    /* report rate */
	{0xf4, 0, 1, {REPLY_ACK}},                    /* enable */
	{0xf5, 0, 1, {REPLY_ACK}},                    /* disable */
	{0xf6, 0, 1, {REPLY_ACK}},                    /* defaults */
	{0xff, 0, 3, {REPLY_ACK, SELFTEST_OK, 0x00}}, /* reset */
	{0},
};

static void device_argument(struct i8042 *k, unsigned port, uint8_t val)
{
	struct queue *q = &k->hw.queue[port];
	uint8_t reply[2] = {REPLY_ACK, k->hw.scan_set};
	bool asks_scan_set = port == KBD && q->argument_of == 0xf0 && val == 0;

	if (port == KBD && q->argument_of == 0xf0 && val >= 1 && val <= 3)
		k->hw.scan_set = val;
	q->argument_of = 0;
	queue_put(q, reply, asks_scan_set ? 2 : 1);
}

static void device_write(struct i8042 *k, unsigned port, uint8_t val)
{
	static const uint8_t resend = REPLY_RESEND;
	struct queue *q = &k->hw.queue[port];
	const struct reply *r = port == KBD ? kbd_replies : aux_replies;

	if (q->argument_of) {
		device_argument(k, port, val);
		return;
	}
	/* A command ends whatever the device was still saying. */
	q->len = 0;
	while (r->len && r->command != val)
		r++;
	if (!r->len) {
		queue_put(q, &resend, 1);
		return;
	}
	if (r->argument)
		q->argument_of = val;
	if (port == KBD && (val == 0xff || val == 0xf6))
		k->hw.scan_set = 2;
	queue_put(q, r->data, r->len);
}

/* ---- controller ------------------------------------------------------------------------------ */

static void outport_write(struct i8042 *k, uint8_t val)
{
	k->hw.outport = val;
	if (!(val & OUTPORT_RESET))
		k->env->event(k->env->opaque, MACHINE_RESET, 0);
}

static void command_write(struct i8042 *k, uint8_t val)
{
	uint8_t *ctr = &k->hw.ram[0];

	k->hw.command = 0;
	k->hw.status_command = 1;
	if (val >= 0x20 && val < 0x40) {
		i8042_answer(k, k->hw.ram[val & 0x1f], KBD);
		return;
	}
	switch (val) {
	case 0xa7:
		*ctr |= CTR_AUX_DISABLE;
		break;
	case 0xa8:
		*ctr &= ~CTR_AUX_DISABLE;
		break;
	case 0xaa: /* self-test */
		*ctr |= CTR_SYSTEM;
		i8042_answer(k, 0x55, KBD);
		return;
	case 0xa9: /* test the lines to the mouse, to the keyboard: good */
	case 0xab:
		i8042_answer(k, 0x00, KBD);
		return;
	case 0xad:
		*ctr |= CTR_KBD_DISABLE;
		break;
	case 0xae:
		*ctr &= ~CTR_KBD_DISABLE;
		break;
	case 0xc0: /* input port: keyboard not locked */
		i8042_answer(k, 0x80, KBD);
		return;
	case 0xd0:
		i8042_answer(k, k->hw.outport, KBD);
		return;
	case 0xdd: /* A20 off, on */
	case 0xdf:
		k->hw.outport = (k->hw.outport & ~OUTPORT_A20) | (val & OUTPORT_A20);
		break;
	case 0xe0: /* test inputs */
		i8042_answer(k, 0x00, KBD);
		return;
	default:
		if (val >= 0xf0 && !(val & OUTPORT_RESET)) /* pulse output lines low */
			k->env->event(k->env->opaque, MACHINE_RESET, 0);
		else if ((val >= 0x60 && val < 0x80) || (val >= 0xd1 && val <= 0xd4))
			k->hw.command = val; /* its argument comes through the data port */
	}
	i8042_refill(k);
}

static void data_write(struct i8042 *k, uint8_t val)
{
	uint8_t command = k->hw.command;

	k->hw.command = 0;
	k->hw.status_command = 0;
	if (command >= 0x60 && command < 0x80)
		k->hw.ram[command & 0x1f] = val;
	else if (command == 0xd1)
		outport_write(k, val);
	else if (command == 0xd2 || command == 0xd3)
		i8042_answer(k, val, command == 0xd3);
	else
		device_write(k, command == 0xd4 ? AUX : KBD, val);
	if (!command) /* writing to the keyboard lets it speak again */
		k->hw.ram[0] &= ~CTR_KBD_DISABLE;
	i8042_refill(k);
}

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
	struct i8042 *k = dev;
	uint8_t val = k->hw.output;

	(void)off;
	(void)size;
	k->hw.output_full = 0;
	i8042_drive(k); /* the line falls between two bytes: each gives an edge */
	i8042_refill(k);
	return val;
}

static void data_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)off;
	(void)size;
	data_write(dev, (uint8_t)val);
}

static uint64_t status_read(void *dev, uint64_t off, unsigned size)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	return STATUS_UNLOCK | (k->hw.output_full ? STATUS_OUTPUT : 0) |
	       (k->hw.output_full && k->hw.output_aux ? STATUS_AUX : 0) |
	       (k->hw.status_command ? STATUS_COMMAND : 0) |
	       (k->hw.ram[0] & CTR_SYSTEM ? STATUS_SYSTEM : 0);
}

static void command_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)off;
	(void)size;
	command_write(dev, (uint8_t)val);
}

static uint64_t port92_read(void *dev, uint64_t off, unsigned size)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	return k->hw.port92;
}

static void port92_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	if ((val & 1) && !(k->hw.port92 & 1))
		k->env->event(k->env->opaque, MACHINE_RESET, 0);
	k->hw.port92 = (uint8_t)val & 0x03;
}

static const struct io_ops data_io = {data_read, data_port_write, 1};
static const struct io_ops command_io = {status_read, command_port_write, 1};
static const struct io_ops port92_io = {port92_read, port92_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void i8042_reset(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	/* As a PC's firmware leaves it, for kernels that are started without one. */
	k->hw = (struct i8042_hw){
		.ram = {CTR_TRANSLATE | CTR_SYSTEM | CTR_KBD_IRQ | CTR_AUX_IRQ},
		.outport = 0xcc | OUTPORT_A20 | OUTPORT_RESET,
		.port92 = 0x02,
		.scan_set = 2,
	};
	i8042_drive(k);
}

static void i8042_destroy(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	bus_remove(k->env->pio, 0x60, k);
	bus_remove(k->env->pio, 0x64, k);
	bus_remove(k->env->pio, 0x92, k);
	free(k);
}

static void *i8042_hw(struct device *d)
{
	return &((struct i8042 *)d)->hw;
}

static int i8042_loaded(struct device *d, struct err *e)
{
	struct i8042 *k = (struct i8042 *)d;

	for (unsigned port = KBD; port <= AUX; port++)
		if (k->hw.queue[port].len > QUEUE || k->hw.queue[port].head >= QUEUE)
			return err_set(e, -EINVAL, "i8042: queue %u is longer than it can be",
				       port);
	i8042_drive(k);
	return 0;
}

static int i8042_create(struct device **out, const struct device_env *env, struct device_conf *conf,
			struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	int rc;

	(void)conf;
	if (!k)
		return err_set(e, -ENOMEM, "i8042: out of memory");
	k->dev.ops = &i8042_ops;
	k->env = env;
	k->irq[KBD] = (struct irq_line){env->irq, 1};
	k->irq[AUX] = (struct irq_line){env->irq, 12};
	rc = bus_add(env->pio, 0x60, 1, &data_io, k, "i8042-data", e);
	if (!rc)
		rc = bus_add(env->pio, 0x64, 1, &command_io, k, "i8042-command", e);
	if (!rc)
		rc = bus_add(env->pio, 0x92, 1, &port92_io, k, "port92", e);
	if (rc) {
		i8042_destroy(&k->dev);
		return rc;
	}
	i8042_reset(&k->dev);
	*out = &k->dev;
	return 0;
}

const struct device_ops i8042_ops = {
	.name = "i8042",
	.help = "PS/2 controller with keyboard and mouse",
	.create = i8042_create,
	.reset = i8042_reset,
	.destroy = i8042_destroy,
	.state = &i8042_state,
	.hw = i8042_hw,
	.loaded = i8042_loaded,
};
