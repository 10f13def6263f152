/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person types and points at: between those who receive it (VNC server, sendkey) and the
 * guest's keyboard, mouse and tablet, of which this chooses the one that the guest listens to.
 *
 * Keys are numbered as in Linux's input-event-codes.h, by their place on a US keyboard. The
 * devices' functions are called with the machine lock held, and so must be the functions below.
 */
#ifndef VMM_BACKEND_INPUT_H
#define VMM_BACKEND_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#define INPUT_KEYS  256   /* codes are below */
#define INPUT_SCALE 32768 /* absolute positions are below */

enum {
	INPUT_LEFT = 1,
	INPUT_MIDDLE = 2,
	INPUT_RIGHT = 4
};

struct input {
	/* Set by the devices; NULL: there is none. */
	bool (*key)(void *keyboard, unsigned code, bool down); /* false: it has no room now */
	void *keyboard;
	void (*move)(void *mouse, int dx, int dy, int wheel, unsigned buttons);
	void *mouse;
	bool (*listens)(void *tablet); /* a driver is there */
	void (*point)(void *tablet, unsigned x, unsigned y, int wheel, unsigned buttons);
	void *tablet;

	unsigned last_x, last_y; /* of absolute positions, to move a mouse by */
};

/* False: no keyboard, or it holds as many keys as it can. */
bool input_key(struct input *in, unsigned code, bool down);

/* The guest takes absolute positions. */
bool input_is_absolute(const struct input *in);

/*
 * The pointer is at x, y of a picture of that size, these buttons (or-ed) are down, and the wheel
 * turned by `wheel` steps (towards the user: positive).
 */
void input_point(struct input *in, unsigned x, unsigned y, unsigned width, unsigned height,
		 int wheel, unsigned buttons);
/* The mouse moved by this much. */
void input_move(struct input *in, int dx, int dy, int wheel, unsigned buttons);

#endif
