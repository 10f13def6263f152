/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio-net over the stream back end: frames both ways, merged buffers, back-pressure, hostile
 * peers. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest.h"
#include "vmm/backend/netdev.h"
#include "vmm/device/virtio/virtio.h"

#define ALL    (~0ull)
#define SIZE   32
#define HEADER 12
#define RX     0
#define TX     1
#define F_MRG  (1ull << 15)

static struct guest g;
static struct device *nic;
static struct netdev *dev;
static struct driver d;
static int peer;

static int setup(void **state)
{
	struct device_conf conf = {.name = "virtio-net", .nprops = 1};
	struct err e = {0};
	int fd[2];

	(void)state;
	guest_init(&g);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	peer = fd[1];
	pthread_mutex_lock(&g.lock);
	assert_int_equal(netdev_stream_open(fd[0], g.loop, &dev, &e), 0);
	pthread_mutex_unlock(&g.lock);
	conf.prop[0].key = "mac";
	conf.prop[0].value = "52:54:00:aa:bb:cc";
	conf.backend = dev;
	nic = guest_add(&g, &virtio_net_ops, &conf);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, nic);
	pthread_mutex_lock(&g.lock);
	dev->ops->destroy(dev);
	pthread_mutex_unlock(&g.lock);
	guest_fini(&g);
	close(peer);
	return 0;
}

static void pattern(uint8_t *p, unsigned len, unsigned seed)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i * 7 + i / 256);
}

static void peer_sends(const uint8_t *frame, uint32_t len)
{
	uint32_t be = htonl(len);

	assert_int_equal(send(peer, &be, 4, 0), 4);
	assert_int_equal(send(peer, frame, len, 0), len);
}

static gpa_t add_rx(uint32_t len)
{
	struct seg s = {guest_alloc(&g, len, 16), len, true};

	driver_add(&d, RX, &s, 1);
	return s.addr;
}

static void configuration(void **state)
{
	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	assert_int_equal(d.device_id, 1);
	assert_int_equal(guest_read(&g, d.config, 4), 0xaa005452);
	assert_int_equal(guest_read(&g, d.config + 4, 2), 0xccbb);
	assert_int_equal(guest_read(&g, d.config + 6, 2), 1); /* link up */
	assert_int_equal(d.offered & 0xffffff, 1 << 3 | 1 << 5 | 1 << 15 | 1 << 16);
	assert_int_equal(guest_read(&g, d.config + 10, 2), 65520);
}

/* RFC 903: opcode 3, the sender's and the target's hardware address. */
static void announcement(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};
	static const uint8_t kind[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
	uint8_t got[64];

	(void)state;
	pthread_mutex_lock(&g.lock);
	netdev_announce(dev, mac);
	pthread_mutex_unlock(&g.lock);
	assert_int_equal(recv(peer, got, sizeof(got), MSG_WAITALL), 64);
	assert_memory_equal(got, "\0\0\0\x3c\xff\xff\xff\xff\xff\xff", 10);
	assert_memory_equal(got + 10, mac, 6);
	assert_memory_equal(got + 16, kind, sizeof(kind));
	assert_memory_equal(got + 26, mac, 6);
	assert_memory_equal(got + 36, mac, 6);
}

static void transmit(void **state)
{
	uint8_t frame[1514], got[4 + sizeof(frame)];

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	for (unsigned i = 0; i < 40; i++) {
		uint32_t len = 14 + i * 38;
		gpa_t h = guest_alloc(&g, HEADER, 4), data = guest_alloc(&g, len, 2);
		struct seg s[] = {
			{h, HEADER, false}, {data, 14, false}, {data + 14, len - 14, false}};

		memset(guest_ptr(&g, h), 0, HEADER);
		pattern(frame, len, i);
		memcpy(guest_ptr(&g, data), frame, len);
		driver_add(&d, TX, s, len > 14 ? 3 : 2);
		if (len == 14)
			((struct vring_desc *)guest_ptr(&g, d.q[TX].desc))[1].flags = 0;
		driver_kick(&d, TX);
		assert_int_equal(driver_wait(&d, TX).len, 0);
		assert_int_equal(recv(peer, got, 4 + len, MSG_WAITALL), 4 + len);
		assert_int_equal(ntohl(*(uint32_t *)got), len);
		assert_memory_equal(got + 4, frame, len);
		if (i % 9 == 0)
			guest_save_load(&g, nic);
	}
}

/* A frame over several buffers, with the count in the first one's header. */
static void receive_merged(void **state)
{
	static uint8_t frame[9000], got[9000];
	gpa_t buf[40];
	unsigned n, done = 0, filled = 0;

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	for (unsigned i = 0; i < 20; i++)
		buf[i] = add_rx(1024);
	driver_kick(&d, RX);
	pattern(frame, sizeof(frame), 3);
	peer_sends(frame, sizeof(frame));
	for (n = 0; done < sizeof(frame); n++) {
		struct vring_used_elem u = driver_wait(&d, RX);
		unsigned skip = n ? 0 : HEADER;

		filled = u.len - skip;
		memcpy(got + done, (uint8_t *)guest_ptr(&g, buf[n]) + skip, filled);
		done += filled;
	}
	assert_memory_equal(got, frame, sizeof(frame));
	assert_int_equal(((uint16_t *)guest_ptr(&g, buf[0]))[5], n);
	assert_false(driver_has_used(&d, RX));
}

/* No buffers: the frame waits in the socket until there are. Nothing is lost or reordered. */
static void receive_waits(void **state)
{
	uint8_t frame[1514];
	gpa_t buf[64];

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	for (unsigned i = 0; i < 60; i++) {
		pattern(frame, 100, i);
		peer_sends(frame, 100);
	}
	usleep(20000);
	assert_false(driver_has_used(&d, RX));
	guest_save_load(&g, nic);
	for (unsigned i = 0; i < 60; i++) {
		struct vring_used_elem u;

		buf[i] = add_rx(2048);
		driver_kick(&d, RX);
		u = driver_wait(&d, RX);
		assert_int_equal(u.len, HEADER + 100);
		pattern(frame, 100, i);
		assert_memory_equal((uint8_t *)guest_ptr(&g, buf[i]) + HEADER, frame, 100);
	}
}

/* Without merging a frame longer than its buffer is lost, and the buffer serves the next one. */
static void receive_unmerged(void **state)
{
	uint8_t frame[3000];
	gpa_t buf;

	(void)state;
	driver_start(&d, &g, 1, ALL & ~F_MRG, 2, SIZE);
	buf = add_rx(1526);
	driver_kick(&d, RX);
	pattern(frame, sizeof(frame), 1);
	peer_sends(frame, 3000);
	peer_sends(frame, 1514);
	assert_int_equal(driver_wait(&d, RX).len, 1526);
	assert_memory_equal((uint8_t *)guest_ptr(&g, buf) + HEADER, frame, 1514);
}

/* A whole ring of tiny buffers can never hold the frame: it is dropped, the link goes on. */
static void receive_never_fits(void **state)
{
	uint8_t frame[1514];

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, 8);
	for (unsigned i = 0; i < 8; i++)
		add_rx(20);
	driver_kick(&d, RX);
	pattern(frame, sizeof(frame), 1);
	peer_sends(frame, 1514);
	peer_sends(frame, 60);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(driver_wait(&d, RX).len, i < 3 ? 20 : 12);
	assert_int_equal(driver_status(&d), 0xf);
}

static void short_receive_buffer(void **state)
{
	uint8_t frame[60] = {0};

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, 8);
	add_rx(11);
	driver_kick(&d, RX);
	peer_sends(frame, 60);
	for (unsigned i = 0; i < 1000 && !(driver_status(&d) & VIRTIO_NEEDS_RESET); i++)
		usleep(1000);
	assert_true(driver_status(&d) & VIRTIO_NEEDS_RESET);
}

/* Frames that are none: shorter than an Ethernet header, longer than the back end carries. */
static void transmit_nonsense(void **state)
{
	gpa_t data = guest_alloc(&g, 200000, 16);
	static const uint32_t lens[] = {1, HEADER, HEADER + 13, 100000};
	char c;

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct seg s = {data, lens[i], false};

		driver_add(&d, TX, &s, 1);
		driver_kick(&d, TX);
		driver_wait(&d, TX);
	}
	assert_int_equal(recv(peer, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(driver_status(&d), 0xf);
}

/* The peer does not read: frames are dropped, but none is cut in two. */
static void peer_is_slow(void **state)
{
	gpa_t data = guest_alloc(&g, 40000, 16);
	struct seg s = {data, 40000, false};
	unsigned frames = 0;

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	memset(guest_ptr(&g, data), 0, 40000);
	for (unsigned i = 0; i < 100; i++) {
		driver_add(&d, TX, &s, 1);
		driver_kick(&d, TX);
		driver_wait(&d, TX);
	}
	for (;;) {
		static uint8_t buf[65536];
		struct timeval tv = {0, 100000};
		uint32_t be;

		setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		if (recv(peer, &be, 4, MSG_WAITALL) != 4)
			break;
		assert_int_equal(ntohl(be), 40000 - HEADER);
		assert_int_equal(recv(peer, buf, ntohl(be), MSG_WAITALL), ntohl(be));
		frames++;
	}
	assert_in_range(frames, 2, 100);
}

/* Lengths that cannot be end the connection, not the process. */
static void peer_is_hostile(void **state)
{
	uint32_t be = htonl(0xffffffff);
	uint8_t frame[60] = {0};

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	add_rx(2048);
	assert_int_equal(send(peer, &be, 4, 0), 4);
	usleep(20000);
	peer_sends(frame, 60);
	usleep(20000);
	assert_false(driver_has_used(&d, RX));
}

/* A frame that trickles in byte by byte. */
static void peer_trickles(void **state)
{
	uint8_t frame[64 + 4];
	uint32_t be = htonl(64);
	gpa_t buf;

	(void)state;
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	buf = add_rx(2048);
	driver_kick(&d, RX);
	memcpy(frame, &be, 4);
	pattern(frame + 4, 64, 5);
	for (unsigned i = 0; i < sizeof(frame); i++) {
		assert_int_equal(send(peer, frame + i, 1, 0), 1);
		usleep(50);
	}
	assert_int_equal(driver_wait(&d, RX).len, HEADER + 64);
	assert_memory_equal((uint8_t *)guest_ptr(&g, buf) + HEADER, frame + 4, 64);
}

static void bad_mac(void **state)
{
	static const char *const macs[] = {"", "52:54:00:aa:bb", "52:54:00:aa:bb:cc:dd",
					   "x2:54:00:aa:bb:cc", "01:00:5e:00:00:01"};

	(void)state;
	for (unsigned i = 0; i < sizeof(macs) / sizeof(macs[0]); i++) {
		struct device_conf conf = {.name = "virtio-net", .nprops = 1};
		struct device *other;
		struct err e = {0};

		conf.prop[0].key = "mac";
		conf.prop[0].value = macs[i];
		assert_int_not_equal(virtio_net_ops.create(&other, &g.env, &conf, &e), 0);
		assert_non_null(strstr(e.text, "mac="));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(configuration),
		TEST(announcement),
		TEST(transmit),
		TEST(receive_merged),
		TEST(receive_waits),
		TEST(receive_unmerged),
		TEST(receive_never_fits),
		TEST(transmit_nonsense),
		TEST(peer_is_slow),
		TEST(peer_is_hostile),
		TEST(peer_trickles),
		TEST(short_receive_buffer),
		TEST(bad_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
