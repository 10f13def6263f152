/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers and timer through KVM's structures and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "x86/kvmchips.h"

static void write_all(struct pic_hw *p, unsigned chip, const uint8_t icw[4])
{
	pic_hw_write(p, chip, false, icw[0]);
	for (unsigned i = 1; i < 4; i++)
		pic_hw_write(p, chip, true, icw[i]);
}

/* A slave's request in service, another waiting, masks, priorities and modes that are not the
 * first. */
static void busy_pic(struct pic_hw *p)
{
	static const uint8_t master[4] = {0x11, 0x20, 4, 0x11}, slave[4] = {0x11, 0x28, 2, 1};

	*p = (struct pic_hw){0};
	pic_hw_reset(p);
	write_all(p, 0, master);
	write_all(p, 1, slave);
	pic_hw_write_elcr(p, 1, 0xff);
	pic_hw_write(p, 0, true, 0x40);
	pic_hw_write(p, 1, false, 0xc3);
	pic_hw_write(p, 0, false, 0x6b);
	pic_hw_set(p, 9, true);
	assert_true(pic_hw_output(p));
	assert_int_equal(pic_hw_acknowledge(p), 0x29);
	pic_hw_set(p, 12, true);
}

static void pic_and_back(void **state)
{
	struct kvm_pic_state k;
	struct pic_hw a, b;

	(void)state;
	busy_pic(&a);
	assert_int_equal(a.chip[1].elcr, 0xde);
	for (unsigned n = 0; n < 2; n++) {
		pic_to_kvm(&a.chip[n], n, &k);
		assert_int_equal(k.elcr_mask, pic_elcr_mask[n]);
		pic_from_kvm(&k, &b.chip[n]);
	}
	for (unsigned n = 0; n < 2; n++) { /* KVM keeps these bits alone */
		a.chip[n].icw1 &= 1;
		a.chip[n].icw4 &= ICW4_AEOI | ICW4_SFNM;
	}
	assert_memory_equal(&a, &b, sizeof(a));
}

static void impossible_pic_is_brought_into_range(void **state)
{
	struct kvm_pic_state k;
	struct pic_hw p;

	(void)state;
	memset(&k, 0xff, sizeof(k));
	pic_from_kvm(&k, &p.chip[0]);
	p.chip[1] = p.chip[0];
	pic_hw_sanitize(&p);
	assert_true(p.chip[0].lowest < 8 && p.chip[0].next_icw <= 4);
	pic_hw_acknowledge(&p);
}

static unsigned messages;

static void count_message(void *opaque, uint64_t addr, uint32_t data)
{
	(void)opaque;
	assert_int_equal(addr, 0xfee03000);
	assert_int_equal(data & 0xff, 0x55);
	messages++;
}

static void ioapic_and_back(void **state)
{
	struct ioapic_out to = {count_message, NULL};
	struct ioapic_hw a = {0}, b;
	struct kvm_ioapic_state k;

	(void)state;
	ioapic_hw_reset(&a);
	ioapic_hw_write(&a, 0x00, 0x10 + 2 * 9 + 1, &to);
	ioapic_hw_write(&a, 0x10, 3u << 24, &to);
	ioapic_hw_write(&a, 0x00, 0x10 + 2 * 9, &to);
	ioapic_hw_write(&a, 0x10, 0x8055, &to);
	ioapic_hw_set(&a, 9, true, &to);
	ioapic_hw_set(&a, 4, true, &to); /* masked, an edge: nobody is told of it later */
	assert_int_equal(messages, 1);
	ioapic_to_kvm(&a, &k);
	assert_int_equal(k.irr, 1u << 9);
	ioapic_from_kvm(&k, &b);
	ioapic_hw_eoi(&b, 0x55, &to); /* the input is still up */
	assert_int_equal(messages, 2);
	assert_memory_equal(a.rte, b.rte, sizeof(a.rte));
	assert_int_equal(a.index, b.index);
}

static void pit_and_back(void **state)
{
	struct pit_hw a, b = {0};
	struct kvm_pit_state2 k;

	(void)state;
	pit_hw_reset(&a);
	assert_true(pit_hw_write(&a, 3, 0x34, 0));
	assert_false(pit_hw_write(&a, 0, 0x34, 0)); /* half a count */
	assert_true(pit_hw_write(&a, 0, 0x12, 0));
	pit_hw_write(&a, 3, 0, 100); /* latch */
	pit_hw_read(&a, 0, 100);
	pit_hw_write61(&a, 3, 200);
	pit_to_kvm(&a, &k);
	pit_from_kvm(&k, &b);
	assert_int_equal(b.ch[0].count, 0x1234);
	assert_int_equal(pit_hw_read(&b, 0, 0), (0x1234 - 100) >> 8);
	assert_int_equal(b.port61, 3);
	assert_int_equal(pit_hw_next_edge(&b, 0, 0), pit_ns_of(0x1234));
	assert_int_equal(pit_hw_bad_channel(&b), -1);
}

/* After power-on KVM says mode ffh: no interrupt comes before a count is written. */
static void timer_without_count_is_silent(void **state)
{
	struct kvm_pit_state2 k = {0};
	struct pit_hw p = {0};

	(void)state;
	k.channels[0].gate = 1;
	pit_from_kvm(&k, &p);
	assert_int_not_equal(pit_hw_next_edge(&p, 0, 0), 0);
	k.channels[0].mode = 0xff;
	pit_from_kvm(&k, &p);
	assert_int_equal(pit_hw_next_edge(&p, 0, 0), 0);
}

static void impossible_timer_is_told(void **state)
{
	struct kvm_pit_state2 k;
	struct pit_hw p = {0};

	(void)state;
	memset(&k, 0xff, sizeof(k));
	pit_from_kvm(&k, &p);
	assert_int_equal(pit_hw_bad_channel(&p), 0);
}

static void ticks_and_nanoseconds_agree(void **state)
{
	static const uint64_t ticks[] = {1, 2, 1193181, 1193182, 1193183, 1ull << 40, 1ull << 53};

	(void)state;
	for (unsigned i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
		assert_int_equal(pit_ticks_at(pit_ns_of(ticks[i])), ticks[i]);
		assert_int_equal(pit_ticks_at(pit_ns_of(ticks[i]) - 1), ticks[i] - 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pic_and_back),
		cmocka_unit_test(impossible_pic_is_brought_into_range),
		cmocka_unit_test(ioapic_and_back),
		cmocka_unit_test(pit_and_back),
		cmocka_unit_test(timer_without_count_is_silent),
		cmocka_unit_test(impossible_timer_is_told),
		cmocka_unit_test(ticks_and_nanoseconds_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
