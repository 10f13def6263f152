/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop's timers and calls, and the VM clock that stands still in a pause. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/clock.h"
#include "vmm/loop.h"

#define MS 1000000ull

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *loop;
static char order[64];

static void note(void *opaque)
{
	strncat(order, opaque, sizeof(order) - strlen(order) - 1);
}

static void stop(void *opaque)
{
	loop_stop(loop, (int)(intptr_t)opaque);
}

static int set_up(void **state)
{
	(void)state;
	order[0] = '\0';
	return loop_create(&loop, &lock, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	loop_destroy(loop);
	return 0;
}

static void timers_fire_in_order(void **state)
{
	struct loop_timer a = {note, "a"}, b = {note, "b"}, c = {note, "c"}, gone = {note, "x"};
	struct loop_timer end = {stop, (void *)7};
	uint64_t now = loop_now();

	(void)state;
	loop_timer_set(loop, &end, now + 9 * MS);
	loop_timer_set(loop, &c, now + 6 * MS);
	loop_timer_set(loop, &gone, now + 3 * MS);
	loop_timer_set(loop, &a, now + 8 * MS);
	loop_timer_set(loop, &b, now + 4 * MS);
	loop_timer_set(loop, &a, now + 1 * MS); /* moved forward */
	loop_timer_cancel(loop, &gone);
	assert_int_equal(loop_run(loop), 7);
	assert_string_equal(order, "abc");
}

static void *call_from_elsewhere(void *opaque)
{
	loop_call(loop, note, "1");
	loop_call(loop, note, "2");
	loop_call(loop, stop, NULL);
	return opaque;
}

static void calls_come_in_order_from_other_threads(void **state)
{
	pthread_t t;

	(void)state;
	pthread_create(&t, NULL, call_from_elsewhere, NULL);
	loop_run(loop);
	pthread_join(t, NULL);
	assert_string_equal(order, "12");
}

static void readable(void *opaque, uint32_t events)
{
	char byte;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(*(int *)opaque, &byte, 1), 1);
	note("r");
	loop_unwatch(loop, *(int *)opaque);
	loop_stop(loop, 0);
}

static void descriptors_are_watched(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(loop_watch(loop, fd[0], EPOLLIN, readable, &fd[0]), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	loop_run(loop);
	assert_string_equal(order, "r");
	close(fd[0]);
	close(fd[1]);
}

static void clock_stands_still_in_a_pause(void **state)
{
	struct vm_clock clock;
	struct clock_timer t;
	struct loop_timer end = {stop, NULL};
	uint64_t before;

	(void)state;
	clock_init(&clock, loop);
	clock_timer_init(&t, &clock, note, "t");
	assert_int_equal(clock_now(&clock), 0);
	clock_resume(&clock);
	clock_timer_set(&t, clock_now(&clock) + 5 * MS);
	clock_pause(&clock);
	before = clock_now(&clock);
	loop_timer_set(loop, &end, loop_now() + 20 * MS);
	loop_run(loop);
	assert_string_equal(order, ""); /* parked */
	assert_int_equal(clock_now(&clock), before);

	clock_resume(&clock);
	assert_true(clock_now(&clock) - before < 10 * MS);
	clock_timer_cancel(&t);
}

static void parked_timer_fires_after_resume(void **state)
{
	struct vm_clock clock;
	struct clock_timer t;
	struct loop_timer end = {stop, NULL};

	(void)state;
	clock_init(&clock, loop);
	clock_timer_init(&t, &clock, note, "t");
	clock_timer_set(&t, 2 * MS); /* set while the clock stands */
	clock_resume(&clock);
	loop_timer_set(loop, &end, loop_now() + 30 * MS);
	loop_run(loop);
	assert_string_equal(order, "t");
	assert_false(t.is_armed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_fire_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(calls_come_in_order_from_other_threads, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(descriptors_are_watched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(clock_stands_still_in_a_pause, set_up, tear_down),
		cmocka_unit_test_setup_teardown(parked_timer_fires_after_resume, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
