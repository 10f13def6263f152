/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio console, balloon and entropy, and the character devices behind consoles. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/input.h"
#include "vmm/device/virtio/balloon.h"
#include "vmm/device/virtio/virtio.h"

#define ALL  (~0ull)
#define SIZE 16
#define RX   0
#define TX   1

static struct guest g;
static struct device *dev;
static struct driver d;
static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	guest_init(&g);
	dev = NULL;
	strcpy(dir, "/tmp/baton-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/console", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (dev)
		guest_remove(&g, dev);
	guest_fini(&g);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static struct chardev *open_chr(const char *text)
{
	struct chardev *c = NULL;
	struct err e = {0};

	pthread_mutex_lock(&g.lock);
	if (chardev_open(text, g.loop, NULL, NULL, &c, &e))
		fail_msg("%s: %s", text, e.text);
	pthread_mutex_unlock(&g.lock);
	return c;
}

static void close_chr(struct chardev *c)
{
	pthread_mutex_lock(&g.lock);
	c->ops->destroy(c);
	pthread_mutex_unlock(&g.lock);
}

static void write_chr(struct chardev *c, const void *data, size_t len)
{
	pthread_mutex_lock(&g.lock);
	c->ops->write(c, data, len);
	pthread_mutex_unlock(&g.lock);
}

static void add_device(const struct device_ops *ops, void *backend, const char *key,
		       const char *value)
{
	struct device_conf conf = {.name = ops->name, .backend = backend, .nprops = key != NULL};

	conf.prop[0].key = key;
	conf.prop[0].value = value;
	dev = guest_add(&g, ops, &conf);
}

static int connect_to(const char *file)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, file);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- console
 * ------------------------------------------------------------------------------------------- */

static void guest_prints(const char *text)
{
	gpa_t at = guest_alloc(&g, strlen(text) + 1, 1);
	struct seg s = {at, (uint32_t)strlen(text), false};

	strcpy(guest_ptr(&g, at), text);
	driver_add(&d, TX, &s, 1);
	driver_kick(&d, TX);
	driver_wait(&d, TX);
}

static void console_both_ways(void **state)
{
	char text[128], buf[32] = "";
	struct chardev *c;
	gpa_t at[4];
	int fd;

	(void)state;
	snprintf(text, sizeof(text), "unix:%s", path);
	c = open_chr(text);
	add_device(&virtio_console_ops, c, NULL, NULL);
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	assert_int_equal(d.device_id, 3);
	guest_prints("early ");
	fd = connect_to(path);
	assert_true(fd >= 0);
	guest_prints("late");
	assert_int_equal(recv(fd, buf, 10, MSG_WAITALL), 10);
	assert_string_equal(buf, "early late");

	/* Input before the driver has given buffers waits. */
	assert_int_equal(send(fd, "hello world", 11, 0), 11);
	usleep(10000);
	for (unsigned i = 0; i < 4; i++) {
		struct seg s = {at[i] = guest_alloc(&g, 4, 1), 4, true};

		driver_add(&d, RX, &s, 1);
	}
	guest_save_load(&g, dev);
	driver_kick(&d, RX);
	assert_int_equal(driver_wait(&d, RX).len, 4);
	assert_int_equal(driver_wait(&d, RX).len, 4);
	assert_int_equal(driver_wait(&d, RX).len, 3);
	assert_memory_equal(guest_ptr(&g, at[0]), "hello world", 11);
	close(fd);
	guest_remove(&g, dev);
	dev = NULL;
	close_chr(c);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void socket_clients(void **state)
{
	static char big[100000], got[100000];
	char text[128];
	struct chardev *c, *second = NULL;
	struct stat st;
	struct err e;
	int fd;

	(void)state;
	snprintf(text, sizeof(text), "unix:%s", path);
	c = open_chr(text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_not_equal(chardev_open(text, g.loop, NULL, NULL, &second, &e), 0);
	assert_non_null(strstr(e.text, "in use"));

	/* Nobody reads: the last 64 KiB are kept. */
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 + i / 1000);
	write_chr(c, big, 50000);
	write_chr(c, big + 50000, 50000);
	for (unsigned round = 0; round < 2; round++) {
		fd = connect_to(path);
		assert_true(fd >= 0);
		if (!round) {
			assert_int_equal(recv(fd, got, 65536, MSG_WAITALL), 65536);
			assert_memory_equal(got, big + sizeof(big) - 65536, 65536);
		}
		write_chr(c, "ping", 4);
		assert_int_equal(recv(fd, got, 4, MSG_WAITALL), 4);
		assert_memory_equal(got, "ping", 4);
		send(fd, "dropped: no device", 18, 0);
		close(fd);
		usleep(20000);
	}
	close_chr(c);

	/* A stale socket file is replaced, anything else is not. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un a = {.sun_family = AF_UNIX};

		strcpy(a.sun_path, path);
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	close(fd);
	close_chr(open_chr(text));
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_not_equal(chardev_open(text, g.loop, NULL, NULL, &second, &e), 0);
	assert_non_null(strstr(e.text, "no socket"));
}

static void file_output(void **state)
{
	char text[128], buf[32] = "";
	struct chardev *c;
	int fd;

	(void)state;
	snprintf(text, sizeof(text), "file:%s", path);
	c = open_chr(text);
	write_chr(c, "one ", 4);
	write_chr(c, "two", 3);
	close_chr(c);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, buf, sizeof(buf) - 1), 7);
	assert_string_equal(buf, "one two");
	close(fd);
}

static void chardev_texts(void **state)
{
	static const char *const bad[] = {"",
					  "stdio:x",
					  "none:x",
					  "file",
					  "file:",
					  "unix:",
					  "tcp:1",
					  "file:/nonexistent/x",
					  "unix:/nonexistent/x"};
	struct chardev *c;
	struct err e;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(chardev_open(bad[i], g.loop, NULL, NULL, &c, &e), 0);
	c = open_chr("none");
	write_chr(c, "x", 1);
	close_chr(c);
}

/* ---- balloon
 * --------------------------------------------------------------------------------------------- */

static bool is_resident(gpa_t at)
{
	unsigned char vec = 0;

	assert_int_equal(mincore(guest_ptr(&g, at), 4096, &vec), 0);
	return vec & 1;
}

static void give_pages(unsigned queue, const uint32_t *pfn, unsigned n)
{
	gpa_t at = guest_alloc(&g, 4 * n, 4);
	struct seg s = {at, 4 * n, false};

	memcpy(guest_ptr(&g, at), pfn, 4 * n);
	driver_add(&d, queue, &s, 1);
	driver_kick(&d, queue);
	driver_wait(&d, queue);
}

static void balloon_inflates(void **state)
{
	static const uint32_t pfn[] = {0x805, 0x804, 0x803, 0x900, 0x901, 0xfffffff0, 0x907};
	static const uint32_t kept[] = {0x802, 0x806, 0x902, 0x908};

	(void)state;
	add_device(&virtio_balloon_ops, NULL, NULL, NULL);
	driver_start(&d, &g, 1, ALL, 3, SIZE);
	madvise(guest_ptr(&g, 0), GUEST_RAM, MADV_NOHUGEPAGE);
	memset(guest_ptr(&g, 0x800000), 0x5a, 0x200000);
	pthread_mutex_lock(&g.lock);
	balloon_set_target(dev, 7 * 4096 + 100);
	pthread_mutex_unlock(&g.lock);
	assert_int_equal(g.msi_last, 0x40);
	assert_int_equal(guest_read(&g, d.config, 4), 7);
	give_pages(0, pfn, 7);
	for (unsigned i = 0; i < 7; i++)
		if (pfn[i] < 0x1000)
			assert_int_equal(*(uint8_t *)guest_ptr(&g, pfn[i] * 4096ull), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(*(uint8_t *)guest_ptr(&g, kept[i] * 4096ull), 0x5a);
	guest_write(&g, d.config + 4, 4, 6);
	guest_save_load(&g, dev);
	assert_int_equal(balloon_actual(dev), 6 * 4096);
	assert_int_equal(balloon_target(dev), 7 * 4096);
	give_pages(1, pfn, 7);
	assert_int_equal(*(uint8_t *)guest_ptr(&g, 0x805000), 0);
	assert_int_equal(driver_status(&d), 0xf);
}

static void balloon_frees_host_memory(void **state)
{
	uint32_t pfn[256];

	(void)state;
	add_device(&virtio_balloon_ops, NULL, NULL, NULL);
	driver_start(&d, &g, 1, ALL, 3, SIZE);
	memset(guest_ptr(&g, 0x800000), 0x5a, 0x100000);
	for (unsigned i = 0; i < 256; i++)
		pfn[i] = 0x8ff - i; /* downwards, as Linux does */
	assert_true(is_resident(0x880000));
	give_pages(0, pfn, 256);
	assert_false(is_resident(0x880000));
}

static void balloon_stats_queue(void **state)
{
	struct {
		uint16_t tag;
		uint64_t value;
	} __attribute__((packed)) stats[] = {{BALLOON_FREE, 1234}, {BALLOON_TOTAL, 5678}, {999, 1}};
	gpa_t at = guest_alloc(&g, sizeof(stats), 1);
	struct seg s = {at, sizeof(stats), false};

	(void)state;
	add_device(&virtio_balloon_ops, NULL, NULL, NULL);
	driver_start(&d, &g, 1, ALL, 3, SIZE);
	memcpy(guest_ptr(&g, at), stats, sizeof(stats));
	for (unsigned i = 0; i < 5; i++) {
		driver_add(&d, 2, &s, 1);
		driver_kick(&d, 2);
		assert_false(driver_has_used(&d, 2));
		assert_int_equal(balloon_stats(dev)[BALLOON_FREE], 1234);
		assert_int_equal(balloon_stats(dev)[BALLOON_TOTAL], 5678);
		assert_int_equal(balloon_stats(dev)[BALLOON_CACHES], UINT64_MAX);
		guest_save_load(&g, dev);
		pthread_mutex_lock(&g.lock);
		balloon_ask_stats(dev);
		balloon_ask_stats(dev); /* twice: nothing more to give back */
		pthread_mutex_unlock(&g.lock);
		driver_wait(&d, 2);
		assert_false(driver_has_used(&d, 2));
	}
}

static void balloon_reporting(void **state)
{
	struct seg s[] = {{0x800000, 0x10000, true}, {0x900800, 0x1000, true}};

	(void)state;
	add_device(&virtio_balloon_ops, NULL, "reporting", "1");
	driver_start(&d, &g, 1, ALL, 4, SIZE);
	memset(guest_ptr(&g, 0x800000), 0x5a, 0x200000);
	driver_add(&d, 3, s, 2);
	driver_kick(&d, 3);
	driver_wait(&d, 3);
	assert_int_equal(*(uint8_t *)guest_ptr(&g, 0x80f000), 0);
	assert_int_equal(*(uint8_t *)guest_ptr(&g, 0x810000), 0x5a);
	assert_int_equal(*(uint8_t *)guest_ptr(&g, 0x901000), 0x5a); /* not page aligned */
}

/* ---- entropy
 * ---------------------------------------------------------------------------------------------- */

static void rng_is_bounded(void **state)
{
	struct seg s = {0x100000, 0x400000, true};

	(void)state;
	add_device(&virtio_rng_ops, NULL, NULL, NULL);
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		driver_add(&d, 0, &s, 1);
	driver_kick(&d, 0);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(driver_wait(&d, 0).len, 4096);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- tablet --------------------------------------------------------------------------------- */

struct input_event_wire {
	uint16_t type, code;
	uint32_t value;
};

static gpa_t give_event_buffers(unsigned n)
{
	gpa_t at = guest_alloc(&g, 8 * n, 8);

	for (unsigned i = 0; i < n; i++) {
		struct seg s = {at + 8 * i, 8, true};

		driver_add(&d, 0, &s, 1);
	}
	driver_kick(&d, 0);
	return at;
}

static void point_at(struct input *in, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	pthread_mutex_lock(&g.lock);
	input_point(in, x, y, 101, 101, wheel, buttons);
	pthread_mutex_unlock(&g.lock);
}

static void assert_event(gpa_t buffers, unsigned i, unsigned t, unsigned code, uint32_t value)
{
	const struct input_event_wire *e = guest_ptr(&g, buffers + 8 * i);

	assert_int_equal(e->type, t);
	assert_int_equal(e->code, code);
	assert_int_equal(e->value, value);
}

static void tablet_config(void **state)
{
	struct device_conf conf = {.name = "virtio-tablet"};

	(void)state;
	dev = guest_add(&g, &virtio_tablet_ops, &conf);
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	guest_write(&g, d.config, 1, 1); /* name */
	assert_int_equal(guest_read(&g, d.config + 2, 1), 12);
	assert_int_equal(guest_read(&g, d.config + 8, 4), 0x6f746142); /* "Bato" */
	guest_write(&g, d.config, 2, 0x0111);                          /* keys */
	assert_int_equal(guest_read(&g, d.config + 8 + 0x110 / 8, 1), 7);
	guest_write(&g, d.config, 2, 0x0112); /* the Y axis */
	assert_int_equal(guest_read(&g, d.config + 2, 1), 20);
	assert_int_equal(guest_read(&g, d.config + 12, 4), 32767);
	guest_write(&g, d.config, 2, 0x0212); /* no third axis */
	assert_int_equal(guest_read(&g, d.config + 2, 1), 0);
}

static void tablet_events(void **state)
{
	struct input in = {0};
	struct device_conf conf = {.name = "virtio-tablet", .backend = &in};
	gpa_t b;

	(void)state;
	dev = guest_add(&g, &virtio_tablet_ops, &conf);
	assert_false(input_is_absolute(&in));
	driver_start(&d, &g, 1, ALL, 2, SIZE);
	assert_true(input_is_absolute(&in));
	b = give_event_buffers(8);
	point_at(&in, 100, 50, 1, INPUT_RIGHT);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(driver_wait(&d, 0).len, 8);
	assert_event(b, 0, 3, 0, 32767);
	assert_event(b, 1, 3, 1, 16383);
	assert_event(b, 2, 1, 0x111, 1);
	assert_event(b, 3, 2, 8, UINT32_MAX);
	assert_event(b, 4, 0, 0, 0);
	point_at(&in, 100, 50, 0, INPUT_RIGHT); /* nothing new */
	assert_false(driver_has_used(&d, 0));
	guest_save_load(&g, dev);
	point_at(&in, 0, 50, 0, INPUT_LEFT); /* four events, three buffers: waits */
	assert_false(driver_has_used(&d, 0));
	give_event_buffers(1);
	for (unsigned i = 0; i < 4; i++)
		driver_wait(&d, 0);
	assert_event(b, 5, 3, 0, 0);
	assert_event(b, 6, 1, 0x110, 1);
	assert_event(b, 7, 1, 0x111, 0);
	guest_remove(&g, dev);
	dev = NULL;
	assert_false(input_is_absolute(&in));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tablet_config, setup, teardown),
		cmocka_unit_test_setup_teardown(tablet_events, setup, teardown),
		TEST(console_both_ways),
		TEST(socket_clients),
		TEST(file_output),
		TEST(chardev_texts),
		TEST(balloon_inflates),
		TEST(balloon_frees_host_memory),
		TEST(balloon_stats_queue),
		TEST(balloon_reporting),
		TEST(rng_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
