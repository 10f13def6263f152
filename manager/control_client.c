/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC calls, each over a fresh connection. */
#include "manager/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX 1048576
#define TIMEOUT_S  10
#define ASK_S      1

static int dial(const char *path, unsigned seconds, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = seconds};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: too long for a socket's path", path);
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, -errno, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		int code = -errno;

		close(fd);
		return err_set(e, code, "%s: %s", path, strerror(-code));
	}
	return fd;
}

static int send_request(int fd, const char *method, json_t *params, const struct control_files *f,
			struct err *e)
{
	char *line = json_dumps(params, JSON_COMPACT), *request = NULL;
	int len = -1, rc = 0;

	if (line)
		len = asprintf(&request,
			       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
			       method, line);
	free(line);
	if (len < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (sendfd(fd, request, (size_t)len, f->fd, f->n) != len)
		rc = err_set(e, -EIO, "the VM takes no request: %s", strerror(errno));
	free(request);
	return rc;
}

/* Received bytes; [0, len) of them are there. */
struct inbox {
	int fd;
	size_t len;
	char data[ANSWER_MAX];
};

/* Takes the first line out of the inbox, waiting for it. */
static json_t *receive(struct inbox *in, struct err *e)
{
	const char *end;
	json_t *message;
	size_t used;

	while (!(end = memchr(in->data, '\n', in->len))) {
		ssize_t n = recv(in->fd, in->data + in->len, sizeof(in->data) - in->len, 0);

		if (n < 0)
			err_set(e, -errno,
				errno == EAGAIN ? "the VM does not answer"
						: "the VM's answer cannot be read");
		else if (!n)
			err_set(e, -EPIPE, "the VM ended without an answer");
		if (n <= 0)
			return NULL;
		in->len += (size_t)n;
	}
	used = (size_t)(end - in->data) + 1;
	message = json_loadb(in->data, used, 0, NULL);
	if (!message)
		err_set(e, -EPROTO, "the VM answers what is not JSON");
	in->len -= used;
	memmove(in->data, in->data + used, in->len);
	return message;
}

static void tell_progress(const json_t *message, control_progress_fn *progress, void *opaque)
{
	const json_t *p = json_object_get(message, "params");
	const char *what = json_string_value(json_object_get(p, "what"));

	if (progress && what)
		progress(opaque, what, (uint64_t)json_integer_value(json_object_get(p, "done")),
			 (uint64_t)json_integer_value(json_object_get(p, "total")));
}

static int unpack_error(const json_t *reply, struct err *e)
{
	const json_t *error = json_object_get(reply, "error");
	const char *why = json_string_value(json_object_get(error, "message"));
	json_int_t code =
		json_integer_value(json_object_get(json_object_get(error, "data"), "errno"));

	if (why && code > 0 && code < 4096)
		return err_set(e, (int)-code, "%s", why);
	return err_set(e, -EPROTO, "the VM refuses: %s", why ? why : "(no reason given)");
}

static int await_answer(struct inbox *in, json_t **result, control_progress_fn *progress,
			void *opaque, struct err *e)
{
	json_t *m = receive(in, e), *r;
	int rc = 0;

	while (m && json_object_get(m, "method")) {
		tell_progress(m, progress, opaque);
		json_decref(m);
		m = receive(in, e);
	}
	if (!m)
		return e->code;
	r = json_object_get(m, "result");
	if (!r)
		rc = unpack_error(m, e);
	else if (result)
		*result = json_incref(r);
	json_decref(m);
	return rc;
}

struct call {
	const char *socket_path, *method;
	unsigned seconds; /* of silence, then it is given up */
	control_progress_fn *progress;
	void *opaque;
	const struct control_files *files; /* sent along; NULL: none */
};

/* `params` is taken over. */
static int do_call(const struct call *c, json_t *params, json_t **result, struct err *e)
{
	static const struct control_files none;
	struct inbox *in = malloc(sizeof(*in));
	json_t *given = params ? params : json_object();
	struct err local;
	int rc;

	e = e ? e : &local;
	e->code = 0;
	if (!in || !given)
		rc = err_set(e, -ENOMEM, "out of memory");
	else
		rc = in->fd = dial(c->socket_path, c->seconds, e);
	if (rc >= 0) {
		in->len = 0;
		rc = send_request(in->fd, c->method, given, c->files ? c->files : &none, e);
		if (!rc)
			rc = await_answer(in, result, c->progress, c->opaque, e);
		close(in->fd);
	}
	json_decref(given);
	free(in);
	return rc;
}

int control_call_long(const char *socket_path, const char *method, json_t *params,
		      const struct control_files *files, json_t **result,
		      control_progress_fn *progress, void *opaque, struct err *e)
{
	const struct call c = {socket_path, method, TIMEOUT_S, progress, opaque, files};

	return do_call(&c, params, result, e);
}

int control_call(const char *socket_path, const char *method, json_t *params, json_t **result,
		 struct err *e)
{
	return control_call_long(socket_path, method, params, NULL, result, NULL, NULL, e);
}

int control_call_fd(const char *socket_path, const char *method, json_t *params, int fd,
		    json_t **result, struct err *e)
{
	const struct control_files files = {.fd = {fd}, .n = fd >= 0};

	return control_call_long(socket_path, method, params, &files, result, NULL, NULL, e);
}

int control_ask(const char *socket_path, const char *method, json_t **result, struct err *e)
{
	const struct call c = {socket_path, method, ASK_S, NULL, NULL, NULL};

	return do_call(&c, NULL, result, e);
}

/* ---- files that go along -------------------------------------------------------------------- */

static int add_file(struct control_files *f, const char *path, int flags, struct err *e)
{
	if (f->n == SENDFD_MAX)
		return err_set(e, -E2BIG, "%s: more than %d files", path, SENDFD_MAX);
	f->fd[f->n] = open(path, O_NONBLOCK | O_CLOEXEC | flags);
	if (f->fd[f->n] < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	f->n++;
	return 0;
}

/* What is claimed already may be so by that VM, which knows. */
static int add_claim(struct control_files *f, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	if (stat(path, &st) || !S_ISBLK(st.st_mode))
		return 0;
	rc = add_file(f, path, O_RDONLY | O_EXCL, e);
	return rc == -EBUSY ? 0 : rc;
}

int control_files_add(struct control_files *f, const char *path, bool direct, struct err *e)
{
	int rc = add_file(f, path, O_RDWR, e);

	if (!rc && direct)
		rc = add_file(f, path, O_RDWR | O_DIRECT, e);
	return rc ? rc : add_claim(f, path, e);
}

void control_files_close(struct control_files *f)
{
	while (f->n)
		close(f->fd[--f->n]);
}
