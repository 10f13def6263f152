/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket's server: clients, lines, and the table of methods. */
#include "vmm/control.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* JSON-RPC 2.0, section 5.1. */
#define RPC_PARSE_ERROR      (-32700)
#define RPC_INVALID_REQUEST  (-32600)
#define RPC_METHOD_NOT_FOUND (-32601)
#define RPC_INVALID_PARAMS   (-32602)

struct client {
	struct control *control;
	int fd; /* -1: free */
	size_t len;
	char line[CONTROL_MAX_MESSAGE];
};

struct control {
	struct loop *loop;
	const struct control_ops *ops;
	void *opaque;
	int listener;
	char *path;
	struct client *client[CONTROL_MAX_CLIENTS];
};

/* ---- methods -------------------------------------------------------------------------------- */

static json_t *method_status(struct control *c)
{
	struct control_status s = {0};
	json_t *o = json_object();

	c->ops->status(c->opaque, &s);
	if (s.name)
		json_object_set_new(o, "name", json_string(s.name));
	json_object_set_new(o, "state", json_string(s.state));
	json_object_set_new(o, "engine", json_string(s.engine));
	json_object_set_new(o, "engine_why", json_string(s.engine_why));
	json_object_set_new(o, "cpus", json_integer(s.cpus));
	json_object_set_new(o, "memory", json_integer((json_int_t)s.memory));
	json_object_set_new(o, "uptime_ns", json_integer((json_int_t)s.uptime_ns));
	json_object_set_new(o, "pid", json_integer(getpid()));
	return o;
}

static void add_stat(void *opaque, const char *name, uint64_t value)
{
	json_object_set_new(opaque, name, json_integer((json_int_t)value));
}

static json_t *method_stats(struct control *c)
{
	json_t *o = json_object();

	c->ops->stats(c->opaque, add_stat, o);
	return o;
}

static const struct method {
	const char *name;
	json_t *(*query)(struct control *c); /* the result, or NULL where there is an action */
	size_t action; /* offset of a function in control_ops; its result is {} */
} methods[] = {
	{"status", method_status, 0},
	{"stats", method_stats, 0},
	{"pause", NULL, offsetof(struct control_ops, pause)},
	{"resume", NULL, offsetof(struct control_ops, resume)},
	{"reset", NULL, offsetof(struct control_ops, reset)},
	{"power_button", NULL, offsetof(struct control_ops, power_button)},
	{"quit", NULL, offsetof(struct control_ops, quit)},
};

static json_t *call(struct control *c, const struct method *m)
{
	void (*action)(void *);

	if (m->query)
		return m->query(c);
	memcpy(&action, (const char *)c->ops + m->action, sizeof(action));
	action(c->opaque);
	return json_object();
}

static const struct method *find_method(const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(methods[i].name, name))
			return &methods[i];
	return NULL;
}

/* ---- requests ------------------------------------------------------------------------------- */

static json_t *failure(int code, const char *text)
{
	return json_pack("{s:i, s:s}", "code", code, "message", text);
}

/* The result, or NULL and *error. */
static json_t *execute(struct control *c, json_t *request, json_t **error)
{
	const json_t *params = json_object_get(request, "params");
	const char *name = json_string_value(json_object_get(request, "method"));
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	const struct method *m;

	if (!name || !version || strcmp(version, "2.0")) {
		*error = failure(RPC_INVALID_REQUEST, "not a JSON-RPC 2.0 request");
		return NULL;
	}
	m = find_method(name);
	if (!m) {
		*error = failure(RPC_METHOD_NOT_FOUND, "there is no such method");
		return NULL;
	}
	if (params && json_object_size(params) + json_array_size(params)) {
		*error = failure(RPC_INVALID_PARAMS, "this method takes no parameters");
		return NULL;
	}
	return call(c, m);
}

static void drop(struct client *cl)
{
	loop_unwatch(cl->control->loop, cl->fd);
	close(cl->fd);
	cl->fd = -1;
	cl->len = 0;
}

/*
 * Answers are far smaller than a socket's buffer. A client that lets them pile up until it is full
 * is dropped: the machine never waits for a client.
 */
static void answer(struct client *cl, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(reply);
	if (text)
		text[len] = '\n'; /* takes the NUL's place */
	if (!text || send(cl->fd, text, len + 1, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len + 1)
		drop(cl);
	free(text);
}

static bool id_ok(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

static void handle_request(struct client *cl, json_t *request)
{
	json_t *id = json_object_get(request, "id"), *error = NULL;
	json_t *result = execute(cl->control, request, &error);
	json_t *reply = json_object();

	json_object_set_new(reply, "jsonrpc", json_string("2.0"));
	json_object_set(reply, "id", id_ok(id) ? id : json_null());
	json_object_set_new(reply, result ? "result" : "error", result ? result : error);
	if (id || error)
		answer(cl, reply);
	else
		json_decref(reply); /* a notification */
}

static void handle_line(struct client *cl, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *error;

	if (request) {
		handle_request(cl, request);
		json_decref(request);
		return;
	}
	error = failure(RPC_PARSE_ERROR, "not a JSON object on one line");
	answer(cl, json_pack("{s:s, s:n, s:o}", "jsonrpc", "2.0", "id", "error", error));
}

/* Handles all complete lines in the buffer and keeps the rest. */
static void handle_lines(struct client *cl)
{
	size_t start = 0;
	const char *end;

	while (cl->fd >= 0 && (end = memchr(cl->line + start, '\n', cl->len - start))) {
		size_t len = (size_t)(end - cl->line) - start;

		if (len)
			handle_line(cl, cl->line + start, len);
		start += len + 1;
	}
	if (cl->fd < 0)
		return;
	memmove(cl->line, cl->line + start, cl->len - start);
	cl->len -= start;
}

/* ---- clients -------------------------------------------------------------------------------- */

static void client_ready(void *opaque, uint32_t events)
{
	struct client *cl = opaque;
	ssize_t n = recv(cl->fd, cl->line + cl->len, sizeof(cl->line) - cl->len, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(cl);
		return;
	}
	cl->len += (size_t)n;
	handle_lines(cl);
	if (cl->len == sizeof(cl->line)) {
		json_t *error = failure(RPC_INVALID_REQUEST, "longer than 65536 bytes");

		answer(cl, json_pack("{s:s, s:n, s:o}", "jsonrpc", "2.0", "id", "error", error));
		if (cl->fd >= 0)
			drop(cl);
	}
}

static struct client *free_client(struct control *c)
{
	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		if (!c->client[i]) {
			c->client[i] = calloc(1, sizeof(struct client));
			if (c->client[i])
				c->client[i]->fd = -1;
		}
		if (c->client[i] && c->client[i]->fd < 0)
			return c->client[i];
	}
	return NULL;
}

static void client_arrived(void *opaque, uint32_t events)
{
	struct control *c = opaque;
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *cl;

	(void)events;
	if (fd < 0)
		return;
	cl = free_client(c);
	if (!cl || loop_watch(c->loop, fd, EPOLLIN, client_ready, cl)) {
		close(fd);
		return;
	}
	cl->control = c;
	cl->fd = fd;
	cl->len = 0;
}

/* ---- the listener --------------------------------------------------------------------------- */

static int fill_address(struct sockaddr_un *a, const char *path, struct err *e)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(a->sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "control socket %s: the path is longer than %zu bytes", path,
			       sizeof(a->sun_path) - 1);
	strcpy(a->sun_path, path);
	return 0;
}

/* True when the socket file is left over: it exists and nobody accepts there. */
static bool is_stale(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int listen_at(struct control *c, const char *path, struct err *e)
{
	struct sockaddr_un a;

	if (fill_address(&a, path, e))
		return e->code;
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener < 0)
		return err_set(e, -errno, "control socket: %s", strerror(errno));
	if (is_stale(&a))
		unlink(path);
	/* The mode of a socket file is that of its descriptor before bind(). */
	fchmod(c->listener, 0600);
	if (bind(c->listener, (struct sockaddr *)&a, sizeof(a)))
		return err_set(e, -errno, "control socket %s: %s", path, strerror(errno));
	c->path = strdup(path);
	if (!c->path || listen(c->listener, CONTROL_MAX_CLIENTS) ||
	    loop_watch(c->loop, c->listener, EPOLLIN, client_arrived, c))
		return err_set(e, -EIO, "control socket %s: cannot listen", path);
	return 0;
}

int control_open(struct control **out, const char *path, struct loop *loop,
		 const struct control_ops *ops, void *opaque, struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, -ENOMEM, "control socket: out of memory");
	c->loop = loop;
	c->ops = ops;
	c->opaque = opaque;
	c->listener = -1;
	if (listen_at(c, path, e)) {
		control_close(c);
		return e->code;
	}
	*out = c;
	return 0;
}

void control_close(struct control *c)
{
	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		if (c->client[i] && c->client[i]->fd >= 0)
			drop(c->client[i]);
		free(c->client[i]);
	}
	if (c->listener >= 0) {
		loop_unwatch(c->loop, c->listener);
		close(c->listener);
	}
	if (c->path)
		unlink(c->path);
	free(c->path);
	free(c);
}
