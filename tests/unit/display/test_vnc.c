/* SPDX-License-Identifier: Apache-2.0 */
/* The VNC server and a viewer: pictures, keys, passwords, and clients who mean no good. */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/display/viewer.h"
#include "vmm/backend/vnc/internal.h"

/* A screen with a picture that the test paints, and a guest that notes what it is given. */
struct rig {
	pthread_mutex_t lock;
	struct display display;
	struct input input;
	struct vnc *vnc;
	struct viewer v;
	char folder[32], path[64], secret[64];
	unsigned width, height;
	uint32_t pixel[VIEWER_MAX * VIEWER_MAX];
	unsigned keys, key, down, x, y, buttons;
	int dx, dy, wheel;
	bool tablet;
};

static void get_size(void *opaque, unsigned *width, unsigned *height)
{
	*width = ((struct rig *)opaque)->width;
	*height = ((struct rig *)opaque)->height;
}

static void draw(void *opaque, struct surface *s)
{
	struct rig *r = opaque;

	for (unsigned y = 0; y < s->height; y++)
		surface_row(s, y, r->pixel + y * VIEWER_MAX);
}

static bool on_key(void *opaque, unsigned code, bool down)
{
	struct rig *r = opaque;

	r->keys++;
	r->key = code;
	r->down = down;
	return true;
}

static void on_move(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	struct rig *r = opaque;

	r->dx = dx;
	r->dy = dy;
	r->wheel = wheel;
	r->buttons = buttons;
}

static void on_point(void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct rig *r = opaque;

	r->x = x;
	r->y = y;
	r->wheel = wheel;
	r->buttons = buttons;
}

static bool listens(void *opaque)
{
	return ((struct rig *)opaque)->tablet;
}

static void paint(struct rig *r, unsigned x, unsigned y, uint32_t c)
{
	pthread_mutex_lock(&r->lock);
	r->pixel[y * VIEWER_MAX + x] = c;
	pthread_mutex_unlock(&r->lock);
}

/* Plain tiles, tiles of few colours, of 16, and of many. */
static void paint_all(struct rig *r)
{
	for (unsigned y = 0; y < r->height; y++)
		for (unsigned x = 0; x < r->width; x++) {
			static const unsigned colours[] = {1, 2, 3, 16, 17, 4096};
			unsigned n = colours[(x / 64 + y / 64) % 6], i = (x * 7 + y * 13) % n;

			paint(r, x, y, i * 0x0f1e35 & 0xf8fcf8);
		}
}

static int open_server(struct rig *r, const char *options)
{
	struct vnc_screen s = {&r->display, &r->input, &r->lock, "test"};
	struct vnc_config c;
	char text[256];
	struct err e;
	int rc;

	snprintf(text, sizeof(text), "vnc=unix:%s%s", r->path, options);
	assert_int_equal(vnc_config_parse(text, &c, &e), 0);
	rc = vnc_open(&r->vnc, &c, &s, &e);
	vnc_config_free(&c);
	return rc ? rc : vnc_start(r->vnc, &e);
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	strcpy(r->folder, "/tmp/vnc-test-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->path, sizeof(r->path), "%s/sock", r->folder);
	snprintf(r->secret, sizeof(r->secret), "%s/secret", r->folder);
	r->width = 200;
	r->height = 150;
	r->display = (struct display){get_size, draw, NULL, r};
	r->input = (struct input){
		.key = on_key, .move = on_move, .listens = listens, .point = on_point};
	r->input.keyboard = r->input.mouse = r->input.tablet = r;
	*state = r;
	return 0;
}

static int setup_open(void **state)
{
	setup(state);
	return open_server(*state, "");
}

static int teardown(void **state)
{
	struct rig *r = *state;

	vnc_close(r->vnc);
	assert_int_not_equal(access(r->path, F_OK), 0);
	unlink(r->secret);
	rmdir(r->folder);
	free(r);
	return 0;
}

/* No part of any colour differs by more than `most`. */
static void assert_close(const struct rig *r, int most)
{
	for (unsigned y = 0; y < r->height; y++)
		for (unsigned x = 0; x < r->width; x++)
			for (unsigned part = 0; part < 24; part += 8) {
				int a = r->v.pixel[y * VIEWER_MAX + x] >> part & 0xff;
				int b = r->pixel[y * VIEWER_MAX + x] >> part & 0xff;

				assert_true(abs(a - b) <= most);
			}
}

static void assert_same(const struct rig *r)
{
	assert_close(r, 0);
}

/* ---- pictures ------------------------------------------------------------------------------- */

static void raw_picture(void **state)
{
	struct rig *r = *state;

	paint_all(r);
	viewer_connect(&r->v, r->path);
	assert_string_equal(r->v.name, "test");
	assert_int_equal(r->v.width, 200);
	assert_int_equal(r->v.height, 150);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	assert_same(r);
	viewer_close(&r->v);
}

static void zrle_picture(void **state)
{
	static const int32_t encodings[] = {7, 16, 0};
	struct rig *r = *state;

	paint_all(r);
	viewer_connect(&r->v, r->path);
	viewer_encodings(&r->v, encodings, 3);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	assert_same(r);
	paint(r, 100, 100, 0x123456);
	viewer_ask(&r->v, true);
	viewer_update(&r->v);
	assert_int_equal(r->v.rects, 1);
	assert_int_equal(r->v.area, 64 * 64);
	assert_same(r);
	viewer_close(&r->v);
}

static void sixteen_bits(void **state)
{
	static const int32_t encodings[] = {16};
	struct rig *r = *state;

	paint_all(r);
	viewer_connect(&r->v, r->path);
	viewer_format16(&r->v);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	assert_close(r, 8); /* five bits of eight */
	memset(r->v.pixel, 0, sizeof(r->v.pixel));
	viewer_encodings(&r->v, encodings, 1);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	assert_close(r, 8);
	viewer_close(&r->v);
}

static void nothing_new_no_answer(void **state)
{
	struct rig *r = *state;
	char byte;

	viewer_connect(&r->v, r->path);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	viewer_ask(&r->v, true);
	usleep(150000);
	assert_int_equal(recv(r->v.fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	paint(r, 0, 149, 0xff00ff);
	viewer_update(&r->v);
	assert_int_equal(r->v.area, 64 * (150 - 128));
	assert_same(r);
	viewer_close(&r->v);
}

static void change_of_size(void **state)
{
	static const int32_t encodings[] = {-223, 16};
	struct rig *r = *state;

	viewer_connect(&r->v, r->path);
	viewer_encodings(&r->v, encodings, 2);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	pthread_mutex_lock(&r->lock);
	r->width = 640;
	r->height = 480;
	pthread_mutex_unlock(&r->lock);
	paint_all(r);
	viewer_ask(&r->v, true);
	viewer_update(&r->v);
	assert_int_equal(r->v.width, 640);
	assert_int_equal(r->v.height, 480);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	assert_same(r);
	viewer_close(&r->v);
}

/* It gets what fits into the picture it knows. */
static void size_without_the_extension(void **state)
{
	struct rig *r = *state;

	viewer_connect(&r->v, r->path);
	pthread_mutex_lock(&r->lock);
	r->width = 300;
	r->height = 100;
	pthread_mutex_unlock(&r->lock);
	paint_all(r);
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
	if (r->v.area != 200 * 100) { /* asked before the change was seen */
		viewer_ask(&r->v, true);
		viewer_update(&r->v);
	}
	r->width = 200;
	assert_same(r);
	r->width = 300;
	viewer_close(&r->v);
}

static void several_clients(void **state)
{
	struct rig *r = *state;
	struct viewer *other = calloc(1, sizeof(*other));

	paint_all(r);
	viewer_connect(other, r->path); /* asks and never reads */
	for (unsigned i = 0; i < 50; i++)
		viewer_ask(other, false);
	viewer_connect(&r->v, r->path);
	for (unsigned i = 0; i < 5; i++) {
		viewer_ask(&r->v, false);
		viewer_update(&r->v);
	}
	assert_same(r);
	viewer_close(&r->v);
	viewer_close(other);
	free(other);
}

/* ---- input ---------------------------------------------------------------------------------- */

/* The server has handled everything before it when it answers. */
static void settle(struct rig *r)
{
	viewer_ask(&r->v, false);
	viewer_update(&r->v);
}

static void keys(void **state)
{
	static const int32_t encodings[] = {-258};
	static const struct {
		uint8_t message[12], len;
		unsigned key;
	} rows[] = {
		{{4, 1, 0, 0, 0, 0, 0, 'a'}, 8, KEY_A},
		{{4, 1, 0, 0, 0, 0, 0, 'A'}, 8, KEY_A},
		{{4, 0, 0, 0, 0, 0, 0xff, 0xe1}, 8, KEY_LEFTSHIFT},
		{{4, 1, 0, 0, 0, 0, 0xff, 0xc9}, 8, KEY_F12},
		{{4, 1, 0, 0, 0, 0, 0xff, 0xff}, 8, KEY_DELETE},
		{{255, 0, 0, 1, 0, 0, 0, 'y', 0, 0, 0, 0x2c}, 12, KEY_Z}, /* German keyboard */
		{{255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc8}, 12, KEY_UP},
		{{255, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xe0, 0x5b}, 12, KEY_LEFTMETA},
	};
	struct rig *r = *state;

	viewer_connect(&r->v, r->path);
	viewer_encodings(&r->v, encodings, 1);
	settle(r);
	assert_true(r->v.told_keys);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		viewer_write(&r->v, rows[i].message, rows[i].len);
		settle(r);
		assert_int_equal(r->key, rows[i].key);
		assert_int_equal(r->down, rows[i].message[rows[i].len == 8 ? 1 : 3]);
	}
	viewer_write(&r->v, "\4\1\0\0\1\0\0\x41", 8); /* no key of ours */
	settle(r);
	assert_int_equal(r->keys, sizeof(rows) / sizeof(rows[0]));
	viewer_close(&r->v);
}

static void pointer(void **state)
{
	struct rig *r = *state;

	viewer_connect(&r->v, r->path);
	viewer_write(&r->v, "\5\1\0\x0a\0\x14", 6); /* left button at 10, 20 */
	settle(r);
	assert_int_equal(r->dx, 10);
	assert_int_equal(r->dy, 20);
	assert_int_equal(r->buttons, INPUT_LEFT);
	viewer_write(&r->v, "\5\x10\0\x08\0\x14", 6);
	settle(r);
	assert_int_equal(r->dx, -2);
	assert_int_equal(r->wheel, 1);
	r->tablet = true;
	viewer_write(&r->v, "\5\4\0\xc7\0\x95", 6); /* the last pixel of 200x150 */
	settle(r);
	assert_int_equal(r->x, INPUT_SCALE - 1);
	assert_int_equal(r->y, INPUT_SCALE - 1);
	assert_int_equal(r->buttons, INPUT_RIGHT);
	viewer_close(&r->v);
}

static void relative_pointer(void **state)
{
	static const int32_t encodings[] = {-257};
	struct rig *r = *state;

	viewer_connect(&r->v, r->path);
	viewer_encodings(&r->v, encodings, 1);
	settle(r);
	assert_int_equal(r->v.absolute, 0);
	viewer_write(&r->v, "\5\0\x80\x04\x7f\xfd", 6);
	settle(r);
	assert_int_equal(r->dx, 5);
	assert_int_equal(r->dy, -2);
	r->tablet = true;
	settle(r);
	settle(r);
	assert_int_equal(r->v.absolute, 1);
	viewer_close(&r->v);
}

/* ---- security ------------------------------------------------------------------------------- */

static void write_secret(struct rig *r, const char *text)
{
	FILE *f = fopen(r->secret, "w");

	fputs(text, f);
	fclose(f);
}

static uint32_t log_in(struct rig *r, const char *password)
{
	uint8_t challenge[16], response[16], types[2], result[4];
	char version[12];

	r->v.fd = viewer_dial(r->path);
	viewer_read(&r->v, version, 12);
	viewer_write(&r->v, version, 12);
	viewer_read(&r->v, types, 2);
	assert_memory_equal(types, "\1\2", 2);
	viewer_write(&r->v, "\2", 1);
	viewer_read(&r->v, challenge, 16);
	vnc_encrypt_challenge(password, challenge, response);
	viewer_write(&r->v, response, 16);
	viewer_read(&r->v, result, 4);
	return result[3];
}

static void password(void **state)
{
	struct rig *r = *state;
	char option[128];
	char why[18];

	write_secret(r, "topsecre\n");
	snprintf(option, sizeof(option), ",password-file=%s", r->secret);
	assert_int_equal(open_server(r, option), 0);
	assert_int_equal(log_in(r, "topsecre"), 0);
	close(r->v.fd);
	assert_int_equal(log_in(r, "topsecrt"), 1);
	viewer_read(&r->v, why, 18);
	assert_memory_equal(why + 4, "wrong password", 14);
	assert_true(viewer_closed(&r->v));
	close(r->v.fd);
}

/* DES of zeros by OpenSSL, the key being "password" with each byte's bits mirrored. */
static void challenge_response(void **state)
{
	static const uint8_t zeros[16],
		wanted[8] = {0xff, 0x97, 0x50, 0x2e, 0x94, 0x22, 0xf0, 0x89};
	uint8_t out[16];

	(void)state;
	vnc_encrypt_challenge("password", zeros, out);
	assert_memory_equal(out, wanted, 8);
	assert_memory_equal(out + 8, wanted, 8);
}

static void bad_passwords(void **state)
{
	static const char *const texts[] = {"", "\nsecond", "longer than eight"};
	struct rig *r = *state;
	char option[128];

	snprintf(option, sizeof(option), ",password-file=%s", r->secret);
	assert_int_equal(open_server(r, option), -ENOENT);
	for (unsigned i = 0; i < 3; i++) {
		write_secret(r, texts[i]);
		assert_int_equal(open_server(r, option), -EINVAL);
	}
	assert_int_equal(open_server(r, ""), 0);
}

static void old_version(void **state)
{
	struct rig *r = *state;
	uint8_t b[12];

	r->v.fd = viewer_dial(r->path);
	viewer_read(&r->v, b, 12);
	viewer_write(&r->v, "RFB 003.003\n\1", 13);
	viewer_read(&r->v, b, 4);
	assert_memory_equal(b, "\0\0\0\1", 4);
	viewer_read(&r->v, b, 4);
	assert_memory_equal(b, "\0\xc8\0\x96", 4);
	close(r->v.fd);
}

/* ---- who means no good ---------------------------------------------------------------------- */

static void rubbish(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"GET / HTTP/1.1\r\n\r\n", 18},
		{"RFB 003.008\n\7", 13},               /* security not offered */
		{"RFB 003.008\n\1\1\x63", 15},         /* no such message */
		{"RFB 003.008\n\1\1\2\0\xff\xff", 18}, /* 65535 encodings */
		{"RFB 003.008\n\1\1\0\0\0\0\x18\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 34}, /* 24 bits */
		{"RFB 003.008\n\1\1\0\0\0\0\x20\x18\0\1\xff\xff\0\xff\0\xff\x18\x8\0\0\0\0", 34},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r->v.fd = viewer_dial(r->path);
		viewer_write(&r->v, rows[i].bytes, rows[i].len);
		assert_true(viewer_closed(&r->v));
		close(r->v.fd);
	}
}

static void clipboard_is_skipped(void **state)
{
	struct rig *r = *state;
	char *text = calloc(1, 100000);

	viewer_connect(&r->v, r->path);
	viewer_write(&r->v, "\6\0\0\0\0\1\x86\xa0", 8);
	viewer_write(&r->v, text, 100000);
	settle(r);
	viewer_close(&r->v);
	free(text);
}

/* Who does not get through the handshake makes room for who does. */
static void crowd(void **state)
{
	struct rig *r = *state;
	int fd[40];

	for (unsigned i = 0; i < 40; i++)
		fd[i] = viewer_dial(r->path);
	viewer_connect(&r->v, r->path);
	settle(r);
	for (unsigned i = 0; i < 40; i++)
		close(fd[i]);
	viewer_close(&r->v);
}

/* ---- the description ------------------------------------------------------------------------ */

static void descriptions(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{"vnc", 0},
		{"vnc=unix:/tmp/x", 0},
		{"vnc=127.0.0.1:5901", 0},
		{"vnc=localhost:0", 0},
		{"vnc=[::1]:5900", 0},
		{"vnc=0.0.0.0:5900", -EPERM},
		{"vnc=[::]:5900", -EPERM},
		{"vnc=192.168.1.2:5900", -EPERM},
		{"vnc=0.0.0.0:5900,password-file=/x", 0},
		{"vnc=[::]:5900,tls-cert=/c,tls-key=/k", 0},
		{"vnc=[::]:5900,tls-cert=/c", -EINVAL},
		{"vnc=host.example:5900", -EINVAL},
		{"vnc=127.0.0.1", -EINVAL},
		{"vnc=127.0.0.1:", -EINVAL},
		{"vnc=127.0.0.1:65536", -EINVAL},
		{"vnc=127.0.0.1:-1", -EINVAL},
		{"vnc=:5900", -EINVAL},
		{"vnc=unix:", -EINVAL},
		{"vnc,password-file=", -EINVAL},
		{"vnc,colour=red", -EINVAL},
		{"vnc,", -EINVAL},
		{"vncx", -EINVAL},
		{"vnc=", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vnc_config c;
		struct err e;

		char *again;

		if (vnc_config_parse(rows[i].text, &c, &e) != rows[i].rc)
			fail_msg("%s: not %d", rows[i].text, rows[i].rc);
		again = vnc_config_print(&c);
		if (!rows[i].rc)
			assert_string_equal(again, rows[i].text);
		free(again);
		vnc_config_free(&c);
	}
}

int main(void)
{
#define TEST(f)  cmocka_unit_test_setup_teardown(f, setup_open, teardown)
#define START(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(raw_picture),
		TEST(zrle_picture),
		TEST(sixteen_bits),
		TEST(nothing_new_no_answer),
		TEST(change_of_size),
		TEST(size_without_the_extension),
		TEST(several_clients),
		TEST(keys),
		TEST(pointer),
		TEST(relative_pointer),
		START(password),
		START(bad_passwords),
		TEST(old_version),
		TEST(rubbish),
		TEST(clipboard_is_skipped),
		TEST(crowd),
		cmocka_unit_test(challenge_response),
		cmocka_unit_test(descriptions),
	};

	return cmocka_run_group_tests_name("vnc", tests, NULL, NULL);
}
