/* SPDX-License-Identifier: Apache-2.0 */
/* What a viewer sends once it is in (RFC 6143 section 7.5). */
#include <string.h>

#include "vmm/backend/vnc/internal.h"

#define EXTENDED_KEY_SUBTYPE 0
#define MAX_ENCODINGS        ((VNC_IN_SIZE - 4) / 4)
#define POINTER_CENTRE       0x7fff

/* Buttons on the wire: left, middle, right, wheel up, wheel down. */
#define WIRE_BUTTONS    0x07
#define WIRE_WHEEL_UP   0x08
#define WIRE_WHEEL_DOWN 0x10

static int set_format(struct vnc_client *c)
{
	struct vnc_format f;

	if (vnc_format_parse(c->in + 4, &f))
		return -1;
	c->format = f;
	return 20;
}

static int set_encodings(struct vnc_client *c)
{
	unsigned n = vnc_get16(c->in + 2);

	if (n > MAX_ENCODINGS)
		return -1;
	if (c->in_len < 4 + 4 * (size_t)n)
		return 0;
	c->zrle = c->desktop_size = c->pointer_type = false;
	for (unsigned i = 0; i < n; i++) {
		int32_t encoding = (int32_t)vnc_get32(c->in + 4 + 4 * i);

		c->zrle |= encoding == ENC_ZRLE;
		c->desktop_size |= encoding == ENC_DESKTOP_SIZE;
		c->pointer_type |= encoding == ENC_POINTER_TYPE;
		if (encoding == ENC_EXTENDED_KEY && !c->extended_key)
			c->extended_key = c->tell_keys = true;
	}
	if (c->desktop_size && vnc_client_resize(c))
		return -1;
	return 4 + 4 * (int)n;
}

static bool meets(unsigned a, unsigned alen, unsigned b, unsigned blen)
{
	return a < b + blen && b < a + alen;
}

/* Not incremental: what the client asks for counts as changed. */
static void mark(struct vnc_client *c, unsigned x, unsigned y, unsigned w, unsigned h)
{
	const struct surface *s = &c->server->surface;

	for (unsigned i = 0; i < s->tiles_x * s->tiles_y; i++)
		if (meets(x, w, i % s->tiles_x * DISPLAY_TILE, DISPLAY_TILE) &&
		    meets(y, h, i / s->tiles_x * DISPLAY_TILE, DISPLAY_TILE))
			c->dirty[i] = 1;
}

static int request_update(struct vnc_client *c)
{
	if (!c->in[1])
		mark(c, vnc_get16(c->in + 2), vnc_get16(c->in + 4), vnc_get16(c->in + 6),
		     vnc_get16(c->in + 8));
	c->wants_update = true;
	vnc_schedule(c->server);
	return 10;
}

static void press(struct vnc_client *c, unsigned key, bool down)
{
	struct vnc *v = c->server;

	if (!key)
		return;
	pthread_mutex_lock(v->screen.machine_lock);
	input_key(v->screen.input, key, down);
	pthread_mutex_unlock(v->screen.machine_lock);
	vnc_stir(v);
}

static int key_event(struct vnc_client *c)
{
	press(c, vnc_key_of_keysym(vnc_get32(c->in + 4)), c->in[1]);
	return 8;
}

static int extended_key_event(struct vnc_client *c)
{
	unsigned key = vnc_key_of_scancode(vnc_get32(c->in + 8));

	if (c->in[1] != EXTENDED_KEY_SUBTYPE)
		return -1;
	if (!key)
		key = vnc_key_of_keysym(vnc_get32(c->in + 4));
	press(c, key, vnc_get16(c->in + 2));
	return 12;
}

static int pointer_event(struct vnc_client *c)
{
	struct vnc *v = c->server;
	unsigned wire = c->in[1], x = vnc_get16(c->in + 2), y = vnc_get16(c->in + 4);
	unsigned pressed = wire & ~c->buttons;
	unsigned buttons = wire & WIRE_BUTTONS; /* as in input.h */
	int wheel = (pressed & WIRE_WHEEL_DOWN ? 1 : 0) - (pressed & WIRE_WHEEL_UP ? 1 : 0);

	c->buttons = wire;
	pthread_mutex_lock(v->screen.machine_lock);
	if (c->told_absolute == 0) /* then the client sends movements round the centre */
		input_move(v->screen.input, (int)x - POINTER_CENTRE, (int)y - POINTER_CENTRE, wheel,
			   buttons);
	else
		input_point(v->screen.input, x, y, c->width, c->height, wheel, buttons);
	pthread_mutex_unlock(v->screen.machine_lock);
	vnc_stir(v);
	return 6;
}

/* The guest has no clipboard. */
static int cut_text(struct vnc_client *c)
{
	int32_t n = (int32_t)vnc_get32(c->in + 4);

	c->skip = n < 0 ? (uint32_t) - (int64_t)n : (uint32_t)n; /* negative: the extended form */
	return 8;
}

static const struct {
	uint8_t type, least; /* bytes before it is looked at */
	vnc_step *take;
} messages[] = {
	{0, 20, set_format},           {2, 4, set_encodings},
	{3, 10, request_update},       {4, 8, key_event},
	{5, 6, pointer_event},         {6, 8, cut_text},
	{255, 12, extended_key_event},
};

int vnc_read_message(struct vnc_client *c)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (c->in[0] == messages[i].type)
			return c->in_len < messages[i].least ? 0 : messages[i].take(c);
	return -1;
}
