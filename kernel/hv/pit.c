/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254 (Intel data sheet): three counters at 1193182 Hz; counter 0 is interrupt 0. */
#include "kernel/hv/hv.h"

#define PIT_HZ 1193182ull

static struct kvm_pit_channel_state *channel(struct hv_vm *vm, unsigned i)
{
	return &vm->chips.pit.channels[i];
}

static uint64_t ticks_since(int64_t start)
{
	uint64_t ns = now_ns() - (uint64_t)start;

	return ns / NSEC_PER_SEC * PIT_HZ + ns % NSEC_PER_SEC * PIT_HZ / NSEC_PER_SEC;
}

static uint64_t ns_of(uint64_t ticks)
{
	return ticks / PIT_HZ * NSEC_PER_SEC + ticks % PIT_HZ * NSEC_PER_SEC / PIT_HZ;
}

static bool periodic(const struct kvm_pit_channel_state *c)
{
	return c->mode == 2 || c->mode == 3 || c->mode == 6 || c->mode == 7;
}

static uint32_t full(const struct kvm_pit_channel_state *c)
{
	return c->count ? c->count : 0x10000;
}

static uint16_t current(const struct kvm_pit_channel_state *c)
{
	uint64_t t = ticks_since(c->count_load_time);

	if (c->mode == 3 || c->mode == 7)
		return (uint16_t)(full(c) - (2 * t) % full(c));
	if (periodic(c))
		return (uint16_t)(full(c) - t % full(c));
	return (uint16_t)(full(c) - t);
}

static bool output(const struct kvm_pit_channel_state *c)
{
	uint64_t t = ticks_since(c->count_load_time);

	switch (c->mode) {
	case 0:
		return t >= full(c);
	case 1:
		return t < full(c) ? false : true;
	case 3:
	case 7:
		return t % full(c) < (full(c) + 1) / 2;
	default:
		return true;
	}
}

/* The next edge of counter 0. */
static void arm(struct hv_vm *vm)
{
	struct kvm_pit_channel_state *c = channel(vm, 0);
	uint64_t t = ticks_since(c->count_load_time), next;

	timer_cancel(&vm->chips.pit_timer);
	if (periodic(c))
		next = (t / full(c) + 1) * full(c);
	else if (t < full(c))
		next = full(c);
	else
		return;
	timer_start(&vm->chips.pit_timer, (uint64_t)c->count_load_time + ns_of(next) + 1);
}

static void fire(struct ktimer *timer)
{
	struct hv_chips *chips = CONTAINER(timer, struct hv_chips, pit_timer);
	struct hv_vm *vm = chips->vm;
	SPIN_GUARD(&vm->lock);

	chips_set_gsi(vm, 0, true);
	chips_set_gsi(vm, 0, false);
	if (periodic(channel(vm, 0)))
		arm(vm);
}

void pit_init(struct hv_vm *vm)
{
	memset(&vm->chips.pit, 0, sizeof(vm->chips.pit));
	for (unsigned i = 0; i < 3; i++) {
		channel(vm, i)->mode = 0xff; /* not set up */
		channel(vm, i)->gate = i != 2;
		channel(vm, i)->count_load_time = (int64_t)now_ns();
	}
	vm->chips.pit_timer.fn = fire;
}

void pit_restart(struct hv_vm *vm)
{
	for (unsigned i = 0; i < 3; i++)
		channel(vm, i)->count_load_time = (int64_t)now_ns();
	if (channel(vm, 0)->mode != 0xff)
		arm(vm);
}

static void load_count(struct hv_vm *vm, unsigned i, uint16_t val)
{
	struct kvm_pit_channel_state *c = channel(vm, i);

	c->count = val;
	c->count_load_time = (int64_t)now_ns();
	if (i == 0)
		arm(vm);
}

/* Bytes come as 1: low, 2: high, 3 and 4: low, then high. */
static void write_count(struct hv_vm *vm, unsigned i, uint8_t v)
{
	struct kvm_pit_channel_state *c = channel(vm, i);

	switch (c->write_state) {
	case 1:
		load_count(vm, i, v);
		break;
	case 2:
		load_count(vm, i, (uint16_t)(v << 8));
		break;
	case 3:
		c->write_latch = v;
		c->write_state = 4;
		break;
	case 4:
		load_count(vm, i, (uint16_t)(c->write_latch | v << 8));
		c->write_state = 3;
		break;
	}
}

static void latch(struct kvm_pit_channel_state *c)
{
	if (c->count_latched)
		return;
	c->latched_count = current(c);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct kvm_pit_channel_state *c)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)(output(c) << 7 | c->rw_mode << 4 | (c->mode & 7) << 1 | c->bcd);
	c->status_latched = 1;
}

static void write_control(struct hv_vm *vm, uint8_t v)
{
	struct kvm_pit_channel_state *c;
	unsigned i = v >> 6;

	if (i == 3) { /* read-back */
		for (i = 0; i < 3; i++) {
			if (!(v & 2u << i))
				continue;
			if (!(v & 0x20))
				latch(channel(vm, i));
			if (!(v & 0x10))
				latch_status(channel(vm, i));
		}
		return;
	}
	c = channel(vm, i);
	if (!(v & 0x30)) {
		latch(c);
		return;
	}
	c->rw_mode = v >> 4 & 3;
	c->read_state = c->write_state = c->rw_mode;
	c->mode = v >> 1 & 7;
	c->bcd = v & 1;
	if (i == 0)
		timer_cancel(&vm->chips.pit_timer);
}

static uint8_t read_latched(struct kvm_pit_channel_state *c)
{
	switch (c->count_latched) {
	case 2:
		c->count_latched = 0;
		return (uint8_t)(c->latched_count >> 8);
	case 3:
		c->count_latched = 4;
		return (uint8_t)c->latched_count;
	case 4:
		c->count_latched = 0;
		return (uint8_t)(c->latched_count >> 8);
	default:
		c->count_latched = 0;
		return (uint8_t)c->latched_count;
	}
}

static uint8_t read_count(struct kvm_pit_channel_state *c)
{
	uint16_t v;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->count_latched)
		return read_latched(c);
	v = current(c);
	if (c->read_state == 3) {
		c->read_state = 4;
		return (uint8_t)v;
	}
	if (c->read_state == 4) {
		c->read_state = 3;
		return (uint8_t)(v >> 8);
	}
	return (uint8_t)(c->read_state == 2 ? v >> 8 : v);
}

/* Port 61h: gate and speaker of counter 2, its output, the refresh clock. */
static uint32_t speaker(struct hv_vm *vm, bool write, uint32_t v)
{
	struct kvm_pit_channel_state *c = channel(vm, 2);

	if (write) {
		if (v & 1 && !c->gate)
			c->count_load_time = (int64_t)now_ns();
		c->gate = v & 1;
		vm->chips.pit.flags = (vm->chips.pit.flags & ~2u) | (v & 2);
		return 0;
	}
	return (uint32_t)(c->gate | (vm->chips.pit.flags & 2) | (now_ns() / 15085 & 1) << 4 |
			  (unsigned)output(c) << 5);
}

bool pit_access(struct hv_vm *vm, uint16_t port, bool write, uint32_t *val)
{
	if (port == 0x61) {
		*val = speaker(vm, write, *val);
		return true;
	}
	if (port < 0x40 || port > 0x43)
		return false;
	if (port == 0x43) {
		if (write)
			write_control(vm, (uint8_t)*val);
		else
			*val = 0;
	} else if (write) {
		write_count(vm, port & 3, (uint8_t)*val);
	} else {
		*val = read_count(channel(vm, port & 3));
	}
	return true;
}
