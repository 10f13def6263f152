/* SPDX-License-Identifier: Apache-2.0 */
/* Routes keys and pointer movements to the devices that the guest uses. */
#include "vmm/backend/input.h"

bool input_key(struct input *in, unsigned code, bool down)
{
	return code && code < INPUT_KEYS && in->key && in->key(in->keyboard, code, down);
}

bool input_is_absolute(const struct input *in)
{
	return in->listens && in->listens(in->tablet);
}

void input_move(struct input *in, int dx, int dy, int wheel, unsigned buttons)
{
	if (in->move)
		in->move(in->mouse, dx, dy, wheel, buttons);
}

static unsigned scale(unsigned at, unsigned size)
{
	if (size < 2)
		return 0;
	if (at >= size)
		at = size - 1;
	return (unsigned)((uint64_t)at * (INPUT_SCALE - 1) / (size - 1));
}

void input_point(struct input *in, unsigned x, unsigned y, unsigned width, unsigned height,
		 int wheel, unsigned buttons)
{
	int dx = (int)x - (int)in->last_x, dy = (int)y - (int)in->last_y;

	in->last_x = x;
	in->last_y = y;
	if (input_is_absolute(in))
		in->point(in->tablet, scale(x, width), scale(y, height), wheel, buttons);
	else
		input_move(in, dx, dy, wheel, buttons);
}
