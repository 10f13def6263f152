/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254's channels, their counts and outputs. See pit.h. */
#include "x86/pit.h"

#define NS_PER_S         1000000000ull
#define REFRESH_TICKS    18    /* DRAM refresh, seen in port 61h bit 4: every 15 us */
#define MIN_INTERRUPT_NS 20000 /* a guest may ask for one each 2 us */

#define PORT61_GATE2   0x01
#define PORT61_WRITE   0x0f
#define PORT61_REFRESH 0x10
#define PORT61_OUT2    0x20

/* Whole seconds apart from the rest: the products fit 64 bits for any time. */
uint64_t pit_ticks_at(uint64_t ns)
{
	return ns / NS_PER_S * PIT_HZ + ns % NS_PER_S * PIT_HZ / NS_PER_S;
}

uint64_t pit_ns_of(uint64_t ticks)
{
	return ticks / PIT_HZ * NS_PER_S + (ticks % PIT_HZ * NS_PER_S + PIT_HZ - 1) / PIT_HZ;
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

uint64_t pit_hw_next_edge(const struct pit_hw *p, uint64_t now, uint64_t last_ns)
{
	uint64_t edge = next_edge(&p->ch[0], now), ns = pit_ns_of(edge);

	if (!edge)
		return 0;
	if (is_periodic(&p->ch[0]) && ns < last_ns + MIN_INTERRUPT_NS)
		return last_ns + MIN_INTERRUPT_NS;
	return ns;
}

bool pit_hw_line(const struct pit_hw *p, uint64_t now)
{
	const struct pit_channel *c = &p->ch[0];

	if (is_periodic(c))
		return c->is_loaded && channel_elapsed(c, now) >= c->count;
	return channel_out(c, now);
}

/* ---- registers ------------------------------------------------------------------------------- */

static void read_back(struct pit_hw *p, uint8_t val, uint64_t now)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(val & 2u << i))
			continue;
		if (!(val & 0x10))
			channel_latch_status(&p->ch[i], now);
		if (!(val & 0x20))
			channel_latch_count(&p->ch[i], now);
	}
}

static bool control_write(struct pit_hw *p, uint8_t val, uint64_t now)
{
	unsigned n = val >> 6;

	if (n == 3)
		read_back(p, val, now);
	else if (!(val & 0x30))
		channel_latch_count(&p->ch[n], now);
	else
		channel_control(&p->ch[n], val);
	return n == 0 && (val & 0x30);
}

bool pit_hw_write(struct pit_hw *p, unsigned port, uint8_t val, uint64_t now)
{
	if (port == 3)
		return control_write(p, val, now);
	channel_write(&p->ch[port], val, now);
	return port == 0 && !p->ch[0].write_second;
}

uint8_t pit_hw_read(struct pit_hw *p, unsigned port, uint64_t now)
{
	return port == 3 ? 0xff : channel_read(&p->ch[port], now);
}

uint8_t pit_hw_read61(const struct pit_hw *p, uint64_t now)
{
	return (uint8_t)(p->port61 | (now / REFRESH_TICKS & 1 ? PORT61_REFRESH : 0) |
			 (channel_out(&p->ch[2], now) ? PORT61_OUT2 : 0));
}

void pit_hw_write61(struct pit_hw *p, uint8_t val, uint64_t now)
{
	p->port61 = val & PORT61_WRITE;
	channel_gate(&p->ch[2], val & PORT61_GATE2, now);
}

/* ---- life ------------------------------------------------------------------------------------ */

void pit_hw_reset(struct pit_hw *p)
{
	*p = (struct pit_hw){0};
	for (unsigned i = 0; i < 3; i++) {
		p->ch[i].control = 0x36; /* both bytes, square wave */
		p->ch[i].count = 65536;
		p->ch[i].gate = i != 2;
	}
}

int pit_hw_bad_channel(const struct pit_hw *p)
{
	for (int i = 0; i < 3; i++) {
		const struct pit_channel *c = &p->ch[i];

		if (!c->count || c->count > 65536 || c->start > UINT64_MAX / 4 || c->gate > 1 ||
		    c->latched > 2)
			return i;
	}
	return -1;
}
