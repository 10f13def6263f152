/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON-RPC call over a fresh connection. */
#include "manager/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX 262144
#define TIMEOUT_S  10

static int dial(const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
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

static int send_request(int fd, const char *method, struct err *e)
{
	char line[128];
	int len = snprintf(line, sizeof(line),
			   "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"%s\"}\n", method);

	if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
		return err_set(e, -EIO, "the VM takes no request: %s", strerror(errno));
	return 0;
}

static int receive_line(int fd, char *buf, size_t cap, size_t *len, struct err *e)
{
	*len = 0;
	while (*len < cap && !memchr(buf, '\n', *len)) {
		ssize_t n = recv(fd, buf + *len, cap - *len, 0);

		if (n < 0 && errno == EAGAIN)
			return err_set(e, -ETIMEDOUT, "the VM does not answer");
		if (n < 0)
			return err_set(e, -errno, "the VM's answer: %s", strerror(errno));
		if (!n)
			return err_set(e, -EPIPE, "the VM ended without an answer");
		*len += (size_t)n;
	}
	return 0;
}

static int unpack(const char *line, size_t len, json_t **result, struct err *e)
{
	json_t *reply = json_loadb(line, len, 0, NULL);
	json_t *r = json_object_get(reply, "result");
	const char *why =
		json_string_value(json_object_get(json_object_get(reply, "error"), "message"));

	int rc = 0;

	if (!r)
		rc = err_set(e, -EPROTO, "the VM refuses: %s", why ? why : "(no reason given)");
	else if (result)
		*result = json_incref(r);
	json_decref(reply);
	return rc;
}

int control_call(const char *socket_path, const char *method, json_t **result, struct err *e)
{
	char *buf;
	size_t len;
	int fd = dial(socket_path, e), rc;

	if (fd < 0)
		return fd;
	buf = malloc(ANSWER_MAX);
	rc = buf ? send_request(fd, method, e) : err_set(e, -ENOMEM, "out of memory");
	if (!rc)
		rc = receive_line(fd, buf, ANSWER_MAX, &len, e);
	if (!rc)
		rc = unpack(buf, len, result, e);
	free(buf);
	close(fd);
	return rc;
}
