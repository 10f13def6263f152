/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: JSON-RPC 2.0 over a Unix stream socket, one JSON object per line.
 *
 *   -> {"jsonrpc": "2.0", "id": 1, "method": "status"}
 *   <- {"jsonrpc": "2.0", "id": 1, "result": {"state": "running", ...}}
 *
 * Methods: status, pause, resume, reset, power_button, quit, stats. Who can open the socket
 * controls the VM; its mode is 0600. Input is not trusted all the same: a client that sends rubbish
 * gets an error object, one that sends more than CONTROL_MAX_MESSAGE bytes without a newline is
 * dropped.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include "base/err.h"
#include "vmm/engine/engine.h"
#include "vmm/loop.h"

#define CONTROL_MAX_MESSAGE 65536
#define CONTROL_MAX_CLIENTS 16

struct control_status {
	const char *name;  /* NULL: none */
	const char *state; /* "running", "paused" */
	const char *engine, *engine_why;
	unsigned cpus;
	uint64_t memory;    /* bytes */
	uint64_t uptime_ns; /* VM time: pauses do not count */
};

/* What the machine lends. All calls come on the main thread with the machine lock held. */
struct control_ops {
	void (*status)(void *opaque, struct control_status *out);
	void (*pause)(void *opaque);
	void (*resume)(void *opaque);
	void (*reset)(void *opaque);
	void (*power_button)(void *opaque);
	void (*quit)(void *opaque);
	void (*stats)(void *opaque, stat_fn *fn, void *fn_opaque);
};

struct control;

/* Listens at `path`; a socket file that nobody listens on any more is replaced. */
int control_open(struct control **out, const char *path, struct loop *loop,
		 const struct control_ops *ops, void *opaque, struct err *e);

/* Closes all clients and removes the socket file. */
void control_close(struct control *c);

#endif
