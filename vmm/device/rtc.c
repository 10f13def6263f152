/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818 real-time clock and its CMOS memory, in UTC.
 *
 * The time is the VM clock plus an offset, so it stands still in a pause like every other clock of
 * the VM. Flags of register C are found when somebody looks; a host timer runs only towards an
 * event whose interrupt is enabled and whose flag is clear. Periodic interrupts therefore
 * coalesce until the guest has read register C, and a guest that never does causes no work.
 */
#include "vmm/device/models.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/num.h"
#include "vmm/memory.h"

#define NS_PER_S   1000000000ull
#define DAY        86400ull
#define UIP_NS     244000ull /* update-in-progress shows this long before an update */
#define CRYSTAL_HZ 32768ull

enum {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32,
};

#define A_UIP    0x80
#define B_SET    0x80
#define B_BINARY 0x04
#define B_24H    0x02
#define C_IRQ    0x80
#define C_PF     0x40 /* the same bits in B enable them */
#define C_AF     0x20
#define C_UF     0x10
#define HOUR_PM  0x80

struct rtc_hw {
	uint8_t cmos[128];
	uint8_t index;
	uint8_t stopped; /* the time registers hold still: SET, or the divider in reset */
	uint64_t offset; /* RTC ns since 1970 = VM clock + offset (modulo 2^64) */
	uint64_t looked; /* RTC ns up to which register C is complete */
};

struct rtc {
	struct device dev;
	struct rtc_hw hw;
	const struct device_env *env;
	struct irq_line irq;
	struct clock_timer timer;
};

static const struct state_field rtc_fields[] = {
	ST_ARR(1, struct rtc_hw, cmos), ST(2, struct rtc_hw, index),  ST(3, struct rtc_hw, stopped),
	ST(4, struct rtc_hw, offset),   ST(5, struct rtc_hw, looked), ST_END,
};
static const struct state_desc rtc_state = {"rtc", 1, sizeof(struct rtc_hw), rtc_fields};

static uint64_t rtc_now(const struct rtc *r)
{
	return clock_now(r->env->clock) + r->hw.offset;
}

/* ---- calendar -------------------------------------------------------------------------------- */

struct calendar {
	uint64_t year;
	unsigned month, day, hour, minute, second, weekday; /* month and day from 1, Sunday 1 */
};

static bool is_leap(uint64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(uint64_t year, unsigned month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

static void calendar_from(uint64_t seconds, struct calendar *t)
{
	uint64_t days = seconds / DAY, rest = seconds % DAY;

	t->weekday = (unsigned)((days + 4) % 7) + 1;
	t->hour = (unsigned)(rest / 3600);
	t->minute = (unsigned)(rest / 60 % 60);
	t->second = (unsigned)(rest % 60);
	for (t->year = 1970; days >= 365u + is_leap(t->year); t->year++)
		days -= 365u + is_leap(t->year);
	for (t->month = 1; days >= month_days(t->year, t->month); t->month++)
		days -= month_days(t->year, t->month);
	t->day = (unsigned)days + 1;
}

static uint64_t calendar_seconds(const struct calendar *t)
{
	uint64_t days = 0;

	for (uint64_t y = 1970; y < t->year; y++)
		days += 365u + is_leap(y);
	for (unsigned m = 1; m < t->month; m++)
		days += month_days(t->year, m);
	days += t->day - 1;
	return days * DAY + t->hour * 3600u + t->minute * 60u + t->second;
}

/* ---- encoding of the time registers ---------------------------------------------------------- */

static uint8_t encode(const struct rtc *r, unsigned n)
{
	return (uint8_t)(r->hw.cmos[RTC_B] & B_BINARY ? n : n / 10 << 4 | n % 10);
}

/* A guest may have written anything: the result is brought into [min, max]. */
static unsigned decode(const struct rtc *r, uint8_t val, unsigned min, unsigned max)
{
	unsigned n = r->hw.cmos[RTC_B] & B_BINARY ? val : (val >> 4) * 10u + (val & 15);

	return n < min ? min : n > max ? max : n;
}

static uint8_t encode_hour(const struct rtc *r, unsigned hour)
{
	if (r->hw.cmos[RTC_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct rtc *r, uint8_t val)
{
	if (r->hw.cmos[RTC_B] & B_24H)
		return decode(r, val, 0, 23);
	return decode(r, val & ~HOUR_PM, 1, 12) % 12 + (val & HOUR_PM ? 12 : 0);
}

static void registers_from_time(struct rtc *r, uint64_t ns)
{
	struct calendar t;
	uint8_t *c = r->hw.cmos;

	calendar_from(ns / NS_PER_S, &t);
	c[RTC_SECONDS] = encode(r, t.second);
	c[RTC_MINUTES] = encode(r, t.minute);
	c[RTC_HOURS] = encode_hour(r, t.hour);
	c[RTC_WEEKDAY] = encode(r, t.weekday);
	c[RTC_DAY] = encode(r, t.day);
	c[RTC_MONTH] = encode(r, t.month);
	c[RTC_YEAR] = encode(r, (unsigned)(t.year % 100));
	c[RTC_CENTURY] = encode(r, (unsigned)(t.year / 100 % 100));
}

static uint64_t time_from_registers(const struct rtc *r)
{
	const uint8_t *c = r->hw.cmos;
	struct calendar t = {
		.year = decode(r, c[RTC_CENTURY], 19, 25) * 100 + decode(r, c[RTC_YEAR], 0, 99),
		.month = decode(r, c[RTC_MONTH], 1, 12),
		.hour = decode_hour(r, c[RTC_HOURS]),
		.minute = decode(r, c[RTC_MINUTES], 0, 59),
		.second = decode(r, c[RTC_SECONDS], 0, 59),
	};

	if (t.year < 1970)
		t.year = 1970;
	t.day = decode(r, c[RTC_DAY], 1, month_days(t.year, t.month));
	return calendar_seconds(&t) * NS_PER_S;
}

/* ---- events ---------------------------------------------------------------------------------- */

static uint64_t periodic_ns(const struct rtc *r)
{
	unsigned rate = r->hw.cmos[RTC_A] & 15;

	if (!rate)
		return 0;
	if (rate <= 2) /* 256 and 128 Hz: the table wraps round */
		rate += 7;
	return ((1ull << (rate - 1)) * NS_PER_S + CRYSTAL_HZ - 1) / CRYSTAL_HZ;
}

static bool alarm_field(const struct rtc *r, unsigned reg, unsigned now, unsigned wanted)
{
	return (r->hw.cmos[reg] & 0xc0) == 0xc0 || now == wanted;
}

/* First second after `after` that the alarm registers match; 0: none within a day. */
static uint64_t next_alarm(const struct rtc *r, uint64_t after)
{
	const uint8_t *c = r->hw.cmos;
	unsigned hour = decode_hour(r, c[RTC_HOURS_ALARM]);
	unsigned minute = decode(r, c[RTC_MINUTES_ALARM], 0, 59);
	unsigned second = decode(r, c[RTC_SECONDS_ALARM], 0, 59);

	for (uint64_t t = after + 1; t <= after + DAY;) {
		if (!alarm_field(r, RTC_HOURS_ALARM, (unsigned)(t % DAY / 3600), hour))
			t += 3600 - t % 3600;
		else if (!alarm_field(r, RTC_MINUTES_ALARM, (unsigned)(t / 60 % 60), minute))
			t += 60 - t % 60;
		else if (!alarm_field(r, RTC_SECONDS_ALARM, (unsigned)(t % 60), second))
			t++;
		else
			return t;
	}
	return 0;
}

/* Brings the flags of register C up to date. */
static void collect_flags(struct rtc *r, uint64_t now)
{
	uint64_t second = now / NS_PER_S, before = r->hw.looked / NS_PER_S, period = periodic_ns(r);
	uint64_t alarm;

	if (now <= r->hw.looked)
		return;
	if (period && now / period != r->hw.looked / period)
		r->hw.cmos[RTC_C] |= C_PF;
	if (second != before && !r->hw.stopped) {
		alarm = next_alarm(r, before);
		r->hw.cmos[RTC_C] |= C_UF | (alarm && alarm <= second ? C_AF : 0);
	}
	r->hw.looked = now;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return b < a ? b : a;
}

/* RTC time of the next event that must interrupt; UINT64_MAX: none. */
static uint64_t next_event(const struct rtc *r, uint64_t now)
{
	uint8_t wanted = r->hw.cmos[RTC_B] & ~r->hw.cmos[RTC_C];
	uint64_t next = UINT64_MAX, period = periodic_ns(r), alarm;

	if ((wanted & C_PF) && period)
		next = (now / period + 1) * period;
	if (r->hw.stopped)
		return next;
	if (wanted & C_UF)
		next = earlier(next, (now / NS_PER_S + 1) * NS_PER_S);
	alarm = wanted & C_AF ? next_alarm(r, now / NS_PER_S) : 0;
	return alarm ? earlier(next, alarm * NS_PER_S) : next;
}

static void rtc_update(struct rtc *r)
{
	uint64_t now = rtc_now(r), next;
	uint8_t *c = r->hw.cmos;

	collect_flags(r, now);
	if (c[RTC_C] & c[RTC_B] & (C_PF | C_AF | C_UF))
		c[RTC_C] |= C_IRQ;
	irq_set(&r->irq, c[RTC_C] & C_IRQ);
	next = next_event(r, now);
	if (next == UINT64_MAX || (c[RTC_C] & C_IRQ))
		clock_timer_cancel(&r->timer);
	else
		clock_timer_set(&r->timer, next - r->hw.offset);
}

static void rtc_timer(void *opaque)
{
	rtc_update(opaque);
}

/* ---- registers ------------------------------------------------------------------------------- */

static void set_time(struct rtc *r, uint64_t ns)
{
	r->hw.offset = ns - clock_now(r->env->clock);
	r->hw.looked = ns;
}

static bool divider_resets(uint8_t a)
{
	return (a & 0x60) == 0x60;
}

/* Registers A and B together decide whether time runs. */
static void control_write(struct rtc *r, unsigned reg, uint8_t val)
{
	uint64_t now = rtc_now(r), sub = now % NS_PER_S;
	uint8_t *c = r->hw.cmos;
	bool was_reset = divider_resets(c[RTC_A]), stop;

	collect_flags(r, now);
	stop = (reg == RTC_B ? val : c[RTC_B]) & B_SET ||
	       divider_resets(reg == RTC_A ? val : c[RTC_A]);
	if (stop && !r->hw.stopped)
		registers_from_time(r, now);
	c[reg] = reg == RTC_A ? val & ~A_UIP : val;
	if (reg == RTC_B && (val & B_SET)) /* data sheet: SET clears the update interrupt */
		c[RTC_B] &= ~C_UF;
	/* Out of divider reset the first update comes half a second later. */
	if (!stop && r->hw.stopped)
		set_time(r, time_from_registers(r) + (was_reset ? NS_PER_S / 2 : sub));
	r->hw.stopped = stop;
}

static bool is_time(unsigned reg)
{
	return reg == RTC_SECONDS || reg == RTC_MINUTES || reg == RTC_HOURS ||
	       (reg >= RTC_WEEKDAY && reg <= RTC_YEAR) || reg == RTC_CENTURY;
}

static void time_write(struct rtc *r, unsigned reg, uint8_t val)
{
	uint64_t now = rtc_now(r);

	if (r->hw.stopped) {
		r->hw.cmos[reg] = val;
		return;
	}
	registers_from_time(r, now);
	r->hw.cmos[reg] = val;
	set_time(r, time_from_registers(r) + now % NS_PER_S);
}

static void data_write(struct rtc *r, uint8_t val)
{
	unsigned reg = r->hw.index & 0x7f;

	if (reg == RTC_A || reg == RTC_B)
		control_write(r, reg, val);
	else if (is_time(reg))
		time_write(r, reg, val);
	else if (reg != RTC_C && reg != RTC_D)
		r->hw.cmos[reg] = val;
	rtc_update(r);
}

static uint8_t data_read(struct rtc *r)
{
	unsigned reg = r->hw.index & 0x7f;
	uint64_t now = rtc_now(r);
	uint8_t val;

	if (is_time(reg) && !r->hw.stopped)
		registers_from_time(r, now);
	val = r->hw.cmos[reg];
	if (reg == RTC_A && !r->hw.stopped && now % NS_PER_S >= NS_PER_S - UIP_NS)
		val |= A_UIP;
	if (reg == RTC_C) {
		rtc_update(r);
		val = r->hw.cmos[RTC_C];
		r->hw.cmos[RTC_C] = 0;
		rtc_update(r);
	}
	return val;
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return off ? data_read(dev) : 0xff; /* the index can't be read back on a PC */
}

static void rtc_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct rtc *r = dev;

	(void)size;
	if (off)
		data_write(r, (uint8_t)val);
	else
		r->hw.index = (uint8_t)val;
}

static const struct io_ops rtc_io = {rtc_read, rtc_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void put16(uint8_t *at, uint64_t val)
{
	at[0] = (uint8_t)val;
	at[1] = (uint8_t)(val >> 8);
}

/* Memory sizes where PC firmware looks for them. */
static void store_memory_size(struct rtc *r, uint64_t ram)
{
	uint64_t low = earlier(ram, MEM_LOW_END), high = ram - low;
	uint64_t extended = low > MIB ? (low - MIB) / KIB : 0;
	uint64_t above_16m = low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0;

	put16(&r->hw.cmos[0x15], 640);
	put16(&r->hw.cmos[0x17], earlier(extended, 0xffff));
	put16(&r->hw.cmos[0x30], earlier(extended, 0xffff));
	put16(&r->hw.cmos[0x34], earlier(above_16m, 0xffff));
	put16(&r->hw.cmos[0x5b], high / (64 * KIB));
	r->hw.cmos[0x5d] = (uint8_t)(high / (64 * KIB) >> 16);
	r->hw.cmos[0x3d] = 0x32; /* boot order: disk, then CD */
}

/* The battery keeps time and memory; only interrupt enables and flags go. */
static void rtc_reset(struct device *d)
{
	struct rtc *r = (struct rtc *)d;

	r->hw.cmos[RTC_B] &= ~(C_PF | C_AF | C_UF);
	r->hw.cmos[RTC_C] = 0;
	r->hw.index = 0;
	rtc_update(r);
}

static void rtc_destroy(struct device *d)
{
	struct rtc *r = (struct rtc *)d;

	clock_timer_cancel(&r->timer);
	bus_remove(r->env->pio, 0x70, r);
	free(r);
}

static void *rtc_hw(struct device *d)
{
	return &((struct rtc *)d)->hw;
}

static int rtc_loaded(struct device *d, struct err *e)
{
	struct rtc *r = (struct rtc *)d;
	uint64_t now = rtc_now(r);

	/* A clock far off would make the calendar count years for ever. */
	if (now / NS_PER_S > 1000 * 366 * DAY)
		return err_set(e, -EINVAL, "rtc: offset: its time lies beyond the year 2900");
	rtc_update(r);
	return 0;
}

static int rtc_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct rtc *r = calloc(1, sizeof(*r));
	struct timespec ts;
	uint64_t irq = 8, epoch = 0;
	int rc;

	if (!r)
		return err_set(e, -ENOMEM, "rtc: out of memory");
	r->dev.ops = &rtc_ops;
	r->env = env;
	clock_timer_init(&r->timer, env->clock, rtc_timer, r);
	clock_gettime(CLOCK_REALTIME, &ts);
	rc = device_conf_u64(conf, "irq", 8, 0, IRQ_NGSI - 1, &irq, e);
	if (!rc)
		rc = device_conf_u64(conf, "epoch", (uint64_t)ts.tv_sec, 0, 1ull << 33, &epoch, e);
	if (!rc)
		rc = bus_add(env->pio, 0x70, 2, &rtc_io, r, "rtc", e);
	if (rc) {
		rtc_destroy(&r->dev);
		return rc;
	}
	r->irq = (struct irq_line){env->irq, (unsigned)irq, env->timers_replaced};
	r->hw.cmos[RTC_A] = 0x26; /* 32768 Hz crystal, 1024 Hz periodic rate */
	r->hw.cmos[RTC_B] = B_24H;
	r->hw.cmos[RTC_D] = 0x80; /* battery good */
	store_memory_size(r, env->mem ? env->mem->ram_size : 0);
	set_time(r, epoch * NS_PER_S +
			    (device_conf_str(conf, "epoch", NULL) ? 0 : (uint64_t)ts.tv_nsec));
	rtc_reset(&r->dev);
	*out = &r->dev;
	return 0;
}

const struct device_ops rtc_ops = {
	.name = "rtc",
	.help = "real-time clock and CMOS memory [irq=8, epoch=now]",
	.create = rtc_create,
	.reset = rtc_reset,
	.destroy = rtc_destroy,
	.state = &rtc_state,
	.hw = rtc_hw,
	.loaded = rtc_loaded,
};
