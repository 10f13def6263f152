/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream between a guest's serial-like device and the host: terminal, file, Unix socket.
 * All calls on the main loop's side hold the machine lock.
 */
#ifndef VMM_BACKEND_CHARDEV_H
#define VMM_BACKEND_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/loop.h"

struct chardev;

struct chardev_ops {
	/* Guest to host. Never blocks: what the host cannot take now is buffered up to 64 KiB, then
	 * dropped oldest first and counted. */
	void (*write)(struct chardev *c, const void *data, size_t len);
	void (*poll_input)(struct chardev *c); /* the front end has room again */
	void (*destroy)(struct chardev *c);    /* restores the terminal */
};

/* The device's end. */
struct chardev_client {
	size_t (*room)(void *opaque);                                 /* bytes it can take now */
	void (*input)(void *opaque, const uint8_t *data, size_t len); /* len <= room */
	void *opaque;
};

struct chardev {
	const struct chardev_ops *ops;
	struct chardev_client client; /* set by the device; room NULL: input is dropped */
};

/*
 * "stdio", "none", "file:PATH", "unix:PATH". stdio on a terminal: raw mode, restored at
 * destroy and on every way out of the process; Ctrl-A X calls `quit`, Ctrl-A Ctrl-A sends Ctrl-A,
 * Ctrl-A H prints the keys. unix: listens; one client at a time; a stale socket file is replaced;
 * output is kept in a ring of 64 KiB for the next client.
 */
int chardev_open(const char *text, struct loop *loop, loop_fn *quit, void *quit_opaque,
		 struct chardev **out, struct err *e);

#endif
