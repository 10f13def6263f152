/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's network switch, built for the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernel/net/vswitch.h"

#define NPORTS 4
#define SECOND 1000000000UL

struct seen {
	struct port port;
	unsigned frames, len;
	uint8_t last[FRAME_MAX];
	bool full;
};

struct board {
	struct vswitch sw;
	struct seen at[NPORTS];
	uint64_t now;
};

static bool take(struct port *p, const void *frame, unsigned len)
{
	struct seen *s = CONTAINER(p, struct seen, port);

	if (s->full)
		return false;
	s->frames++;
	s->len = len;
	memcpy(s->last, frame, len);
	return true;
}

static int set_up(void **state)
{
	struct board *b = calloc(1, sizeof(*b));

	*state = b;
	b->now = SECOND;
	for (unsigned i = 0; i < NPORTS; i++) {
		b->at[i].port.send = take;
		b->at[i].port.up = true;
		assert_true(switch_join(&b->sw, &b->at[i].port));
	}
	b->at[0].port.uplink = true;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* A frame between the addresses 02:00:00:00:hh:ll of these numbers. */
static void send_numbers(struct board *b, unsigned port, unsigned to, unsigned from)
{
	uint8_t frame[60] = {2, 0, 0, 0, (uint8_t)(to >> 8),   (uint8_t)to,
			     2, 0, 0, 0, (uint8_t)(from >> 8), (uint8_t)from};

	assert_true(switch_forward(&b->at[port].port, frame, sizeof(frame), b->now));
}

static void send_to(struct board *b, unsigned port, const uint8_t to[6])
{
	uint8_t frame[60] = {[6] = 2, [11] = (uint8_t)(0x80 + port)};

	memcpy(frame, to, 6);
	assert_true(switch_forward(&b->at[port].port, frame, sizeof(frame), b->now));
}

/* How many frames each port got since the last look. */
static void assert_got(struct board *b, unsigned a, unsigned c, unsigned d, unsigned e)
{
	unsigned want[NPORTS] = {a, c, d, e};

	for (unsigned i = 0; i < NPORTS; i++) {
		assert_int_equal(b->at[i].frames, want[i]);
		b->at[i].frames = 0;
	}
}

static void unknown_goes_everywhere_known_to_one(void **state)
{
	struct board *b = *state;

	send_numbers(b, 1, 2, 1);
	assert_got(b, 1, 0, 1, 1);
	send_numbers(b, 2, 1, 2);
	assert_got(b, 0, 1, 0, 0);
	send_numbers(b, 1, 2, 1);
	assert_got(b, 0, 0, 1, 0);
	assert_int_equal(b->at[2].last[5], 2);
	assert_int_equal(b->at[2].len, 60);
}

static void groups_go_everywhere(void **state)
{
	struct board *b = *state;

	send_to(b, 3, (const uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
	assert_got(b, 1, 1, 1, 0);
	send_to(b, 3, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1});
	assert_got(b, 1, 1, 1, 0);
}

static void bridge_protocols_end_here(void **state)
{
	struct board *b = *state;

	send_to(b, 3, (const uint8_t[]){1, 0x80, 0xc2, 0, 0, 0});
	assert_got(b, 0, 0, 0, 0);
	assert_int_equal(b->at[3].port.in.dropped, 1);
	send_to(b, 3, (const uint8_t[]){1, 0x80, 0xc2, 0, 0, 16});
	assert_got(b, 1, 1, 1, 0);
}

static void own_frames_do_not_come_back(void **state)
{
	struct board *b = *state;

	send_numbers(b, 1, 9, 1);
	send_numbers(b, 1, 8, 2);
	assert_got(b, 2, 0, 2, 2);
	send_numbers(b, 1, 1, 2); /* both behind port 1 */
	assert_got(b, 0, 0, 0, 0);
}

static void silent_addresses_are_forgotten(void **state)
{
	struct board *b = *state;

	send_numbers(b, 1, 9, 1);
	assert_got(b, 1, 0, 1, 1);
	b->now += SWITCH_AGE_NS - 1;
	send_numbers(b, 2, 1, 2);
	assert_got(b, 0, 1, 0, 0);
	b->now += 1;
	send_numbers(b, 2, 1, 2);
	assert_got(b, 1, 1, 0, 1);
}

static void nobody_takes_another_vms_address(void **state)
{
	static const uint8_t card[6] = {0xfe, 0, 0, 0, 0, 1};
	struct board *b = *state;

	b->at[1].port.card = card;
	send_numbers(b, 2, 9, 1); /* before its first frame, too */
	assert_int_equal(b->at[2].port.in.dropped, 1);
	send_numbers(b, 1, 9, 1);
	assert_got(b, 1, 0, 1, 1);
	send_numbers(b, 2, 9, 1); /* an impostor: not forwarded either */
	send_numbers(b, 0, 9, 1); /* and one outside */
	assert_got(b, 0, 0, 0, 0);
	assert_int_equal(b->at[2].port.in.dropped, 2);
	send_numbers(b, 3, 1, 3);
	assert_got(b, 0, 1, 0, 0);
	b->now += SWITCH_AGE_NS; /* nor after a long silence */
	send_numbers(b, 0, 9, 1);
	send_numbers(b, 3, 1, 3);
	assert_got(b, 0, 1, 0, 0);
	switch_leave(&b->at[1].port);
	send_numbers(b, 2, 9, 1);
	send_numbers(b, 3, 1, 3);
	assert_got(b, 1, 0, 1, 1);
}

/* A VM that ran elsewhere before. */
static void an_address_comes_in_from_outside(void **state)
{
	static const uint8_t card[6] = {0xfe, 0, 0, 0, 0, 1};
	struct board *b = *state;

	send_numbers(b, 0, 9, 1);
	b->at[2].port.card = card;
	send_numbers(b, 2, 9, 1);
	assert_got(b, 1, 2, 1, 2);
	send_numbers(b, 3, 1, 3);
	assert_got(b, 0, 0, 1, 0);
}

static void a_router_outside_stays_outside(void **state)
{
	struct board *b = *state;

	send_numbers(b, 0, 9, 1);
	assert_got(b, 0, 1, 1, 1);
	send_numbers(b, 2, 9, 1); /* a VM that wants its frames */
	assert_got(b, 0, 0, 0, 0);
	send_numbers(b, 3, 1, 3);
	assert_got(b, 1, 0, 0, 0);
	b->now += SWITCH_AGE_NS;
	send_numbers(b, 2, 9, 1); /* it is free now */
	assert_got(b, 1, 1, 0, 1);
	send_numbers(b, 0, 9, 1); /* and back at its first frame */
	assert_got(b, 0, 1, 1, 1);
	send_numbers(b, 3, 1, 3);
	assert_got(b, 1, 0, 0, 0);
}

/* Machines inside of a VM: who was first. */
static void addresses_of_no_card_are_kept_while_they_are_heard(void **state)
{
	struct board *b = *state;

	send_numbers(b, 1, 9, 5);
	send_numbers(b, 2, 9, 5);
	assert_got(b, 1, 0, 1, 1);
	assert_int_equal(b->at[2].port.in.dropped, 1);
	send_numbers(b, 3, 5, 3);
	assert_got(b, 0, 1, 0, 0);
}

/* Who makes up addresses forgets own ones; what others have stays private. */
static void a_flood_of_addresses_harms_its_port_only(void **state)
{
	struct board *b = *state;

	send_numbers(b, 1, 9, 1);
	for (unsigned i = 100; i < 60000; i++, b->now++)
		send_numbers(b, 2, 9, i);
	for (unsigned i = 0; i < NPORTS; i++)
		b->at[i].frames = 0;
	send_numbers(b, 3, 1, 3);
	assert_got(b, 0, 1, 0, 0);
}

static void lengths_are_checked(void **state)
{
	struct board *b = *state;
	uint8_t frame[FRAME_MAX + 1] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1};
	static const struct {
		unsigned len;
		bool good;
	} rows[] = {{0, false}, {13, false}, {14, true}, {FRAME_MAX, true}, {FRAME_MAX + 1, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(switch_forward(&b->at[1].port, frame, rows[i].len, b->now),
				 rows[i].good);
		assert_got(b, rows[i].good, 0, rows[i].good, rows[i].good);
	}
	assert_int_equal(b->at[1].port.in.errors, 3);
	assert_int_equal(b->at[1].port.in.packets, 2);
}

static void impossible_sources_are_dropped(void **state)
{
	struct board *b = *state;
	uint8_t frame[60] = {2, 0, 0, 0, 0, 9};

	switch_forward(&b->at[1].port, frame, sizeof(frame), b->now);
	memset(frame + 6, 0xff, 6);
	switch_forward(&b->at[1].port, frame, sizeof(frame), b->now);
	assert_got(b, 0, 0, 0, 0);
	assert_int_equal(b->at[1].port.in.dropped, 2);
}

static void what_is_lost_is_counted(void **state)
{
	struct board *b = *state;

	b->at[2].full = true;
	b->at[3].port.up = false;
	send_numbers(b, 1, 9, 1);
	assert_got(b, 1, 0, 0, 0);
	assert_int_equal(b->at[2].port.out.dropped, 1);
	assert_int_equal(b->at[3].port.out.dropped, 1);
	assert_int_equal(b->at[0].port.out.packets, 1);
	assert_int_equal(b->at[0].port.out.bytes, 60);
	send_numbers(b, 3, 9, 3); /* its own port is down */
	assert_got(b, 0, 0, 0, 0);
	assert_int_equal(b->at[3].port.in.dropped, 1);
	switch_leave(&b->at[1].port);
	send_numbers(b, 1, 9, 1);
	assert_int_equal(b->at[1].port.in.dropped, 1);
	assert_int_equal(b->sw.through.packets, 1);
}

static void ports_are_bounded(void **state)
{
	struct board *b = *state;
	struct port *more = calloc(SWITCH_PORTS, sizeof(*more));
	unsigned n = 0;

	while (switch_join(&b->sw, &more[n]))
		n++;
	assert_int_equal(n, SWITCH_PORTS - NPORTS);
	assert_null(more[n].joined);
	switch_leave(&more[0]);
	assert_true(switch_join(&b->sw, &more[n]));
	free(more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(unknown_goes_everywhere_known_to_one),
		TEST(groups_go_everywhere),
		TEST(bridge_protocols_end_here),
		TEST(own_frames_do_not_come_back),
		TEST(silent_addresses_are_forgotten),
		TEST(nobody_takes_another_vms_address),
		TEST(an_address_comes_in_from_outside),
		TEST(a_router_outside_stays_outside),
		TEST(addresses_of_no_card_are_kept_while_they_are_heard),
		TEST(a_flood_of_addresses_harms_its_port_only),
		TEST(lengths_are_checked),
		TEST(impossible_sources_are_dropped),
		TEST(what_is_lost_is_counted),
		TEST(ports_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
