/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PS/2 controller, to which keyboard and mouse are connected, the reset line behind it and the
 * "fast" A20 and reset port 92h.
 *
 * The A20 mask itself does not exist: the switches are remembered, memory is always whole.
 */
#include "vmm/backend/input.h"
#include "vmm/device/models.h"
#include "vmm/device/ps2/ps2.h"

#include <errno.h>
#include <stdlib.h>

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

#define SET2_BREAK 0xf0 /* comes before the code of a key that goes up */

enum {
	KBD,
	AUX
};

struct i8042_hw {
	struct ps2_keyboard kbd;
	struct ps2_mouse mouse;
	uint8_t ram[32]; /* byte 0 is the command byte (CTR) */
	uint8_t output, output_full, output_aux;
	uint8_t outport, command, status_command;
	uint8_t port92;
	uint8_t breaking; /* the translator has taken a SET2_BREAK */
};

struct i8042 {
	struct device dev;
	struct i8042_hw hw;
	const struct device_env *env;
	struct irq_line irq[2];
	struct input *input; /* NULL: nobody types */
};

static const struct state_field i8042_fields[] = {
	ST_ARR(1, struct i8042_hw, ram),
	ST(2, struct i8042_hw, output),
	ST(3, struct i8042_hw, output_full),
	ST(4, struct i8042_hw, output_aux),
	ST(5, struct i8042_hw, outport),
	ST(6, struct i8042_hw, command),
	ST(7, struct i8042_hw, status_command),
	ST(8, struct i8042_hw, port92),
	ST(9, struct i8042_hw, breaking),
	ST_ARR(20, struct i8042_hw, kbd.queue.data),
	ST(21, struct i8042_hw, kbd.queue.head),
	ST(22, struct i8042_hw, kbd.queue.len),
	ST(23, struct i8042_hw, kbd.argument_of),
	ST(24, struct i8042_hw, kbd.scan_set),
	ST(25, struct i8042_hw, kbd.leds),
	ST(26, struct i8042_hw, kbd.scanning),
	ST_ARR(40, struct i8042_hw, mouse.queue.data),
	ST(41, struct i8042_hw, mouse.queue.head),
	ST(42, struct i8042_hw, mouse.queue.len),
	ST(43, struct i8042_hw, mouse.argument_of),
	ST(44, struct i8042_hw, mouse.reporting),
	ST(45, struct i8042_hw, mouse.remote),
	ST(46, struct i8042_hw, mouse.doubled),
	ST(47, struct i8042_hw, mouse.resolution),
	ST(48, struct i8042_hw, mouse.rate),
	ST(49, struct i8042_hw, mouse.id),
	ST_ARR(50, struct i8042_hw, mouse.last_rates),
	ST(51, struct i8042_hw, mouse.buttons),
	ST(52, struct i8042_hw, mouse.reported_buttons),
	ST(53, struct i8042_hw, mouse.dx),
	ST(54, struct i8042_hw, mouse.dy),
	ST(55, struct i8042_hw, mouse.wheel),
	ST_END,
};
static const struct state_desc i8042_state = {"i8042", 2, sizeof(struct i8042_hw), i8042_fields};

/* ---- output buffer --------------------------------------------------------------------------- */

static void i8042_drive(struct i8042 *k)
{
	uint8_t ctr = k->hw.ram[0];

	irq_set(&k->irq[KBD], k->hw.output_full && !k->hw.output_aux && (ctr & CTR_KBD_IRQ));
	irq_set(&k->irq[AUX], k->hw.output_full && k->hw.output_aux && (ctr & CTR_AUX_IRQ));
}

static uint8_t queue_take(struct ps2_queue *q)
{
	uint8_t val = q->data[q->head % PS2_QUEUE];

	q->head = (q->head + 1) % PS2_QUEUE;
	q->len--;
	return val;
}

/* A byte of the keyboard on its way into the output buffer; false: it is swallowed. */
static bool translate(struct i8042 *k, uint8_t *val)
{
	if (!(k->hw.ram[0] & CTR_TRANSLATE))
		return true;
	if (*val == SET2_BREAK) {
		k->hw.breaking = 1;
		return false;
	}
	*val = ps2_translate(*val) | (k->hw.breaking ? 0x80 : 0);
	k->hw.breaking = 0;
	return true;
}

/* Moves the next waiting byte into the output buffer. */
static void i8042_refill(struct i8042 *k)
{
	static const uint8_t disable[2] = {CTR_KBD_DISABLE, CTR_AUX_DISABLE};
	struct ps2_queue *queue[2] = {&k->hw.kbd.queue, &k->hw.mouse.queue};

	ps2_mouse_report(&k->hw.mouse);
	for (uint8_t port = KBD; port <= AUX; port++)
		while (queue[port]->len && !k->hw.output_full && !(k->hw.ram[0] & disable[port])) {
			uint8_t val = queue_take(queue[port]);

			if (port == KBD && !translate(k, &val))
				continue;
			k->hw.output = val;
			k->hw.output_full = 1;
			k->hw.output_aux = port;
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

/* ---- what people do ------------------------------------------------------------------------- */

static bool key(void *opaque, unsigned code, bool down)
{
	struct i8042 *k = opaque;
	bool taken = ps2_keyboard_key(&k->hw.kbd, code, down);

	i8042_refill(k);
	return taken;
}

static void move(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	struct i8042 *k = opaque;

	ps2_mouse_move(&k->hw.mouse, dx, dy, wheel, buttons);
	i8042_refill(k);
}

static void join_input(struct i8042 *k, struct input *in)
{
	k->input = in;
	in->key = key;
	in->move = move;
	in->keyboard = in->mouse = k;
}

static void leave_input(struct input *in)
{
	in->key = NULL;
	in->move = NULL;
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
	else if (command == 0xd4)
		ps2_mouse_write(&k->hw.mouse, val);
	else
		ps2_keyboard_write(&k->hw.kbd, val);
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
	};
	ps2_keyboard_reset(&k->hw.kbd);
	ps2_mouse_reset(&k->hw.mouse);
	i8042_drive(k);
}

static void i8042_destroy(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	if (k->input)
		leave_input(k->input);
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

	const struct ps2_queue *queue[2] = {&k->hw.kbd.queue, &k->hw.mouse.queue};

	for (unsigned port = KBD; port <= AUX; port++)
		if (queue[port]->len > PS2_QUEUE || queue[port]->head >= PS2_QUEUE)
			return err_set(e, -EINVAL, "i8042: queue %u is longer than it can be",
				       port);
	if (k->hw.kbd.scan_set < 1 || k->hw.kbd.scan_set > 2)
		return err_set(e, -EINVAL, "i8042: scan code set %u does not exist",
			       k->hw.kbd.scan_set);
	i8042_drive(k);
	return 0;
}

static int i8042_create(struct device **out, const struct device_env *env, struct device_conf *conf,
			struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	int rc;

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
	if (conf->backend)
		join_input(k, conf->backend);
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
