/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of character device that chardev_open() chooses from. */
#ifndef VMM_BACKEND_CHARKINDS_H
#define VMM_BACKEND_CHARKINDS_H

#include "vmm/backend/chardev.h"

struct chardev_request {
	const char *arg; /* what follows the colon, "" if nothing */
	struct loop *loop;
	loop_fn *quit;
	void *quit_opaque;
};

int chardev_open_stdio(const struct chardev_request *q, struct chardev **out, struct err *e);
int chardev_open_file(const struct chardev_request *q, struct chardev **out, struct err *e);
int chardev_open_socket(const struct chardev_request *q, struct chardev **out, struct err *e);

/* Gives bytes to the device, or drops them if it has none; `len` at most chardev_room(). */
void chardev_input(struct chardev *c, const uint8_t *data, size_t len);
/* Bytes the device takes now, at most `max`. Without a device: `max`. */
size_t chardev_room(struct chardev *c, size_t max);

#endif
