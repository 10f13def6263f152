/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The high precision event timer (IA-PC HPET specification 1.0a; sections are its): a counter at
 * 100 MHz and three comparators, by message, by I/O APIC line, or in place of PIT and RTC.
 *
 * The counter derives from the VM's clock. Interrupts that come late are not made up for: the ones
 * that a period has missed are a single one, and the phase is kept.
 */
#include "vmm/device/hpet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS          (HPET_PERIOD_FS / 1000000)
#define MIN_INTERRUPT_NS 20000 /* a guest may ask for one each tick */

/* Registers (2.3.1) and those of a timer, 0x20 apart. */
#define REG_CAP          0x000
#define REG_CONFIG       0x010
#define REG_STATUS       0x020
#define REG_COUNTER      0x0f0
#define REG_TIMERS       0x100
#define TIMER_SIZE       0x20
#define TIMER_CONFIG     0x00
#define TIMER_COMPARATOR 0x08
#define TIMER_FSB        0x10

#define CONFIG_ENABLE 1u
#define CONFIG_LEGACY 2u

#define T_LEVEL      (1u << 1)
#define T_ENABLE     (1u << 2)
#define T_PERIODIC   (1u << 3)
#define T_CAN_REPEAT (1u << 4)
#define T_64BIT      (1u << 5)
#define T_SET_VALUE  (1u << 6)
#define T_32BIT      (1u << 8)
#define T_ROUTE(c)   ((c) >> 9 & 31)
#define T_FSB        (1u << 14)
#define T_CAN_FSB    (1u << 15)
#define T_WRITABLE   (T_LEVEL | T_ENABLE | T_PERIODIC | T_32BIT | 31u << 9 | T_FSB)
#define T_LINES      0x00f00000u /* of the I/O APIC: those that no PCI interrupt uses */

struct hpet_hw {
	uint32_t config, status;
	uint64_t offset; /* counter = ticks of the VM's clock + offset; stopped: the counter itself
			  */
	uint32_t t_config[HPET_TIMERS];
	uint64_t comparator[HPET_TIMERS], period[HPET_TIMERS], fsb[HPET_TIMERS];
};

struct hpet {
	struct device dev;
	struct hpet_hw hw;
	struct device_env env;
	bool can_legacy;
	struct hpet_timer {
		struct hpet *h;
		struct clock_timer host;
		uint64_t earliest; /* VM time before which it does not fire again */
		uint32_t line_up;  /* a level-triggered line it holds: GSI + 1 */
	} timer[HPET_TIMERS];
};

static uint64_t clock_ticks(const struct hpet *h)
{
	return clock_now(h->env.clock) / TICK_NS;
}

static uint64_t counter(const struct hpet *h)
{
	return h->hw.config & CONFIG_ENABLE ? clock_ticks(h) + h->hw.offset : h->hw.offset;
}

static unsigned index_of(const struct hpet_timer *t)
{
	return (unsigned)(t - t->h->timer);
}

/* ---- interrupts ---------------------------------------------------------------------------------
 */

static bool in_legacy_mode(const struct hpet *h)
{
	return h->hw.config & CONFIG_LEGACY;
}

/* The line a timer has now, or -1: none (2.3.8). */
static int line_of(const struct hpet *h, unsigned n)
{
	unsigned route = T_ROUTE(h->hw.t_config[n]);

	if (in_legacy_mode(h) && n < 2)
		return n ? 8 : 0;
	return T_LINES >> route & 1 ? (int)route : -1;
}

static void drive(struct hpet *h, unsigned gsi, bool level)
{
	struct irq_line line = {.router = h->env.irq, .gsi = gsi};

	irq_set(&line, level);
}

/* Level-triggered lines follow the status; edges are pulses of fire(). */
static void update_line(struct hpet *h, unsigned n)
{
	struct hpet_timer *t = &h->timer[n];
	int gsi = line_of(h, n);
	uint32_t now = 0;

	if ((h->hw.status >> n & 1) && (h->hw.t_config[n] & T_ENABLE) && gsi >= 0)
		now = (uint32_t)gsi + 1;
	if (now == t->line_up)
		return;
	if (t->line_up)
		drive(h, t->line_up - 1, false);
	if (now)
		drive(h, now - 1, true);
	t->line_up = now;
}

static void fire(struct hpet *h, unsigned n)
{
	uint32_t c = h->hw.t_config[n];
	int gsi = line_of(h, n);

	if (c & T_LEVEL)
		h->hw.status |= 1u << n;
	if (!(c & T_ENABLE))
		return;
	if (c & T_FSB) {
		irq_msi(h->env.irq, h->hw.fsb[n] >> 32, (uint32_t)h->hw.fsb[n]);
	} else if (c & T_LEVEL) {
		update_line(h, n);
	} else if (gsi >= 0) {
		drive(h, (unsigned)gsi, true);
		drive(h, (unsigned)gsi, false);
	}
}

/* ---- comparators --------------------------------------------------------------------------------
 */

static bool is_narrow(const struct hpet *h, unsigned n)
{
	return h->hw.t_config[n] & T_32BIT;
}

/* Ticks until the counter meets the comparator: a 32-bit one is met again each time it wraps. */
static uint64_t ticks_left(const struct hpet *h, unsigned n)
{
	uint64_t left = h->hw.comparator[n] - counter(h);

	return is_narrow(h, n) ? (uint32_t)left : left;
}

/* Half of the range lies in the past. */
static bool is_past(const struct hpet *h, unsigned n, uint64_t left)
{
	return is_narrow(h, n) ? left > UINT32_MAX / 2 : left > UINT64_MAX / 2;
}

static bool can_interrupt(const struct hpet *h, unsigned n)
{
	return (h->hw.config & CONFIG_ENABLE) && (h->hw.t_config[n] & (T_ENABLE | T_LEVEL)) != 0;
}

/* A period's comparator moves to the first match that is to come. */
static void catch_up(struct hpet *h, unsigned n)
{
	uint64_t period = h->hw.period[n], left = ticks_left(h, n), behind;

	if (!(h->hw.t_config[n] & T_PERIODIC) || !period || !is_past(h, n, left))
		return;
	behind = is_narrow(h, n) ? (uint32_t)-left : -left;
	h->hw.comparator[n] += (behind / period + 1) * period;
	if (is_narrow(h, n))
		h->hw.comparator[n] = (uint32_t)h->hw.comparator[n];
}

/* `fired`: the match of this moment is over. */
static void arm(struct hpet *h, unsigned n, bool fired)
{
	uint64_t left, at;

	clock_timer_cancel(&h->timer[n].host);
	if (!can_interrupt(h, n))
		return;
	catch_up(h, n);
	left = ticks_left(h, n);
	if (!is_narrow(h, n) && is_past(h, n, left))
		return; /* not within a lifetime */
	if (!left && fired)
		left = 1ull << 32;
	at = clock_now(h->env.clock) +
	     (left < UINT64_MAX / 4 / TICK_NS ? left * TICK_NS : UINT64_MAX / 4);
	if (at < h->timer[n].earliest)
		at = h->timer[n].earliest;
	clock_timer_set(&h->timer[n].host, at);
}

static void expired(void *opaque)
{
	struct hpet_timer *t = opaque;
	struct hpet *h = t->h;
	unsigned n = index_of(t);

	fire(h, n);
	t->earliest = clock_now(h->env.clock) + MIN_INTERRUPT_NS;
	if (h->hw.t_config[n] & T_PERIODIC) {
		h->hw.comparator[n] += h->hw.period[n];
		if (is_narrow(h, n))
			h->hw.comparator[n] = (uint32_t)h->hw.comparator[n];
	}
	if ((h->hw.t_config[n] & T_PERIODIC) || is_narrow(h, n))
		arm(h, n, true);
}

/* PIT and RTC keep their lines' levels to themselves as long as legacy mode lasts. */
static void take_lines(struct hpet *h)
{
	bool *replaced = h->env.timers_replaced;

	if (!replaced || *replaced == in_legacy_mode(h))
		return;
	*replaced = in_legacy_mode(h);
	if (*replaced) {
		drive(h, 0, false);
		drive(h, 8, false);
	}
}

static void arm_all(struct hpet *h)
{
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		arm(h, n, false);
		update_line(h, n);
	}
	take_lines(h);
}

/* ---- registers ----------------------------------------------------------------------------------
 */

static void set_half(uint64_t *reg, bool high, uint32_t val)
{
	unsigned shift = high ? 32 : 0;

	*reg = (*reg & ~(0xffffffffull << shift)) | (uint64_t)val << shift;
}

static uint64_t capabilities(const struct hpet *h)
{
	return (uint64_t)HPET_PERIOD_FS << 32 | HPET_ID | (h->can_legacy ? HPET_CAP_LEGACY : 0);
}

static uint64_t timer_register(const struct hpet *h, unsigned n, unsigned reg)
{
	switch (reg) {
	case TIMER_CONFIG:
		return (uint64_t)T_LINES << 32 | T_CAN_REPEAT | T_64BIT | T_CAN_FSB |
		       h->hw.t_config[n];
	case TIMER_COMPARATOR:
		return h->hw.comparator[n];
	case TIMER_FSB:
		return h->hw.fsb[n];
	}
	return 0;
}

static uint64_t register_at(const struct hpet *h, unsigned reg)
{
	if (reg >= REG_TIMERS && reg < REG_TIMERS + HPET_TIMERS * TIMER_SIZE)
		return timer_register(h, (reg - REG_TIMERS) / TIMER_SIZE, reg % TIMER_SIZE);
	switch (reg) {
	case REG_CAP:
		return capabilities(h);
	case REG_CONFIG:
		return h->hw.config;
	case REG_STATUS:
		return h->hw.status;
	case REG_COUNTER:
		return counter(h);
	}
	return 0;
}

static uint64_t hpet_read(void *dev, uint64_t off, unsigned size)
{
	uint64_t val = register_at(dev, (unsigned)off & ~7u);

	return size == 8 ? val : val >> (off & 4) * 8;
}

/* With "set value" a periodic timer's comparator is written, without only its period (2.3.9.2.2).
 */
static void write_comparator(struct hpet *h, unsigned n, bool high, uint32_t val)
{
	uint32_t c = h->hw.t_config[n];

	if (!(c & T_PERIODIC) || (c & T_SET_VALUE))
		set_half(&h->hw.comparator[n], high, val);
	if (c & T_PERIODIC)
		set_half(&h->hw.period[n], high, val);
	if (is_narrow(h, n)) {
		h->hw.comparator[n] = (uint32_t)h->hw.comparator[n];
		h->hw.period[n] = (uint32_t)h->hw.period[n];
	}
	h->hw.t_config[n] &= ~T_SET_VALUE;
}

static void write_timer(struct hpet *h, unsigned n, unsigned reg, bool high, uint32_t val)
{
	if (reg == TIMER_CONFIG && !high)
		h->hw.t_config[n] = val & (T_WRITABLE | T_SET_VALUE);
	else if (reg == TIMER_COMPARATOR)
		write_comparator(h, n, high, val);
	else if (reg == TIMER_FSB)
		set_half(&h->hw.fsb[n], high, val);
	arm(h, n, false);
	update_line(h, n);
}

static void write_config(struct hpet *h, uint32_t val)
{
	uint64_t now = counter(h);

	h->hw.config = val & (CONFIG_ENABLE | (h->can_legacy ? CONFIG_LEGACY : 0));
	h->hw.offset = h->hw.config & CONFIG_ENABLE ? now - clock_ticks(h) : now;
	arm_all(h);
}

static void write_status(struct hpet *h, uint32_t val)
{
	h->hw.status &= ~val;
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		update_line(h, n);
}

static void write_counter(struct hpet *h, bool high, uint32_t val)
{
	if (h->hw.config & CONFIG_ENABLE)
		return; /* only while it stands (2.3.7) */
	set_half(&h->hw.offset, high, val);
}

static void write_half(struct hpet *h, unsigned reg, bool high, uint32_t val)
{
	if (reg >= REG_TIMERS && reg < REG_TIMERS + HPET_TIMERS * TIMER_SIZE)
		write_timer(h, (reg - REG_TIMERS) / TIMER_SIZE, reg % TIMER_SIZE, high, val);
	else if (reg == REG_CONFIG && !high)
		write_config(h, val);
	else if (reg == REG_STATUS && !high)
		write_status(h, val);
	else if (reg == REG_COUNTER)
		write_counter(h, high, val);
}

static void hpet_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	unsigned reg = (unsigned)off & ~7u;

	if (size == 8) {
		write_half(dev, reg, false, (uint32_t)val);
		write_half(dev, reg, true, (uint32_t)(val >> 32));
	} else {
		write_half(dev, reg, off & 4, (uint32_t)val);
	}
}

static const struct io_ops hpet_io = {hpet_read, hpet_write, 4 | 8};

/* ---- life ---------------------------------------------------------------------------------------
 */

static void hpet_reset(struct device *d)
{
	struct hpet *h = (struct hpet *)d;

	memset(&h->hw, 0, sizeof(h->hw));
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		h->hw.comparator[n] = UINT64_MAX;
	arm_all(h);
}

static void hpet_destroy(struct device *d)
{
	struct hpet *h = (struct hpet *)d;

	for (unsigned n = 0; n < HPET_TIMERS; n++)
		clock_timer_cancel(&h->timer[n].host);
	bus_remove(h->env.mmio, HPET_BASE, h);
	free(h);
}

static int hpet_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		       struct err *e)
{
	struct hpet *h = calloc(1, sizeof(*h));
	uint64_t legacy = 1;
	int rc;

	if (!h)
		return err_set(e, -ENOMEM, "hpet: out of memory");
	h->dev.ops = &hpet_ops;
	h->env = *env;
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		h->timer[n].h = h;
		clock_timer_init(&h->timer[n].host, env->clock, expired, &h->timer[n]);
	}
	rc = device_conf_u64(conf, "legacy", 1, 0, 1, &legacy, e);
	if (!rc)
		rc = bus_add(env->mmio, HPET_BASE, HPET_SIZE, &hpet_io, h, "hpet", e);
	if (rc) {
		hpet_destroy(&h->dev);
		return rc;
	}
	h->can_legacy = legacy;
	hpet_reset(&h->dev);
	*out = &h->dev;
	return 0;
}

static void *hpet_hw(struct device *d)
{
	return &((struct hpet *)d)->hw;
}

static int hpet_loaded(struct device *d, struct err *e)
{
	struct hpet *h = (struct hpet *)d;

	if (h->hw.config & ~(CONFIG_ENABLE | (h->can_legacy ? CONFIG_LEGACY : 0u)))
		return err_set(e, -EINVAL, "hpet: config: not of this machine's timer");
	if (h->hw.status >> HPET_TIMERS)
		return err_set(e, -EINVAL, "hpet: status: there are %d timers", HPET_TIMERS);
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		h->hw.t_config[n] &= T_WRITABLE | T_SET_VALUE;
	arm_all(h);
	return 0;
}

static const struct state_field hpet_fields[] = {
	ST(1, struct hpet_hw, config),         ST(2, struct hpet_hw, status),
	ST(3, struct hpet_hw, offset),         ST_ARR(4, struct hpet_hw, t_config),
	ST_ARR(5, struct hpet_hw, comparator), ST_ARR(6, struct hpet_hw, period),
	ST_ARR(7, struct hpet_hw, fsb),        ST_END,
};

static const struct state_desc hpet_state = {"hpet", 1, sizeof(struct hpet_hw), hpet_fields};

const struct device_ops hpet_ops = {
	.name = "hpet",
	.help = "high precision event timer [legacy=1]",
	.create = hpet_create,
	.reset = hpet_reset,
	.destroy = hpet_destroy,
	.state = &hpet_state,
	.hw = hpet_hw,
	.loaded = hpet_loaded,
};
