/* SPDX-License-Identifier: Apache-2.0 */
/* Virtqueues: negotiation, events, wrap-around, saves between steps, and malformed rings of every
 * kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest.h"
#include "vmm/device/virtio/virtio.h"

#define V1       VIRTIO_F_VERSION_1
#define ALL      (~0ull)
#define SIZE     8
#define FAR_AWAY 0x7fffffff000ull

static struct guest g;
static struct device *rng;
static struct driver d;

static int start(bool bells)
{
	struct device_conf conf = {.name = "virtio-rng"};

	guest_init(&g);
	g.has_bells = bells;
	rng = guest_add(&g, &virtio_rng_ops, &conf);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return start(false);
}

static int setup_bells(void **state)
{
	(void)state;
	return start(true);
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, rng);
	guest_fini(&g);
	return 0;
}

/* All settled: what the device does on the loop's thread, it does with the lock held. */
static void settle(void)
{
	usleep(2000);
	pthread_mutex_lock(&g.lock);
	pthread_mutex_unlock(&g.lock);
}

static void negotiation(void **state)
{
	(void)state;
	driver_probe(&d, &g, 1);
	driver_negotiate(&d, 0); /* without VERSION_1 there is no modern device */
	assert_false(driver_status(&d) & VIRTIO_FEATURES_OK);
	guest_write(&g, d.common + 0x14, 1, 0xf);
	assert_false(driver_status(&d) & VIRTIO_DRIVER_OK);

	driver_negotiate(&d, V1);
	assert_true(driver_status(&d) & VIRTIO_FEATURES_OK);
	assert_int_equal(d.offered, V1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);

	/* A feature that was not offered. */
	driver_negotiate(&d, 0);
	guest_write(&g, d.common + 0x08, 4, 1);
	guest_write(&g, d.common + 0x0c, 4, 1);
	guest_write(&g, d.common + 0x08, 4, 0);
	guest_write(&g, d.common + 0x0c, 4, 1);
	guest_write(&g, d.common + 0x14, 1, 0xb);
	assert_false(driver_status(&d) & VIRTIO_FEATURES_OK);

	/* Features stand once accepted. */
	driver_negotiate(&d, V1);
	guest_write(&g, d.common + 0x08, 4, 1);
	guest_write(&g, d.common + 0x0c, 4, 0);
	assert_int_equal(guest_read(&g, d.common + 0x0c, 4), 1);
	guest_write(&g, d.common + 0x08, 4, 77);
	guest_write(&g, d.common + 0x0c, 4, 0xffffffff);
	assert_int_equal(guest_read(&g, d.common + 0x0c, 4), 0);
}

static gpa_t add_buffer(uint32_t len)
{
	struct seg s = {guest_alloc(&g, len, 16), len, true};

	memset(guest_ptr(&g, s.addr), 0, len);
	driver_add(&d, 0, &s, 1);
	return s.addr;
}

static bool is_zero(gpa_t at, unsigned len)
{
	const uint8_t *p = guest_ptr(&g, at);

	for (unsigned i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* Many rounds, so that ring indices and descriptors wrap, with a save and load between any two. */
static void rounds(void **state)
{
	(void)state;
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	for (unsigned i = 0; i < 100; i++) {
		gpa_t at = add_buffer(40);

		if (i % 7 == 0)
			guest_save_load(&g, rng);
		driver_kick(&d, 0);
		assert_int_equal(driver_wait(&d, 0).len, 40);
		assert_false(is_zero(at, 40));
		if (i % 3 == 0)
			guest_save_load(&g, rng);
	}
	settle();
	assert_true(g.written >= 100 * (40 + 8 + 2));
	assert_int_equal(driver_status(&d), 0xf);
}

/* A save just after the bell: the loaded device finds the request by itself. */
static void load_finds_requests(void **state)
{
	(void)state;
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	add_buffer(16);
	guest_save_load(&g, rng);
	assert_int_equal(driver_wait(&d, 0).len, 16);
}

static void interrupts_by_event(void **state)
{
	uint16_t *used_event;

	(void)state;
	driver_start(&d, &g, 1, V1 | VIRTIO_F_EVENT_IDX, 1, SIZE);
	used_event = (uint16_t *)guest_ptr(&g, d.q[0].avail_ring) + 2 + SIZE;
	*used_event = 2; /* tell me when the third is done */
	for (unsigned i = 0; i < 4; i++) {
		add_buffer(8);
		driver_kick(&d, 0);
		driver_wait(&d, 0);
		settle();
		assert_int_equal(g.msi_count, i >= 2);
	}
	/* avail_event asks for a bell at the next request. */
	assert_int_equal(*(uint16_t *)((uint8_t *)guest_ptr(&g, d.q[0].used_ring) + 4 + 8 * SIZE),
			 4);
}

static void interrupts_by_flag(void **state)
{
	uint16_t *flags;

	(void)state;
	driver_start(&d, &g, 1, V1, 1, SIZE);
	flags = guest_ptr(&g, d.q[0].avail_ring);
	*flags = VRING_AVAIL_NO_INTERRUPT;
	add_buffer(8);
	driver_kick(&d, 0);
	driver_wait(&d, 0);
	settle();
	assert_int_equal(g.msi_count, 0);
	*flags = 0;
	add_buffer(8);
	driver_kick(&d, 0);
	driver_wait(&d, 0);
	settle();
	assert_int_equal(g.msi_count, 1);
}

static void batch_is_one_interrupt(void **state)
{
	(void)state;
	driver_start(&d, &g, 1, V1, 1, SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		add_buffer(8);
	driver_kick(&d, 0);
	for (unsigned i = 0; i < SIZE; i++)
		driver_wait(&d, 0);
	settle();
	assert_int_equal(g.msi_count, 1);
}

/* The engine watches the doorbell; it follows the BAR and leaves with the queue. */
static void doorbells(void **state)
{
	(void)state;
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	assert_true(g.bell[0].fd >= 0);
	assert_int_equal(g.bell[0].addr, d.notify);
	add_buffer(24);
	driver_kick(&d, 0);
	assert_int_equal(driver_wait(&d, 0).len, 24);
	guest_cfg_write(&g, 1, PCI_REG_BAR0, 4, 0xd0000000);
	assert_int_equal(g.bell[0].addr, d.notify - d.bar + 0xd0000000);
	d.notify = g.bell[0].addr;
	add_buffer(24);
	driver_kick(&d, 0);
	assert_int_equal(driver_wait(&d, 0).len, 24);
	guest_cfg_write(&g, 1, PCI_REG_COMMAND, 2, 0);
	assert_int_equal(g.bell[0].fd, -1);
	guest_cfg_write(&g, 1, PCI_REG_COMMAND, 2, PCI_CMD_MEMORY);
	assert_true(g.bell[0].fd >= 0);
	driver_probe(&d, &g, 1);
	driver_negotiate(&d, 0); /* reset */
	assert_int_equal(g.bell[0].fd, -1);
}

static void indirect_chain(void **state)
{
	struct seg s[20];

	(void)state;
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	for (unsigned i = 0; i < 20; i++)
		s[i] = (struct seg){guest_alloc(&g, 32, 16), 10, true};
	driver_add_indirect(&d, 0, s, 20); /* longer than the ring, as Linux makes them */
	driver_kick(&d, 0);
	assert_int_equal(driver_wait(&d, 0).len, 200);
	for (unsigned i = 0; i < 20; i++) {
		assert_false(is_zero(s[i].addr, 10));
		assert_true(is_zero(s[i].addr + 10, 22));
	}
}

static uint16_t used_index(void)
{
	return __atomic_load_n((uint16_t *)guest_ptr(&g, d.q[0].used_ring) + 1, __ATOMIC_ACQUIRE);
}

static _Atomic bool producing;

/* Another vCPU that refills the ring the moment a request is done. */
static void *produce(void *opaque)
{
	uint16_t *avail = guest_ptr(&g, d.q[0].avail_ring);
	const uint16_t *used = guest_ptr(&g, d.q[0].used_ring);

	(void)opaque;
	while (producing)
		__atomic_store_n(&avail[1],
				 (uint16_t)(__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) + SIZE),
				 __ATOMIC_RELEASE);
	return NULL;
}

/* An endless supply does not keep the machine lock: others get their turn again and again. */
static void endless_requests(void **state)
{
	pthread_t producer;

	(void)state;
	driver_start(&d, &g, 1, V1, 1, SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		add_buffer(8);
	producing = true;
	pthread_create(&producer, NULL, produce, NULL);
	do {
		driver_kick(&d, 0);
		assert_int_equal(driver_status(&d), 0xf);
	} while (used_index() < 10000);
	producing = false;
	pthread_join(producer, NULL);
}

/* ---- malformed rings
 * --------------------------------------------------------------------------------- */

static void bad_head(void)
{
	driver_publish(&d, 0, SIZE);
}

static void bad_next(void)
{
	driver_set_desc(&d, 0, 0, 0x1000, 8, VRING_DESC_WRITE | VRING_DESC_NEXT, 0xffff);
	driver_publish(&d, 0, 0);
}

static void loop_of_one(void)
{
	driver_set_desc(&d, 0, 0, 0x1000, 8, VRING_DESC_WRITE | VRING_DESC_NEXT, 0);
	driver_publish(&d, 0, 0);
}

static void loop_of_two(void)
{
	driver_set_desc(&d, 0, 0, 0x1000, 8, VRING_DESC_WRITE | VRING_DESC_NEXT, 1);
	driver_set_desc(&d, 0, 1, 0x1000, 8, VRING_DESC_WRITE | VRING_DESC_NEXT, 0);
	driver_publish(&d, 0, 0);
}

static void outside_memory(void)
{
	driver_set_desc(&d, 0, 0, FAR_AWAY, 8, VRING_DESC_WRITE, 0);
	driver_publish(&d, 0, 0);
}

static void over_the_end(void)
{
	driver_set_desc(&d, 0, 0, GUEST_RAM - 4, 8, VRING_DESC_WRITE, 0);
	driver_publish(&d, 0, 0);
}

static void wraps_around(void)
{
	driver_set_desc(&d, 0, 0, ~0ull - 3, 0xffffffff, VRING_DESC_WRITE, 0);
	driver_publish(&d, 0, 0);
}

static void out_behind_in(void)
{
	driver_set_desc(&d, 0, 0, 0x1000, 8, VRING_DESC_WRITE | VRING_DESC_NEXT, 1);
	driver_set_desc(&d, 0, 1, 0x1000, 8, 0, 0);
	driver_publish(&d, 0, 0);
}

static void index_jump(void)
{
	d.q[0].avail += SIZE;
	driver_publish(&d, 0, 0);
}

static void indirect_odd_length(void)
{
	driver_set_desc(&d, 0, 0, 0x1000, 17, VRING_DESC_INDIRECT, 0);
	driver_publish(&d, 0, 0);
}

static void indirect_empty(void)
{
	driver_set_desc(&d, 0, 0, 0x1000, 0, VRING_DESC_INDIRECT, 0);
	driver_publish(&d, 0, 0);
}

static void indirect_outside(void)
{
	driver_set_desc(&d, 0, 0, FAR_AWAY, 32, VRING_DESC_INDIRECT, 0);
	driver_publish(&d, 0, 0);
}

static void indirect_with_next(void)
{
	driver_set_desc(&d, 0, 0, 0x1000, 16, VRING_DESC_INDIRECT | VRING_DESC_NEXT, 1);
	driver_publish(&d, 0, 0);
}

static void indirect_nested(void)
{
	struct vring_desc inner = {0x2000, 16, VRING_DESC_INDIRECT, 0};

	memcpy(guest_ptr(&g, 0x1000), &inner, sizeof(inner));
	driver_set_desc(&d, 0, 0, 0x1000, 16, VRING_DESC_INDIRECT, 0);
	driver_publish(&d, 0, 0);
}

static void indirect_loop(void)
{
	struct vring_desc inner = {0x2000, 16, VRING_DESC_WRITE | VRING_DESC_NEXT, 0};

	memcpy(guest_ptr(&g, 0x1000), &inner, sizeof(inner));
	driver_set_desc(&d, 0, 0, 0x1000, 16, VRING_DESC_INDIRECT, 0);
	driver_publish(&d, 0, 0);
}

static void too_many_buffers(void)
{
	struct seg s[VIRTQ_MAX_SEGS + 1];

	for (unsigned i = 0; i <= VIRTQ_MAX_SEGS; i++)
		s[i] = (struct seg){0x1000, 1, true};
	driver_add_indirect(&d, 0, s, VIRTQ_MAX_SEGS + 1);
}

static void malformed(void **state)
{
	static void (*const ways[])(void) = {
		bad_head,           bad_next,
		loop_of_one,        loop_of_two,
		outside_memory,     over_the_end,
		wraps_around,       out_behind_in,
		index_jump,         indirect_odd_length,
		indirect_empty,     indirect_outside,
		indirect_with_next, indirect_nested,
		indirect_loop,      too_many_buffers,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		unsigned before;

		driver_start(&d, &g, 1, ALL, 1, SIZE);
		before = g.msi_count;
		ways[i]();
		driver_kick(&d, 0);
		settle();
		if (!(driver_status(&d) & VIRTIO_NEEDS_RESET))
			fail_msg("malformed ring %u was accepted", i);
		assert_int_equal(g.msi_count, before + 1);
		assert_int_equal(g.msi_last, 0x40); /* a configuration change tells the driver */
		assert_false(driver_has_used(&d, 0));
		driver_kick(&d, 0); /* nothing more happens until the reset */
		guest_save_load(&g, rng);
		settle();
		assert_int_equal(g.msi_count, before + 1);
	}
	/* The device lives on. */
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	add_buffer(8);
	driver_kick(&d, 0);
	assert_int_equal(driver_wait(&d, 0).len, 8);
}

static void indirect_not_negotiated(void **state)
{
	struct seg s = {0x1000, 8, true};

	(void)state;
	driver_start(&d, &g, 1, V1, 1, SIZE);
	driver_add_indirect(&d, 0, &s, 1);
	driver_kick(&d, 0);
	settle();
	assert_true(driver_status(&d) & VIRTIO_NEEDS_RESET);
}

static void bad_queue_setup(void **state)
{
	static const struct {
		uint16_t size;
		gpa_t desc, avail, used;
	} bad[] = {
		{0, 0x1000, 0x2000, 0x3000},         {3, 0x1000, 0x2000, 0x3000},
		{0x8000, 0x1000, 0x2000, 0x3000},    {8, 0x1008, 0x2000, 0x3000},
		{8, 0x1000, 0x2001, 0x3000},         {8, 0x1000, 0x2000, 0x3002},
		{8, FAR_AWAY, 0x2000, 0x3000},       {8, 0x1000, FAR_AWAY, 0x3000},
		{8, 0x1000, 0x2000, FAR_AWAY},       {8, GUEST_RAM - 16, 0x2000, 0x3000},
		{8, ~0ull & ~15ull, 0x2000, 0x3000},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		driver_probe(&d, &g, 1);
		driver_negotiate(&d, ALL);
		guest_write(&g, d.common + 0x16, 2, 0);
		guest_write(&g, d.common + 0x18, 2, bad[i].size);
		guest_write(&g, d.common + 0x20, 8, bad[i].desc);
		guest_write(&g, d.common + 0x28, 8, bad[i].avail);
		guest_write(&g, d.common + 0x30, 8, bad[i].used);
		guest_write(&g, d.common + 0x1c, 2, 1);
		assert_int_equal(guest_read(&g, d.common + 0x1c, 2), 0);
		assert_true(driver_status(&d) & VIRTIO_NEEDS_RESET);
		driver_kick(&d, 0);
	}
	/* Queues and registers that do not exist. */
	driver_negotiate(&d, ALL);
	guest_write(&g, d.common + 0x16, 2, 1);
	assert_int_equal(guest_read(&g, d.common + 0x18, 2), 0);
	guest_write(&g, d.common + 0x1c, 2, 1);
	guest_write(&g, d.common + 0x14, 4, 0);
	guest_write(&g, d.common + 0xffc, 4, 0);
	guest_write(&g, d.notify + 0xffc, 4, 0);
	guest_write(&g, d.bar + 0x7ffc, 4, 0);
	assert_int_equal(guest_read(&g, d.common + 0x1c, 2), 0);
	assert_int_equal(guest_read(&g, d.common + 0xffc, 4), 0);
	assert_int_equal(driver_status(&d), 0xb);
}

/* A running queue keeps its shape, whatever is written to its registers. */
static void shape_is_fixed(void **state)
{
	(void)state;
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	guest_write(&g, d.common + 0x18, 2, 3);
	guest_write(&g, d.common + 0x20, 8, FAR_AWAY);
	add_buffer(8);
	driver_kick(&d, 0);
	assert_int_equal(driver_wait(&d, 0).len, 8);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(negotiation),
		TEST(rounds),
		TEST(load_finds_requests),
		TEST(interrupts_by_event),
		TEST(interrupts_by_flag),
		TEST(batch_is_one_interrupt),
		cmocka_unit_test_setup_teardown(doorbells, setup_bells, teardown),
		cmocka_unit_test_setup_teardown(rounds, setup_bells, teardown),
		TEST(endless_requests),
		TEST(indirect_chain),
		TEST(malformed),
		TEST(indirect_not_negotiated),
		TEST(bad_queue_setup),
		TEST(shape_is_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
