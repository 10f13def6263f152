/* SPDX-License-Identifier: Apache-2.0 */
/* Between the server, which has the clients, and the requests that they send. */
#ifndef VMM_CONTROL_INTERNAL_H
#define VMM_CONTROL_INTERNAL_H

#include <stddef.h>

#include "base/sendfd.h"
#include "vmm/control/control.h"

/* JSON-RPC 2.0, section 5.1. */
#define RPC_PARSE_ERROR      (-32700)
#define RPC_INVALID_REQUEST  (-32600)
#define RPC_METHOD_NOT_FOUND (-32601)
#define RPC_INVALID_PARAMS   (-32602)
#define RPC_METHOD_FAILED    (-32000) /* of the range left to servers */

/* Descriptors from a client, given[next .. n) not taken yet. */
struct given {
	int fd[SENDFD_MAX];
	unsigned next, n;
};

struct client {
	struct control *control;
	int fd;             /* -1: free */
	struct given given; /* what came with the line that is not whole yet */
	size_t len;
	char line[CONTROL_MAX_MESSAGE];
};

struct control {
	struct loop *loop;
	const struct control_method *const *tables;
	void *opaque;
	int listener;
	char *path;
	struct client *client[CONTROL_MAX_CLIENTS];
	struct control_call *calls; /* those in work */
};

/* Adds some, and closes what is too many. */
void given_add(struct given *g, const int *fds, unsigned n);

/* Closes those that nobody has taken. */
void given_close(struct given *g);

/* Sends one object, which it takes over. The client is dropped when it does not read. */
void client_send(struct client *cl, json_t *message);

/* Runs the request in one line without its newline, and sends the answer. */
void request_line(struct client *cl, const char *line, size_t len);

/* Sends an error object that answers no request in particular. */
void request_refuse(struct client *cl, int code, const char *text);

/* The client is gone: its calls have nobody to answer to. */
void request_forget(struct control *c, const struct client *cl);

/* The server is gone too. */
void request_abandon(struct control *c);

#endif
