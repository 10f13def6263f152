/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VNC client that sends anything: the input is what it sends, in pieces of the length that the
 * byte before each piece says. Between pieces the screen changes and updates are made.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/vnc/internal.h"

static unsigned width = 100, height = 70;
static uint32_t row[256];

static void get_size(void *opaque, unsigned *w, unsigned *h)
{
	(void)opaque;
	*w = width;
	*h = height;
}

static void draw(void *opaque, struct surface *s)
{
	(void)opaque;
	for (unsigned y = 0; y < s->height; y++)
		surface_row(s, y, row + y % 16);
}

static bool key(void *opaque, unsigned code, bool down)
{
	(void)opaque, (void)down;
	if (code >= INPUT_KEYS)
		abort();
	return true;
}

static void move(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	(void)opaque, (void)dx, (void)dy;
	if (wheel < -1 || wheel > 1 || buttons > 7)
		abort();
}

static bool send_piece(struct vnc_client *c, const uint8_t *data, size_t len)
{
	if (len > sizeof(c->in) - c->in_len)
		len = sizeof(c->in) - c->in_len;
	memcpy(c->in + c->in_len, data, len);
	c->in_len += len;
	return vnc_client_parse(c) && !c->doomed;
}

static void change_screen(struct vnc *v, uint8_t how)
{
	row[how % 256] += how * 0x10305;
	width = how == 77 ? 200 : how == 78 ? 60 : width;
	vnc_look(v);
}

static void talk(struct vnc *v, const uint8_t *data, size_t size)
{
	bool alive = true;

	v->client[0] = vnc_client_create(v, -1);
	while (alive && size) {
		size_t n = *data++;

		n = n < --size ? n : size;
		alive = send_piece(v->client[0], data, n);
		data += n;
		size -= n;
		change_screen(v, (uint8_t)n);
		v->client[0]->out.len = v->client[0]->sent = 0;
		if (alive && v->client[0]->is_set_up)
			vnc_client_update(v->client[0]);
		if (v->client[0]->out.failed)
			break;
		v->client[0]->out.len = v->client[0]->sent = 0;
	}
	vnc_client_destroy(v->client[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct display display = {.size = get_size, .draw = draw};
	struct input input = {.key = key, .move = move};
	struct vnc v = {.screen = {&display, &input, &lock, "fuzz"}};
	struct err e;

	if (!size || loop_create(&v.loop, &lock, &e))
		return 0;
	v.has_password = *data & 1;
	width = 100;
	talk(&v, data + 1, size - 1);
	loop_destroy(v.loop);
	surface_free(&v.surface);
	return 0;
}
