/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: JSON-RPC 2.0 over a Unix stream socket, one JSON object per line.
 *
 *   -> {"jsonrpc": "2.0", "id": 1, "method": "save", "params": {"path": "/tmp/state"}}
 *   <- {"jsonrpc": "2.0", "method": "progress", "params": {"id": 1, "what": "memory",
 *       "done": 1048576, "total": 1073741824}}
 *   <- {"jsonrpc": "2.0", "id": 1, "result": {}}
 *
 * The methods come from tables that live beside what they are about (`control_tables` of
 * vmm/machinecontrol.c lists the tables). Parameters are named; their names and types are checked
 * here, their values by the method. A method may answer later, from any callback of the loop.
 *
 * Who can open the socket controls the VM; its mode is 0600. Input is not trusted all the same: a
 * client that sends rubbish gets an error object, one that sends more than CONTROL_MAX_MESSAGE
 * bytes without a newline is dropped. A method's failure is error -32000 with the sentence as
 * "message" and the errno as "data": {"errno": 17}.
 */
#ifndef VMM_CONTROL_CONTROL_H
#define VMM_CONTROL_CONTROL_H

#include <jansson.h>

#include "base/err.h"
#include "vmm/loop.h"

#define CONTROL_MAX_MESSAGE 65536
#define CONTROL_MAX_CLIENTS 16
#define CONTROL_MAX_PARAMS  8

/* What control_method.call returns when control_finish() will give the answer later. */
#define CONTROL_LATER 1

enum control_type {
	CONTROL_STRING,
	CONTROL_UINT, /* 0 .. INT64_MAX */
	CONTROL_BOOL,
	CONTROL_ARRAY,
	CONTROL_OBJECT,
};

struct control_param {
	const char *name; /* NULL ends the list */
	enum control_type type;
	bool required;
};

/* A request in work. */
struct control_call;

struct control_method {
	const char *name; /* NULL ends the table */
	/*
	 * Runs on the main thread with the machine lock held. `params` is an object with
	 * the parameters that were given, all of their declared types. Returns 0, with the
	 * answer (owned by the caller) in *result, or nothing there for {}; CONTROL_LATER after
	 * having kept `call`; or a negative errno.
	 */
	int (*call)(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		    struct err *e);
	struct control_param params[CONTROL_MAX_PARAMS + 1];
};

/*
 * Tells the caller how far a long call is; `what` is a word or two. Clients give up after ten
 * seconds of silence: call it at least every few seconds, and at most some ten times a second.
 */
void control_progress(struct control_call *call, const char *what, uint64_t done, uint64_t total);

/*
 * The late answer: `result` (taken over; NULL for {}) or, when e->code is not 0, the error. The
 * call is gone afterwards. It is valid, and without effect, when the client or the server is gone.
 */
void control_finish(struct control_call *call, json_t *result, const struct err *e);

/*
 * The next open descriptor that the client sent along with the request (SCM_RIGHTS, unix(7); at
 * most SENDFD_MAX), which is the caller's from now on; -1: there is none. So a client can hand over
 * files that the VM's process may not open itself (vmm/sandbox/sandbox.h).
 */
int control_take_fd(struct control_call *call);

struct control;

/*
 * Listens at `path`; a socket file that nobody listens on any more is replaced. `tables` is a
 * NULL-ended list of method tables; all methods get `opaque`.
 */
int control_open(struct control **out, const char *path, struct loop *loop,
		 const struct control_method *const *tables, void *opaque, struct err *e);

/* Closes all clients and removes the socket file. Calls that are in work may still be finished. */
void control_close(struct control *c);

#endif
