/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8254 interval timer: channel 0 interrupts, channel 2 drives the speaker and is watched
 * through port 61h.
 *
 * A channel is a start time and a count; output and counter are computed when somebody looks. The
 * host timer serves channel 0's rising edges only. Interrupts that come late are not made up for:
 * several missed ones are a single edge, and the phase is kept. (What a guest has not acknowledged
 * merges in the interrupt controller anyway; systems that count ticks have better clocks.)
 */
#include "vmm/device/models.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/device/chips.h"

#define NS_PER_S         1000000000ull
#define REFRESH_TICKS    18    /* DRAM refresh, seen in port 61h bit 4: every 15 us */
#define MIN_INTERRUPT_NS 20000 /* a guest may ask for one each 2 us */

#define PORT61_GATE2   0x01
#define PORT61_SPEAKER 0x02
#define PORT61_WRITE   0x0f
#define PORT61_REFRESH 0x10
#define PORT61_OUT2    0x20

struct pit {
	struct device dev;
	struct pit_hw hw;
	const struct device_env *env;
	struct irq_line irq;
	struct clock_timer timer;
	uint64_t last_edge_ns;
};

#define CHANNEL(n)                                                                               \
	ST((n)*16 + 1, struct pit_hw, ch[n].start), ST((n)*16 + 2, struct pit_hw, ch[n].frozen), \
		ST((n)*16 + 3, struct pit_hw, ch[n].count),                                      \
		ST((n)*16 + 4, struct pit_hw, ch[n].latch),                                      \
		ST((n)*16 + 5, struct pit_hw, ch[n].control),                                    \
		ST((n)*16 + 6, struct pit_hw, ch[n].is_loaded),                                  \
		ST((n)*16 + 7, struct pit_hw, ch[n].gate),                                       \
		ST((n)*16 + 8, struct pit_hw, ch[n].write_low),                                  \
		ST((n)*16 + 9, struct pit_hw, ch[n].write_second),                               \
		ST((n)*16 + 10, struct pit_hw, ch[n].read_second),                               \
		ST((n)*16 + 11, struct pit_hw, ch[n].latched),                                   \
		ST((n)*16 + 12, struct pit_hw, ch[n].status),                                    \
		ST((n)*16 + 13, struct pit_hw, ch[n].status_latched)

static const struct state_field pit_fields[] = {CHANNEL(0), CHANNEL(1), CHANNEL(2),
						ST(64, struct pit_hw, port61), ST_END};
const struct state_desc pit_state = {"pit", 1, sizeof(struct pit_hw), pit_fields};

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t ticks_at(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * PIT_HZ / NS_PER_S);
}

/* First nanosecond at which ticks_at() gives `ticks`. */
static uint64_t ns_of(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * NS_PER_S + PIT_HZ - 1) / PIT_HZ);
}

static uint64_t now_ticks(const struct pit *p)
{
	return ticks_at(clock_now(p->env->clock));
}

/* ---- one channel ----------------------------------------------------------------------------- */

/* Modes 6 and 7 are 2 and 3. */
static unsigned channel_mode(const struct pit_channel *c)
{
	unsigned mode = c->control >> 1 & 7;

	return mode > 5 ? mode - 4 : mode;
}

static bool is_periodic(const struct pit_channel *c)
{
	return channel_mode(c) == 2 || channel_mode(c) == 3;
}

/* In modes 1 and 5 the gate starts a count by its edge; in the others its level lets it run. */
static bool gate_triggers(const struct pit_channel *c)
{
	return channel_mode(c) == 1 || channel_mode(c) == 5;
}

static uint64_t channel_elapsed(const struct pit_channel *c, uint64_t now)
{
	if (!c->gate && !gate_triggers(c))
		return c->frozen;
	return now > c->start ? now - c->start : 0;
}

static bool channel_out(const struct pit_channel *c, uint64_t now)
{
	uint64_t t = channel_elapsed(c, now);

	if (!c->is_loaded)
		return channel_mode(c) != 0;
	switch (channel_mode(c)) {
	case 0:
		return t >= c->count;
	case 1:
		return t >= c->count;
	case 2:
		return !c->gate || t % c->count != c->count - 1;
	case 3:
		return !c->gate || t % c->count < (c->count + 1) / 2;
	default:
		return t != c->count;
	}
}

static uint32_t to_bcd(uint32_t n)
{
	return n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint32_t n)
{
	return (n & 15) + (n >> 4 & 15) * 10 + (n >> 8 & 15) * 100 + (n >> 12 & 15) * 1000;
}

static uint16_t channel_counter(const struct pit_channel *c, uint64_t now)
{
	uint64_t t = channel_elapsed(c, now);
	uint32_t wrap = c->control & 1 ? 10000 : 65536, n;

	switch (channel_mode(c)) {
	case 2:
		n = c->count - (uint32_t)(t % c->count);
		break;
	case 3: /* counts down by two, twice a period */
		n = c->count - (uint32_t)(2 * t % c->count);
		break;
	default: /* goes on from the top after zero */
		n = (uint32_t)((c->count + wrap - t % wrap) % wrap);
	}
	return (uint16_t)(c->control & 1 ? to_bcd(n) : n);
}

static void channel_start(struct pit_channel *c, uint64_t now)
{
	c->start = now;
	c->frozen = 0;
}

static void channel_gate(struct pit_channel *c, bool gate, uint64_t now)
{
	if (c->gate == gate)
		return;
	if (!gate)
		c->frozen = channel_elapsed(c, now);
	c->gate = gate;
	if (!gate)
		return;
	if (gate_triggers(c) || is_periodic(c))
		channel_start(c, now);
	else
		c->start = now > c->frozen ? now - c->frozen : 0;
}

static void channel_load(struct pit_channel *c, uint16_t val, uint64_t now)
{
	uint32_t n = c->control & 1 ? from_bcd(val) : val;

	c->count = n ? n : c->control & 1 ? 10000 : 65536;
	c->is_loaded = 1;
	/* Where the gate triggers, the count waits for its edge: far in the past is "done". */
	if (gate_triggers(c))
		c->start = now > c->count ? now - c->count - 1 : 0;
	else
		channel_start(c, now);
}

static void channel_control(struct pit_channel *c, uint8_t val)
{
	c->control = val & 0x3f;
	c->is_loaded = 0;
	c->count = 65536;
	c->write_second = c->read_second = c->latched = c->status_latched = 0;
}

static void channel_latch_count(struct pit_channel *c, uint64_t now)
{
	if (c->latched)
		return;
	c->latch = channel_counter(c, now);
	c->latched = (c->control >> 4 & 3) == 3 ? 2 : 1;
}

static void channel_latch_status(struct pit_channel *c, uint64_t now)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)(channel_out(c, now) << 7 | !c->is_loaded << 6 | c->control);
	c->status_latched = 1;
}

static void channel_write(struct pit_channel *c, uint8_t val, uint64_t now)
{
	switch (c->control >> 4 & 3) {
	case 1:
		channel_load(c, val, now);
		break;
	case 2:
		channel_load(c, (uint16_t)(val << 8), now);
		break;
	default:
		c->write_second = !c->write_second;
		if (c->write_second)
			c->write_low = val;
		else
			channel_load(c, (uint16_t)(val << 8 | c->write_low), now);
	}
}

/* One byte of a 16-bit value, as the access bits of the control word say. */
static uint8_t channel_byte(struct pit_channel *c, uint16_t val)
{
	unsigned access = c->control >> 4 & 3;

	if (access == 3) {
		c->read_second = !c->read_second;
		return (uint8_t)(c->read_second ? val : val >> 8);
	}
	return (uint8_t)(access == 2 ? val >> 8 : val);
}

static uint8_t channel_read(struct pit_channel *c, uint64_t now)
{
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->latched) {
		c->latched--;
		return channel_byte(c, c->latch);
	}
	return channel_byte(c, channel_counter(c, now));
}

/* ---- channel 0's interrupt ------------------------------------------------------------------- */

/* Tick of the next rising edge of channel 0's output after `now`; 0: none. */
static uint64_t next_edge(const struct pit_channel *c, uint64_t now)
{
	uint64_t t = channel_elapsed(c, now), end;

	if (!c->is_loaded || !c->gate || gate_triggers(c))
		return 0;
	if (is_periodic(c))
		return c->start + (t / c->count + 1) * c->count;
	end = c->count + (channel_mode(c) == 4);
	return t < end ? c->start + end : 0;
}

static void pit_arm(struct pit *p)
{
	uint64_t edge = next_edge(&p->hw.ch[0], now_ticks(p)), ns = ns_of(edge);

	if (!edge) {
		clock_timer_cancel(&p->timer);
		return;
	}
	if (is_periodic(&p->hw.ch[0]) && ns < p->last_edge_ns + MIN_INTERRUPT_NS)
		ns = p->last_edge_ns + MIN_INTERRUPT_NS;
	clock_timer_set(&p->timer, ns);
}

/*
 * The level between edges. Periodic modes keep the line up from the first edge on: a low phase that
 * nobody can measure is left out, and programming the channel is no edge by itself.
 */
static void pit_drive(struct pit *p)
{
	const struct pit_channel *c = &p->hw.ch[0];
	uint64_t now = now_ticks(p);
	bool level = channel_out(c, now);

	if (is_periodic(c))
		level = c->is_loaded && channel_elapsed(c, now) >= c->count;
	irq_set(&p->irq, level);
}

static void pit_edge(void *opaque)
{
	struct pit *p = opaque;

	p->last_edge_ns = clock_now(p->env->clock);
	irq_set(&p->irq, false);
	irq_set(&p->irq, true);
	pit_arm(p);
}

static void pit_changed(struct pit *p)
{
	pit_drive(p);
	pit_arm(p);
}

/* ---- registers ------------------------------------------------------------------------------- */

static void read_back(struct pit *p, uint8_t val)
{
	uint64_t now = now_ticks(p);

	for (unsigned i = 0; i < 3; i++) {
		if (!(val & 2u << i))
			continue;
		if (!(val & 0x10))
			channel_latch_status(&p->hw.ch[i], now);
		if (!(val & 0x20))
			channel_latch_count(&p->hw.ch[i], now);
	}
}

static void control_write(struct pit *p, uint8_t val)
{
	unsigned n = val >> 6;

	if (n == 3) {
		read_back(p, val);
		return;
	}
	if (!(val & 0x30)) {
		channel_latch_count(&p->hw.ch[n], now_ticks(p));
		return;
	}
	channel_control(&p->hw.ch[n], val);
	if (n == 0)
		pit_changed(p);
}

static void pit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pit *p = dev;

	(void)size;
	if (off == 3) {
		control_write(p, (uint8_t)val);
		return;
	}
	channel_write(&p->hw.ch[off], (uint8_t)val, now_ticks(p));
	if (off == 0 && !p->hw.ch[0].write_second)
		pit_changed(p);
}

static uint64_t pit_read(void *dev, uint64_t off, unsigned size)
{
	struct pit *p = dev;

	(void)size;
	return off == 3 ? 0xff : channel_read(&p->hw.ch[off], now_ticks(p));
}

static uint64_t port61_read(void *dev, uint64_t off, unsigned size)
{
	struct pit *p = dev;
	uint64_t now = now_ticks(p);

	(void)off;
	(void)size;
	return p->hw.port61 | (now / REFRESH_TICKS & 1 ? PORT61_REFRESH : 0) |
	       (channel_out(&p->hw.ch[2], now) ? PORT61_OUT2 : 0);
}

static void port61_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pit *p = dev;

	(void)off;
	(void)size;
	p->hw.port61 = (uint8_t)val & PORT61_WRITE;
	channel_gate(&p->hw.ch[2], val & PORT61_GATE2, now_ticks(p));
}

static const struct io_ops pit_io = {pit_read, pit_write, 1};
static const struct io_ops port61_io = {port61_read, port61_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void pit_reset(struct device *d)
{
	struct pit *p = (struct pit *)d;

	p->hw = (struct pit_hw){0};
	for (unsigned i = 0; i < 3; i++) {
		p->hw.ch[i].control = 0x36; /* both bytes, square wave */
		p->hw.ch[i].count = 65536;
		p->hw.ch[i].gate = i != 2;
	}
	pit_changed(p);
}

static void pit_destroy(struct device *d)
{
	struct pit *p = (struct pit *)d;

	clock_timer_cancel(&p->timer);
	bus_remove(p->env->pio, 0x40, p);
	bus_remove(p->env->pio, 0x61, p);
	free(p);
}

static void *pit_hw(struct device *d)
{
	return &((struct pit *)d)->hw;
}

static int pit_loaded(struct device *d, struct err *e)
{
	struct pit *p = (struct pit *)d;

	for (unsigned i = 0; i < 3; i++) {
		const struct pit_channel *c = &p->hw.ch[i];

		if (!c->count || c->count > 65536 || c->start > UINT64_MAX / 4 || c->gate > 1 ||
		    c->latched > 2)
			return err_set(e, -EINVAL, "pit: channel %u is in no possible state", i);
	}
	pit_changed(p);
	return 0;
}

static int pit_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct pit *p = calloc(1, sizeof(*p));
	uint64_t irq = 0;
	int rc;

	if (!p)
		return err_set(e, -ENOMEM, "pit: out of memory");
	p->dev.ops = &pit_ops;
	p->env = env;
	clock_timer_init(&p->timer, env->clock, pit_edge, p);
	rc = device_conf_u64(conf, "irq", 0, 0, IRQ_NGSI - 1, &irq, e);
	if (!rc)
		rc = bus_add(env->pio, 0x40, 4, &pit_io, p, "pit", e);
	if (!rc)
		rc = bus_add(env->pio, 0x61, 1, &port61_io, p, "port61", e);
	if (rc) {
		pit_destroy(&p->dev);
		return rc;
	}
	p->irq = (struct irq_line){env->irq, (unsigned)irq, env->timers_replaced};
	pit_reset(&p->dev);
	*out = &p->dev;
	return 0;
}

const struct device_ops pit_ops = {
	.name = "pit",
	.help = "8254 interval timer and port 61h",
	.create = pit_create,
	.reset = pit_reset,
	.destroy = pit_destroy,
	.state = &pit_state,
	.hw = pit_hw,
	.loaded = pit_loaded,
};
