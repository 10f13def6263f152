/* SPDX-License-Identifier: Apache-2.0 */
/* The board of board.h: fake clock, fake engine, fake character device, script runner. */
#include "tests/unit/device/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/chardev.h"
#include "vmm/backend/input.h"
#include "vmm/device/acpipm.h"
#include "vmm/device/hpet.h"
#include "vmm/device/irqchip.h"
#include "vmm/device/models.h"

#define NDEVICES  8
#define RTC_EPOCH "1700000000" /* 2023-11-14 22:13:20 UTC, a Tuesday */

struct board {
	struct bus pio, mmio;
	struct vm_clock clock;
	struct guest_memory mem;
	struct device_env env;
	struct irqchip *chip;
	bool timers_replaced;
	struct device *dev[NDEVICES + 2]; /* the last two are the interrupt chips */
	struct irq_router spy;
	bool level[IRQ_NGSI];
	unsigned edges[IRQ_NGSI];
	bool extint, quiet;
	unsigned messages;
	uint64_t msi_addr;
	uint32_t msi_data;
	unsigned event;
	int status;
	struct chardev chr;
	struct input input;
	uint8_t in[64], out[256];
	unsigned nin, nout;
};

/* ---- clock: replaces vmm/clock.c ------------------------------------------------------------- */

uint64_t clock_now(const struct vm_clock *c)
{
	return c->paused_at;
}

void clock_timer_init(struct clock_timer *t, struct vm_clock *c, loop_fn *fn, void *opaque)
{
	*t = (struct clock_timer){.clock = c, .fn = fn, .opaque = opaque};
}

void clock_timer_cancel(struct clock_timer *t)
{
	struct clock_timer **link = &t->clock->armed;

	while (*link && *link != t)
		link = &(*link)->next;
	if (*link)
		*link = t->next;
}

void clock_timer_set(struct clock_timer *t, uint64_t deadline)
{
	clock_timer_cancel(t);
	t->deadline = deadline;
	t->next = t->clock->armed;
	t->clock->armed = t;
}

static struct clock_timer *first_due(struct vm_clock *c, uint64_t until)
{
	struct clock_timer *best = NULL;

	for (struct clock_timer *t = c->armed; t; t = t->next)
		if (t->deadline <= until && (!best || t->deadline < best->deadline))
			best = t;
	return best;
}

static void advance(struct vm_clock *c, uint64_t ns)
{
	uint64_t until = c->paused_at + ns;
	struct clock_timer *t;

	while ((t = first_due(c, until))) {
		if (t->deadline > c->paused_at)
			c->paused_at = t->deadline;
		clock_timer_cancel(t);
		t->fn(t->opaque);
	}
	c->paused_at = until;
}

/* ---- surroundings ---------------------------------------------------------------------------- */

static void spy_set(void *opaque, unsigned gsi, bool level)
{
	struct board *b = opaque;
	const struct irq_router *r = irqchip_router(b->chip);

	if (level && !b->level[gsi] && !b->quiet)
		b->edges[gsi]++;
	b->level[gsi] = level;
	r->set(r->opaque, gsi, level);
}

static void spy_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct board *b = opaque;

	b->messages += !b->quiet;
	b->msi_addr = addr;
	b->msi_data = data;
}

static void spy_extint(void *opaque, bool level)
{
	((struct board *)opaque)->extint = level;
}

static void spy_event(void *opaque, enum machine_event ev, int status)
{
	struct board *b = opaque;

	b->event = ev;
	b->status = status;
}

static void chr_write(struct chardev *c, const void *data, size_t len)
{
	struct board *b = (struct board *)((char *)c - offsetof(struct board, chr));

	for (size_t i = 0; i < len && b->nout < sizeof(b->out); i++)
		b->out[b->nout++] = ((const uint8_t *)data)[i];
}

static void chr_poll(struct chardev *c)
{
	struct board *b = (struct board *)((char *)c - offsetof(struct board, chr));
	size_t n = b->nin;

	if (!c->client.room)
		return;
	if (n > c->client.room(c->client.opaque))
		n = c->client.room(c->client.opaque);
	if (!n)
		return;
	b->nin -= (unsigned)n;
	c->client.input(c->client.opaque, b->in, n);
	memmove(b->in, b->in + n, b->nin);
}

static const struct chardev_ops chr_ops = {chr_write, chr_poll, NULL};

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "board: %s: %s\n", what, e->text);
	abort();
}

static void create_all(struct board *b)
{
	static const struct device_ops *const models[NDEVICES] = {
		&pit_ops,    &rtc_ops,       &uart_ops,     &i8042_ops,
		&acpipm_ops, &debugexit_ops, &debugcon_ops, &hpet_ops};
	struct irqchip_out to = {spy_extint, spy_msi, b};
	struct err e = {0};

	if (irqchip_create(&b->chip, &b->env, &to, &e))
		die("irqchip", &e);
	for (unsigned i = 0; i < NDEVICES; i++) {
		struct device_conf conf = {.name = models[i]->name, .backend = &b->chr};

		if (models[i] == &i8042_ops)
			conf.backend = &b->input;
		if (models[i] == &rtc_ops) {
			conf.prop[0].key = "epoch";
			conf.prop[0].value = RTC_EPOCH;
			conf.nprops = 1;
		}
		if (models[i]->create(&b->dev[i], &b->env, &conf, &e) ||
		    device_conf_check(&conf, &e))
			die(models[i]->name, &e);
	}
	b->dev[NDEVICES] = irqchip_pic(b->chip);
	b->dev[NDEVICES + 1] = irqchip_ioapic(b->chip);
}

static void destroy_all(struct board *b)
{
	for (unsigned i = 0; i < NDEVICES; i++)
		b->dev[i]->ops->destroy(b->dev[i]);
	irqchip_destroy(b->chip);
}

struct board *board_create(void)
{
	struct board *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	bus_init(&b->pio, 0x10000);
	bus_init(&b->mmio, 1ull << 52);
	b->mem.ram_size = 5ull << 30;
	b->spy = (struct irq_router){spy_set, spy_msi, b};
	b->chr.ops = &chr_ops;
	b->event = NO_EVENT;
	b->env = (struct device_env){.pio = &b->pio,
				     .mmio = &b->mmio,
				     .mem = &b->mem,
				     .clock = &b->clock,
				     .irq = &b->spy,
				     .timers_replaced = &b->timers_replaced,
				     .event = spy_event,
				     .opaque = b};
	create_all(b);
	return b;
}

void board_destroy(struct board *b)
{
	destroy_all(b);
	free(b);
}

/* Saves everything, builds the board anew and loads. The clock goes on where it stands. */
static void reload_all(struct board *b)
{
	struct state_buf buf = {0};
	struct err e = {0};
	size_t at = 0, used;

	b->quiet = true;
	for (unsigned i = 0; i < NDEVICES + 2; i++)
		if (b->dev[i]->ops->state &&
		    state_save(b->dev[i]->ops->state, b->dev[i]->ops->hw(b->dev[i]), &buf))
			abort();
	destroy_all(b);
	create_all(b);
	for (unsigned i = 0; i < NDEVICES + 2; i++) {
		struct device *d = b->dev[i];

		if (!d->ops->state)
			continue;
		if (state_load(d->ops->state, d->ops->hw(d), buf.data + at, buf.len - at, &used,
			       &e) ||
		    (d->ops->loaded && d->ops->loaded(d, &e)))
			die(d->ops->name, &e);
		at += used;
	}
	free(buf.data);
	b->quiet = false;
}

bool board_load(struct board *b, unsigned device, const uint8_t *data, size_t len)
{
	struct device *d = b->dev[device % (NDEVICES + 2)];

	if (!d->ops->state)
		return true;
	memcpy(d->ops->hw(d), data, len < d->ops->state->size ? len : d->ops->state->size);
	return !d->ops->loaded || !d->ops->loaded(d, NULL);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint32_t take_output(struct board *b)
{
	uint32_t byte = b->nout ? b->out[0] : 0x100;

	if (b->nout)
		memmove(b->out, b->out + 1, --b->nout);
	return byte;
}

static void offer_input(struct board *b, uint8_t byte)
{
	if (b->nin < sizeof(b->in))
		b->in[b->nin++] = byte;
	chr_poll(&b->chr);
}

static unsigned take_count(unsigned *count)
{
	unsigned n = *count;

	*count = 0;
	return n;
}

/* Does the step; gives what is to be compared with `val`. */
static uint32_t step_do(struct board *b, const struct step *s)
{
	bool is_port = s->at < 0x10000;
	unsigned size = s->size ? s->size : is_port ? 1 : 4;

	switch (s->op) {
	case WR:
		bus_write(is_port ? &b->pio : &b->mmio, s->at, size, s->val);
		return s->val;
	case RD:
		return (uint32_t)bus_read(is_port ? &b->pio : &b->mmio, s->at, size);
	case IRQ:
		return b->level[s->at % IRQ_NGSI];
	case EDGES:
		return take_count(&b->edges[s->at % IRQ_NGSI]);
	case LINE:
		spy_set(b, s->at % IRQ_NGSI, s->val);
		return s->val;
	case ADV:
		advance(&b->clock, s->val * 1000ull);
		return s->val;
	case ACK:
		return (uint32_t)irqchip_pic_ack(b->chip);
	case EXT:
		return b->extint;
	case EOI:
		irqchip_ioapic_eoi(b->chip, (uint8_t)s->val);
		return s->val;
	case MSI:
		return take_count(&b->messages) == s->at ? (s->at ? b->msi_data : s->val) : ~s->val;
	case DEST:
		return b->msi_addr & 0xfffff;
	case IN:
		offer_input(b, (uint8_t)s->val);
		return s->val;
	case OUT:
		return take_output(b);
	case EVENT:
		return b->event == NO_EVENT || b->status == (int)s->at ? take_count(&b->event)
								       : ANY;
	case POWER:
		acpipm_power_button(b->dev[4]);
		return s->val;
	case KEY:
		return b->input.key(b->input.keyboard, s->at & 0xff, !(s->at & 0x100));
	case MOVE:
		b->input.move(b->input.mouse, (int8_t)s->val, (int8_t)(s->val >> 8),
			      (int8_t)(s->val >> 16), s->at);
		return s->val;
	case RESET:
		for (unsigned i = 0; i < NDEVICES + 2; i++)
			b->dev[i]->ops->reset(b->dev[i]);
		return s->val;
	}
	return 0;
}

void board_poke(struct board *b, const struct step *s)
{
	step_do(b, s);
	b->nout = 0;
}

bool board_run(const struct script *s, bool reload)
{
	struct board *b = board_create();
	bool good = true;
	uint32_t got;

	for (size_t i = 0; i < s->n && good; i++) {
		const struct step *step = &s->steps[i];

		if (reload)
			reload_all(b);
		got = step_do(b, step);
		if (step->op == EVENT)
			b->event = NO_EVENT;
		good = got == step->val || (step->op == RD && step->val == ANY);
		if (good)
			continue;
		fprintf(stderr, "%s%s: step %zu (op %u at %#x): got %#x, expected %#x\n", s->name,
			reload ? " (reloaded)" : "", i, step->op, step->at, got, step->val);
	}
	board_destroy(b);
	return good;
}
