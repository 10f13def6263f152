/* SPDX-License-Identifier: Apache-2.0 */
/* UEFI's variables in a file: made from a template, replaced as a whole, one user at a time. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/virtio/guest.h"
#include "vmm/backend/nvram.h"

#define SIZE 8192

static struct guest g;
static char folder[64], path[96], fresh[96];

static void put_file(const char *name, char fill, size_t size)
{
	char *data = malloc(size);
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	memset(data, fill, size);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
	free(data);
}

static char byte_at(const char *name, long at)
{
	FILE *f = fopen(name, "r");
	int c;

	assert_non_null(f);
	fseek(f, at, SEEK_SET);
	c = fgetc(f);
	fclose(f);
	return (char)c;
}

static int setup(void **state)
{
	(void)state;
	guest_init(&g);
	strcpy(folder, "/tmp/baton-nvram-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/vars.fd", folder);
	snprintf(fresh, sizeof(fresh), "%s/fresh.fd", folder);
	put_file(fresh, 'f', SIZE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(fresh);
	assert_int_equal(rmdir(folder), 0); /* nothing is left aside */
	guest_fini(&g);
	return 0;
}

static struct nvram *opened(const char *name)
{
	struct nvram *n = NULL;
	struct err e;

	pthread_mutex_lock(&g.lock);
	if (nvram_open(name, fresh, g.loop, &n, &e))
		fail_msg("%s", e.text);
	pthread_mutex_unlock(&g.lock);
	return n;
}

static void change(struct nvram *n, unsigned at, char to)
{
	pthread_mutex_lock(&g.lock);
	nvram_data(n)[at] = (uint8_t)to;
	nvram_changed(n);
	pthread_mutex_unlock(&g.lock);
}

static void closed(struct nvram *n)
{
	pthread_mutex_lock(&g.lock);
	nvram_close(n);
	pthread_mutex_unlock(&g.lock);
}

static void a_missing_file_is_made(void **state)
{
	struct nvram *n = opened(path);

	(void)state;
	assert_int_equal(nvram_size(n), SIZE);
	assert_int_equal(byte_at(path, SIZE - 1), 'f');
	change(n, 5, 'x');
	closed(n);
	assert_int_equal(byte_at(path, 5), 'x');
	assert_int_equal(byte_at(fresh, 5), 'f');
	n = opened(path);
	assert_int_equal(nvram_data(n)[5], 'x');
	closed(n);
}

/* The change is on the disk a moment later, in a new file: who reads the old one sees it whole. */
static void stored_while_running(void **state)
{
	struct nvram *n = opened(path);
	struct stat before, after;

	(void)state;
	assert_int_equal(stat(path, &before), 0);
	change(n, 0, 'y');
	for (unsigned i = 0; i < 6000 && byte_at(path, 0) != 'y'; i++)
		usleep(10000);
	assert_int_equal(byte_at(path, 0), 'y');
	assert_int_equal(stat(path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	closed(n);
}

static void a_link_stays_a_link(void **state)
{
	char link[96];
	struct nvram *n;
	struct stat st;
	struct err e;

	(void)state;
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink("vars.fd", link), 0);
	assert_int_equal(nvram_open(link, fresh, g.loop, &n, &e), -2);
	assert_non_null(strstr(e.text, "leads nowhere"));
	put_file(path, 'p', SIZE);
	n = opened(link);
	change(n, 3, 'l');
	closed(n);
	assert_int_equal(byte_at(path, 3), 'l');
	assert_true(!lstat(link, &st) && S_ISLNK(st.st_mode));
	unlink(link);
}

/* A store that fails is tried again with the next change. */
static void a_full_disk_is_no_end(void **state)
{
	struct nvram *n = opened(path);
	char aside[128];

	(void)state;
	snprintf(aside, sizeof(aside), "%s.new", path);
	assert_int_equal(mkdir(aside, 0700), 0); /* in the way */
	change(n, 0, 'v');
	pthread_mutex_lock(&g.lock);
	assert_true(nvram_store(n) < 0);
	pthread_mutex_unlock(&g.lock);
	usleep(300000); /* the thread fails, too */
	assert_int_equal(byte_at(path, 0), 'f');
	assert_int_equal(rmdir(aside), 0);
	change(n, 1, 'w');
	for (unsigned i = 0; i < 6000 && byte_at(path, 1) != 'w'; i++)
		usleep(10000);
	assert_int_equal(byte_at(path, 0), 'v');
	assert_int_equal(byte_at(path, 1), 'w');
	closed(n);
}

static void one_user_at_a_time(void **state)
{
	struct nvram *n = opened(path), *second;
	struct err e;

	(void)state;
	assert_int_equal(nvram_open(path, fresh, g.loop, &second, &e), -16);
	assert_non_null(strstr(e.text, "another VM"));
	change(n, 0, 'z');
	for (unsigned i = 0; i < 6000 && byte_at(path, 0) != 'z'; i++)
		usleep(10000);
	assert_int_equal(nvram_open(path, fresh, g.loop, &second, &e), -16); /* the new file, too */
	closed(n);
	closed(opened(path));
}

static void without_a_name_nothing_stays(void **state)
{
	struct nvram *n = opened(NULL);

	(void)state;
	change(n, 0, 'q');
	closed(n);
	assert_int_equal(byte_at(fresh, 0), 'f');
	assert_int_not_equal(access(path, F_OK), 0);
}

static void odd_files_are_refused(void **state)
{
	struct nvram *n;
	struct err e;

	(void)state;
	put_file(path, 'o', 1000);
	assert_int_equal(nvram_open(path, fresh, g.loop, &n, &e), -22);
	assert_non_null(strstr(e.text, "multiple of 4 KiB"));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(nvram_open(path, fresh, g.loop, &n, &e), -22);
	assert_int_equal(truncate(path, 64 << 20), 0);
	assert_int_equal(nvram_open(path, fresh, g.loop, &n, &e), -22);
	unlink(path);
	assert_int_equal(nvram_open(path, NULL, g.loop, &n, &e), -2);
	assert_true(nvram_open(folder, fresh, g.loop, &n, &e) < 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_file_is_made), TEST(stored_while_running),
		TEST(one_user_at_a_time),     TEST(without_a_name_nothing_stays),
		TEST(odd_files_are_refused),  TEST(a_full_disk_is_no_end),
		TEST(a_link_stays_a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
