/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio-blk on raw images: data, flush, discard, limits, refusals, saves; and what disk_open()
 * refuses. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/num.h"
#include "guest.h"
#include "vmm/backend/disk.h"
#include "vmm/device/virtio/virtio.h"

#define ALL       (~0ull)
#define SIZE      64
#define DISK_SIZE (4 * MIB)
#define SECTOR    512u

enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13
};
enum {
	S_OK = 0,
	S_IOERR = 1,
	S_UNSUPP = 2
};

static struct guest g;
static struct device *blk;
static struct disk *disk;
static struct driver d;
static char path[64];

static void make_image(uint64_t size)
{
	int fd;

	strcpy(path, "/tmp/baton-test-disk-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static int start(bool readonly)
{
	struct device_conf conf = {.name = "virtio-blk"};
	struct err e = {0};

	make_image(DISK_SIZE);
	guest_init(&g);
	pthread_mutex_lock(&g.lock);
	if (disk_open(&(struct disk_options){.path = path, .readonly = readonly}, g.loop, &disk,
		      &e))
		fail_msg("%s", e.text);
	pthread_mutex_unlock(&g.lock);
	conf.backend = disk;
	blk = guest_add(&g, &virtio_blk_ops, &conf);
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return start(false);
}

static int setup_ro(void **state)
{
	(void)state;
	return start(true);
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, blk);
	pthread_mutex_lock(&g.lock);
	disk_close(disk);
	pthread_mutex_unlock(&g.lock);
	guest_fini(&g);
	unlink(path);
	return 0;
}

struct request {
	gpa_t header, data, status;
	uint16_t head;
};

/* Header, data in `parts` pieces, status. */
static void submit(struct request *r, uint32_t type, uint64_t sector, uint32_t len, unsigned parts)
{
	struct seg s[40];
	uint64_t header[2] = {type, sector};
	unsigned n = 0;
	bool in = type == T_IN || type == T_GET_ID;

	r->header = guest_alloc(&g, 16, 16);
	r->status = guest_alloc(&g, 1, 1);
	if (!r->data)
		r->data = guest_alloc(&g, len + 1, 16);
	memcpy(guest_ptr(&g, r->header), header, 16);
	*(uint8_t *)guest_ptr(&g, r->status) = 0xee;
	s[n++] = (struct seg){r->header, 16, false};
	for (unsigned i = 0; i < parts; i++)
		s[n++] = (struct seg){r->data + len / parts * i,
				      i + 1 < parts ? len / parts : len - len / parts * i, in};
	s[n++] = (struct seg){r->status, 1, true};
	r->head = parts > 4 ? driver_add_indirect(&d, 0, s, n) : driver_add(&d, 0, s, n);
}

static uint8_t run(struct request *r, uint32_t type, uint64_t sector, uint32_t len, unsigned parts)
{
	struct vring_used_elem u;

	submit(r, type, sector, len, parts);
	driver_kick(&d, 0);
	u = driver_wait(&d, 0);
	assert_int_equal(u.id, r->head);
	return *(uint8_t *)guest_ptr(&g, r->status);
}

static void fill(gpa_t at, uint32_t len, unsigned seed)
{
	uint8_t *p = guest_ptr(&g, at);

	for (uint32_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (uint8_t)(seed >> 16);
	}
}

static void in_file(uint64_t off, const void *want, uint32_t len)
{
	uint8_t *buf = malloc(len);
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, buf, len, (off_t)off), len);
	assert_memory_equal(buf, want, len);
	close(fd);
	free(buf);
}

static void configuration(void **state)
{
	(void)state;
	assert_int_equal(d.device_id, 2);
	assert_int_equal(guest_read(&g, d.config, 8), DISK_SIZE / SECTOR);
	assert_int_equal(guest_read(&g, d.config + 20, 4), SECTOR);
	assert_int_equal(guest_read(&g, d.config + 12, 4), 128); /* seg_max */
	assert_int_equal(guest_read(&g, d.config + 57, 1), 0);
	assert_int_equal(guest_read(&g, d.config + 0xffc, 4), 0);
	guest_write(&g, d.config, 4, 0);
	assert_int_equal(guest_read(&g, d.config, 4), DISK_SIZE / SECTOR);
}

static void data_round_trip(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 24; i++) {
		uint32_t len = (1 + i * 3 % 16) * SECTOR;
		uint64_t sector = i * 16;
		unsigned parts = 1 + i % 10;
		struct request w = {0}, r = {0};

		w.data = guest_alloc(&g, len, 16);
		fill(w.data, len, i);
		assert_int_equal(run(&w, T_OUT, sector, len, parts), S_OK);
		in_file(sector * SECTOR, guest_ptr(&g, w.data), len);
		if (i % 4 == 0)
			guest_save_load(&g, blk);
		assert_int_equal(run(&r, T_IN, sector, len, parts), S_OK);
		assert_memory_equal(guest_ptr(&g, r.data), guest_ptr(&g, w.data), len);
	}
}

/* Many in flight at once, one bell, at most one interrupt while none is taken. */
static void many_in_flight(void **state)
{
	struct request w[16] = {0}, r[16] = {0};

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		w[i].data = guest_alloc(&g, 4096, 4096);
		fill(w[i].data, 4096, i);
		submit(&w[i], T_OUT, i * 8, 4096, 2);
	}
	driver_kick(&d, 0);
	for (unsigned i = 0; i < 16; i++)
		driver_wait(&d, 0);
	for (unsigned i = 0; i < 16; i++)
		submit(&r[i], T_IN, i * 8, 4096, 1);
	driver_kick(&d, 0);
	for (unsigned i = 0; i < 16; i++)
		driver_wait(&d, 0);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(*(uint8_t *)guest_ptr(&g, w[i].status), S_OK);
		assert_int_equal(*(uint8_t *)guest_ptr(&g, r[i].status), S_OK);
		assert_memory_equal(guest_ptr(&g, w[i].data), guest_ptr(&g, r[i].data), 4096);
	}
}

/* A save, and a reset, wait for what is under way. */
static void save_with_requests(void **state)
{
	struct request w[8] = {0};

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 8; i++) {
			w[i] = (struct request){0};
			submit(&w[i], T_OUT, i * 128, 65536, 3);
		}
		driver_kick(&d, 0);
		if (round) {
			driver_negotiate(&d, ALL);
			assert_false(driver_status(&d) & VIRTIO_NEEDS_RESET);
			break;
		}
		guest_save_load(&g, blk);
		for (unsigned i = 0; i < 8; i++)
			driver_wait(&d, 0);
	}
}

static void flush(void **state)
{
	struct request w = {0}, f = {0};

	(void)state;
	assert_int_equal(run(&w, T_OUT, 0, SECTOR, 1), S_OK);
	assert_int_equal(run(&f, T_FLUSH, 0, 0, 0), S_OK);
}

static void get_id(void **state)
{
	struct request r = {0};

	(void)state;
	assert_int_equal(run(&r, T_GET_ID, 0, 20, 1), S_OK);
	assert_memory_equal(guest_ptr(&g, r.data), path + 5, 20);
}

static uint8_t range_request(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct request r = {0};
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} range = {sector, sectors, flags};

	r.data = guest_alloc(&g, 16, 16);
	memcpy(guest_ptr(&g, r.data), &range, 16);
	return run(&r, type, 0, 16, 1);
}

struct counter {
	const char *name;
	uint64_t value;
};

static void find_counter(void *opaque, const char *name, uint64_t value)
{
	struct counter *c = opaque;

	if (!strcmp(name, c->name))
		c->value = value;
}

static uint64_t counter(const char *name)
{
	struct counter c = {name, ~0ull};

	pthread_mutex_lock(&g.lock);
	blk->ops->stats(blk, find_counter, &c);
	pthread_mutex_unlock(&g.lock);
	return c.value;
}

static void counters(void **state)
{
	struct request r = {0};

	(void)state;
	run(&r, T_OUT, 0, 4096, 1);
	run(&r, T_IN, 0, 1024, 1);
	run(&r, T_IN, 0, 2048, 1);
	run(&r, T_FLUSH, 0, 0, 0);
	run(&r, T_IN, ~0ull, 512, 1);
	assert_int_equal(counter("writes"), 1);
	assert_int_equal(counter("written_bytes"), 4096);
	assert_int_equal(counter("reads"), 2);
	assert_int_equal(counter("read_bytes"), 3072);
	assert_int_equal(counter("flushes"), 1);
	assert_int_equal(counter("guest_errors"), 1);
	assert_int_equal(counter("io_errors"), 0);
}

static void discard_and_zero(void **state)
{
	static const uint8_t zero[65536];
	struct request w = {0};
	struct stat before, after;

	(void)state;
	w.data = guest_alloc(&g, MIB, 4096);
	fill(w.data, MIB, 9);
	assert_int_equal(run(&w, T_OUT, 0, MIB, 8), S_OK);
	stat(path, &before);
	assert_int_equal(range_request(T_WRITE_ZEROES, 128, 128, 0), S_OK);
	in_file(128 * SECTOR, zero, sizeof(zero));
	in_file(0, guest_ptr(&g, w.data), 128 * SECTOR);
	assert_int_equal(range_request(T_WRITE_ZEROES, 512, 128, 1), S_OK);
	in_file(512 * SECTOR, zero, sizeof(zero));
	assert_int_equal(range_request(T_DISCARD, 1024, 1024, 0), S_OK);
	stat(path, &after);
	assert_int_equal(after.st_size, before.st_size);
	assert_true(after.st_blocks <= before.st_blocks);
	assert_int_equal(range_request(T_DISCARD, 0, 0, 0), S_OK);
	assert_int_equal(range_request(T_DISCARD, 0, 8, 1), S_UNSUPP);
	assert_int_equal(range_request(T_WRITE_ZEROES, 0, 8, 4), S_UNSUPP);
	assert_int_equal(range_request(T_DISCARD, DISK_SIZE / SECTOR, 1, 0), S_IOERR);
	assert_int_equal(range_request(T_DISCARD, ~0ull, 0xffffffff, 0), S_IOERR);
	assert_int_equal(range_request(T_WRITE_ZEROES, 0x80000000000000ull, 8, 0), S_IOERR);
}

static void refused(void **state)
{
	struct request r = {0};
	uint64_t end = DISK_SIZE / SECTOR;

	(void)state;
	assert_int_equal(run(&r, T_IN, end, SECTOR, 1), S_IOERR);
	assert_int_equal(run(&r, T_IN, end - 1, 2 * SECTOR, 1), S_IOERR);
	assert_int_equal(run(&r, T_OUT, ~0ull, SECTOR, 1), S_IOERR);
	assert_int_equal(run(&r, T_OUT, 0x0080000000000000ull, SECTOR, 1), S_IOERR);
	assert_int_equal(run(&r, T_IN, 0, 100, 1), S_IOERR);
	assert_int_equal(run(&r, 99, 0, SECTOR, 1), S_UNSUPP);
	assert_int_equal(run(&r, T_IN, 0, 0, 0), S_OK);
	assert_int_equal(run(&r, T_IN, end - 1, SECTOR, 1), S_OK);
	assert_int_equal(driver_status(&d), 0xf);
}

/* A header cut in two, and the status byte in one buffer with the data: any framing is allowed. */
static void free_framing(void **state)
{
	uint64_t header[2] = {T_IN, 0};
	gpa_t h = guest_alloc(&g, 16, 16), data = guest_alloc(&g, SECTOR + 1, 16);
	struct seg s[] = {{h, 5, false}, {h + 5, 11, false}, {data, SECTOR + 1, true}};

	(void)state;
	memcpy(guest_ptr(&g, h), header, 16);
	((uint8_t *)guest_ptr(&g, data))[SECTOR] = 0xee;
	driver_add(&d, 0, s, 3);
	driver_kick(&d, 0);
	assert_int_equal(driver_wait(&d, 0).len, SECTOR + 1);
	assert_int_equal(((uint8_t *)guest_ptr(&g, data))[SECTOR], S_OK);
}

static void no_header(void **state)
{
	struct seg s[] = {{0x1000, 15, false}, {0x2000, 1, true}};
	struct seg no_status = {0x1000, 16, false};

	(void)state;
	driver_add(&d, 0, s, 2);
	driver_kick(&d, 0);
	assert_true(driver_status(&d) & VIRTIO_NEEDS_RESET);
	driver_start(&d, &g, 1, ALL, 1, SIZE);
	driver_add(&d, 0, &no_status, 1);
	driver_kick(&d, 0);
	assert_true(driver_status(&d) & VIRTIO_NEEDS_RESET);
}

static void readonly(void **state)
{
	struct request r = {0};

	(void)state;
	assert_true(d.offered >> 5 & 1);
	assert_false(d.offered >> 13 & 3);
	assert_int_equal(run(&r, T_OUT, 0, SECTOR, 1), S_IOERR);
	assert_int_equal(range_request(T_DISCARD, 0, 8, 0), S_IOERR);
	assert_int_equal(run(&r, T_FLUSH, 0, 0, 0), S_OK);
	r.data = 0;
	assert_int_equal(run(&r, T_IN, 0, SECTOR, 1), S_OK);
}

/* The image is cut short behind our back. */
static void truncated_image(void **state)
{
	struct request r = {0};

	(void)state;
	assert_int_equal(truncate(path, 8 * SECTOR), 0);
	assert_int_equal(run(&r, T_IN, 6, 4 * SECTOR, 2), S_IOERR);
	assert_int_equal(run(&r, T_IN, 0, 4 * SECTOR, 2), S_OK);
}

/* ---- opening
 * ------------------------------------------------------------------------------------------- */

static int try_open(const char *file, const char *format, bool ro, struct err *e)
{
	struct disk *other;
	int rc;

	pthread_mutex_lock(&g.lock);
	rc = disk_open(&(struct disk_options){.path = file, .format = format, .readonly = ro},
		       g.loop, &other, e);
	if (!rc)
		disk_close(other);
	pthread_mutex_unlock(&g.lock);
	return rc;
}

static void open_refuses(void **state)
{
	char saved[64];
	struct err e;

	(void)state;
	assert_int_equal(try_open("/nonexistent/x", NULL, false, &e), -ENOENT);
	assert_int_equal(try_open("/tmp", NULL, true, &e), -EINVAL);
	assert_int_equal(try_open("/dev/null", NULL, false, &e), -EINVAL);
	assert_int_equal(try_open(path, "qcow9", false, &e), -EINVAL);
	assert_non_null(strstr(e.text, "raw"));
	strcpy(saved, path);
	make_image(1000);
	assert_int_equal(try_open(path, NULL, false, &e), -EINVAL);
	assert_non_null(strstr(e.text, "512"));
	unlink(path);
	make_image(0);
	assert_int_equal(try_open(path, NULL, false, &e), -EINVAL);
	unlink(path);
	strcpy(path, saved);
}

/* Another process holds the image: the message says which. */
static void open_locked(void **state)
{
	char saved[64], want[32];
	int ready[2];
	struct err e;
	pid_t pid;
	char c;

	(void)state;
	assert_int_not_equal(try_open(path, NULL, false, &e), 0); /* the fixture has it */
	strcpy(saved, path);
	make_image(SECTOR);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		/* What a reader locks: it refuses others to write (byte 201). */
		struct flock l = {.l_type = F_RDLCK, .l_start = 201, .l_len = 1};
		int fd = open(path, O_RDWR);

		fcntl(fd, F_OFD_SETLK, &l);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(try_open(path, NULL, true, &e), 0); /* readers share */
	assert_int_equal(try_open(path, NULL, false, &e), -EBUSY);
	snprintf(want, sizeof(want), "process %d", pid);
	assert_non_null(strstr(e.text, want));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(try_open(path, NULL, false, &e), 0);
	unlink(path);
	strcpy(path, saved);
}

/* From here on io_uring_setup() fails, as under many container run-times. */
static void refuse_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(configuration),
		TEST(data_round_trip),
		TEST(many_in_flight),
		TEST(save_with_requests),
		TEST(flush),
		TEST(get_id),
		TEST(counters),
		TEST(discard_and_zero),
		TEST(refused),
		TEST(free_framing),
		TEST(no_header),
		TEST(truncated_image),
		TEST(open_refuses),
		TEST(open_locked),
		cmocka_unit_test_setup_teardown(readonly, setup_ro, teardown),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	refuse_io_uring();
	return failed + cmocka_run_group_tests_name("without io_uring", tests, NULL, NULL);
}
