/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket, with a machine that only counts, its loop on a thread of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/sendfd.h"
#include "vmm/control/control.h"

struct bench {
	char folder[32], path[64];
	pthread_mutex_t lock;
	pthread_t thread;
	struct loop *loop;
	struct control *control;
	struct control_call *call;
	int paused, quits;
};

static int status(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		  struct err *e)
{
	(void)opaque, (void)params, (void)call, (void)e;
	*result = json_pack("{s:s}", "state", "running");
	return 0;
}

static int count_pause(void *opaque, const json_t *params, struct control_call *call,
		       json_t **result, struct err *e)
{
	(void)params, (void)call, (void)result, (void)e;
	((struct bench *)opaque)->paused++;
	return 0;
}

static int count_quit(void *opaque, const json_t *params, struct control_call *call,
		      json_t **result, struct err *e)
{
	(void)params, (void)call, (void)result, (void)e;
	((struct bench *)opaque)->quits++;
	return 0;
}

static int echo(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e)
{
	(void)opaque, (void)call, (void)e;
	*result = json_deep_copy(params);
	return 0;
}

static int refuse(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		  struct err *e)
{
	(void)opaque, (void)params, (void)call, (void)result;
	return err_set(e, -EEXIST, "nam\xc3: exists already");
}

/* Keeps the call; `finish` answers it. */
static int later(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		 struct err *e)
{
	(void)params, (void)result, (void)e;
	control_progress(call, "memory", 5, 9);
	((struct bench *)opaque)->call = call;
	return CONTROL_LATER;
}

static int finish(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		  struct err *e)
{
	struct bench *b = opaque;

	(void)params, (void)call, (void)result, (void)e;
	control_finish(b->call, json_pack("{s:i}", "late", 1), NULL);
	b->call = NULL;
	return 0;
}

/* What the descriptor that came along says. */
static int read_given(void *opaque, const json_t *params, struct control_call *call,
		      json_t **result, struct err *e)
{
	int fd = control_take_fd(call);
	char text[16] = "";

	(void)opaque, (void)params;
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		return err_set(e, -errno, "read");
	*result = json_string(fd >= 0 ? text : "nothing");
	close(fd);
	return control_take_fd(call) < 0 ? 0 : err_set(e, -EIO, "it is there twice");
}

static const struct control_method state_methods[] = {
	{"status", status, {{0}}},
	{"pause", count_pause, {{0}}},
	{"quit", count_quit, {{0}}},
	{NULL, NULL, {{0}}},
};

static const struct control_method other_methods[] = {
	{"echo",
	 echo,
	 {{"path", CONTROL_STRING, true},
	  {"size", CONTROL_UINT, false},
	  {"force", CONTROL_BOOL, false},
	  {"list", CONTROL_ARRAY, false},
	  {"table", CONTROL_OBJECT, false}}},
	{"fail", refuse, {{0}}},
	{"read", read_given, {{0}}},
	{"later", later, {{0}}},
	{"finish", finish, {{0}}},
	{NULL, NULL, {{0}}},
};

static const struct control_method *const tables[] = {state_methods, other_methods, NULL};

static void *run(void *opaque)
{
	loop_run(((struct bench *)opaque)->loop);
	return NULL;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err e;

	strcpy(b->folder, "/tmp/baton-control-XXXXXX");
	if (!mkdtemp(b->folder))
		return -1;
	snprintf(b->path, sizeof(b->path), "%s/sock", b->folder);
	pthread_mutex_init(&b->lock, NULL);
	*state = b;
	return loop_create(&b->loop, &b->lock, &e) ||
	       control_open(&b->control, b->path, b->loop, tables, b, &e) ||
	       pthread_create(&b->thread, NULL, run, b);
}

static int teardown(void **state)
{
	struct bench *b = *state;
	struct stat st;

	loop_stop(b->loop, 0);
	pthread_join(b->thread, NULL);
	control_close(b->control);
	loop_destroy(b->loop);
	assert_int_equal(stat(b->path, &st), -1); /* it goes with the VM */
	rmdir(b->folder);
	free(b);
	return 0;
}

static int dial(const struct bench *b)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, b->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Sends the text and reads one line of answer. */
static void talk(int fd, const char *text, char *line, size_t size)
{
	size_t n = 0;

	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	while (n + 1 < size && recv(fd, line + n, 1, 0) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
}

static void expect(int fd, const char *request, const char *words)
{
	char line[1024];

	talk(fd, request, line, sizeof(line));
	if (!strstr(line, words))
		fail_msg("\"%s\" lacks \"%s\"", line, words);
}

#define CALL(method) "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\"}\n"

static void methods_answer(void **state)
{
	struct bench *b = *state;
	int fd = dial(b);

	expect(fd, CALL("status"), "\"state\":\"running\"");
	expect(fd, CALL("status"), "\"id\":7");
	expect(fd, CALL("pause"), "\"result\":{}");
	expect(fd, CALL("quit"), "\"result\":{}");
	expect(fd, CALL("fail"),
	       "{\"code\":-32000,\"message\":\"nam?: exists already\","
	       "\"data\":{\"errno\":17}}");
	assert_int_equal(b->paused, 1);
	assert_int_equal(b->quits, 1);
	close(fd);
}

/* Open descriptors of this process. */
static unsigned count_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_with(const struct bench *b, int sock, const char *text)
{
	int fd = open(b->folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	assert_int_equal(pwrite(fd, "secret", 6, 0), 6);
	assert_int_equal(sendfd(sock, text, strlen(text), &fd, 1), strlen(text));
	close(fd);
}

/* One more than a call can have. */
static void send_with_too_many(int sock, const char *text)
{
	enum {
		MANY = SENDFD_MAX + 1
	};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MANY * sizeof(int))];
	} a = {.header = {CMSG_LEN(MANY * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	const struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &a, .msg_controllen = sizeof(a)};
	int fds[MANY];

	for (int i = 0; i < MANY; i++)
		fds[i] = sock;
	memcpy(CMSG_DATA(&a.header), fds, sizeof(fds));
	assert_int_equal(sendmsg(sock, &m, 0), strlen(text));
}

/* It is the next call's and no other's, and none is kept. */
static void a_descriptor_goes_along(void **state)
{
	struct bench *b = *state;
	int fd = dial(b);
	unsigned before;

	expect(fd, CALL("status"), "running");
	before = count_open();
	expect(fd, CALL("read"), "\"result\":\"nothing\"");
	send_with(b, fd, CALL("read"));
	expect(fd, "", "\"result\":\"secret\"");
	expect(fd, CALL("read"), "\"result\":\"nothing\"");
	send_with(b, fd, CALL("status"));
	expect(fd, "", "running");
	send_with(b, fd, "rubbish\n");
	expect(fd, "", "-32700");
	expect(fd, CALL("read"), "\"result\":\"nothing\"");
	send_with_too_many(fd, CALL("status"));
	expect(fd, "", "running");
	expect(fd, CALL("status"), "running");
	assert_int_equal(count_open(), before);
	close(fd);
}

/* It comes with the first bytes; the server reads the line in several pieces. */
static void a_descriptor_waits_for_the_end_of_a_line(void **state)
{
	static const char call[] = CALL("read");
	struct bench *b = *state;
	char spaces[CONTROL_MAX_MESSAGE / 2];
	int fd = dial(b);
	unsigned before;

	memset(spaces, ' ', sizeof(spaces));
	expect(fd, CALL("status"), "running");
	before = count_open();
	send_with(b, fd, "{");
	assert_int_equal(send(fd, spaces, sizeof(spaces), 0), sizeof(spaces));
	assert_int_equal(send(fd, call + 1, strlen(call + 1), 0), strlen(call + 1));
	expect(fd, "", "\"result\":\"secret\"");
	for (int i = 0; i < 2 * SENDFD_MAX; i++) /* more than a call can have */
		send_with(b, fd, " ");
	expect(fd, CALL("status"), "running");
	expect(fd, CALL("read"), "\"result\":\"nothing\"");
	assert_int_equal(count_open(), before);
	close(fd);
}

static void rubbish_gets_error_objects(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"hello\n", "-32700"},
		{"{\"jsonrpc\":\"2.0\"\n", "-32700"},
		{"[]\n", "-32600"},
		{"7\n", "-32700"},
		{"{}\n", "-32600"},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"status\"}\n", "-32600"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}\n", "-32600"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"explode\"}\n", "-32601"},
		{"{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"status\"}\n", "\"id\":null"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"quit\",\"params\":{\"a\":1}}\n",
		 "-32602"},
	};
	struct bench *b = *state;
	int fd = dial(b);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(fd, rows[i].text, rows[i].words);
	assert_int_equal(b->quits, 0);
	expect(fd, CALL("status"), "running"); /* and it still listens */
	close(fd);
}

#define ECHO(params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":" params "}\n"

static void parameters_are_named_and_checked(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ECHO("{\"path\":\"x\"}"), "\"result\":{\"path\":\"x\"}"},
		{ECHO("{\"path\":\"x\",\"force\":false,\"list\":[],\"table\":{}}"),
		 "\"force\":false"},
		{ECHO("{}"), "path: echo needs this parameter"},
		{ECHO("[\"x\"]"), "params: give an object"},
		{ECHO("{\"path\":1}"), "path: give a string"},
		{ECHO("{\"path\":\"x\",\"size\":-1}"), "size: give a number"},
		{ECHO("{\"path\":\"x\",\"size\":1.5}"), "size: give an integer"},
		{ECHO("{\"path\":\"x\",\"force\":1}"), "force: give true or false"},
		{ECHO("{\"path\":\"x\",\"list\":{}}"), "list: give an array"},
		{ECHO("{\"path\":\"x\",\"table\":[]}"), "table: give an object"},
		{ECHO("{\"path\":\"x\",\"pth\":2}"),
		 "pth: echo knows no such parameter; it takes path, size, force, list, table"},
	};
	int fd = dial(*state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(fd, rows[i].text, rows[i].words);
	close(fd);
}

/* An error's text has an end, which may be inside a character. */
static void names_longer_than_an_error(void **state)
{
	int fd = dial(*state);

	for (unsigned odd = 0; odd < 2; odd++) {
		char name[1001] = "", line[1200];

		for (size_t at = odd; at + 2 < sizeof(name); at += 2)
			memcpy(name + at, "\xc3\xa9", 2);
		if (odd)
			name[0] = 'x';
		snprintf(line, sizeof(line), ECHO("{\"%s\":1}"), name);
		expect(fd, line, "-32602");
	}
	close(fd);
}

static void an_answer_may_come_later(void **state)
{
	int fd = dial(*state), other = dial(*state);

	expect(fd, CALL("later"), "{\"id\":7,\"what\":\"memory\",\"done\":5,\"total\":9}");
	expect(fd, CALL("status"), "running");
	expect(other, CALL("finish"), "\"result\":{}");
	expect(fd, "", "\"result\":{\"late\":1}");
	expect(fd, CALL("later"), "progress");
	close(fd); /* nobody waits for this one */
	expect(other, CALL("status"), "running");
	expect(other, CALL("finish"), "\"result\":{}");
	expect(other, CALL("status"), "running");
	close(other);
}

static void lines_may_come_in_any_pieces(void **state)
{
	int fd = dial(*state);
	const char *text = CALL("status");
	char line[1024];

	for (size_t i = 0; i + 1 < strlen(text); i++)
		assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
	expect(fd, "\n", "running");
	talk(fd, CALL("status") CALL("fail"), line, sizeof(line));
	assert_non_null(strstr(line, "running"));
	expect(fd, "\n", "exists");
	close(fd);
}

static void a_notification_gets_no_answer(void **state)
{
	struct bench *b = *state;
	int fd = dial(b);

	expect(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"pause\"}\n" CALL("status"), "running");
	assert_int_equal(b->paused, 1);
	close(fd);
}

static void an_endless_line_is_cut_off(void **state)
{
	int fd = dial(*state);
	char block[4096], line[256];
	size_t n = 0;

	memset(block, 'x', sizeof(block));
	while (n < 2 * CONTROL_MAX_MESSAGE) {
		ssize_t sent = send(fd, block, sizeof(block), MSG_NOSIGNAL);

		if (sent < 0)
			break;
		n += (size_t)sent;
	}
	if (recv(fd, line, sizeof(line), 0) > 0)
		assert_non_null(strstr(line, "-32600"));
	close(fd);
	fd = dial(*state);
	expect(fd, CALL("status"), "running");
	close(fd);
}

static void many_clients_at_once(void **state)
{
	int fd[CONTROL_MAX_CLIENTS];

	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		fd[i] = dial(*state);
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		expect(fd[i], CALL("status"), "running");
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		close(fd[i]);
}

/* A reader that never reads is dropped; the others are served. */
static void a_client_that_does_not_read_is_dropped(void **state)
{
	int deaf = dial(*state), fd = dial(*state);

	for (int i = 0; i < 20000; i++)
		if (send(deaf, CALL("status"), strlen(CALL("status")), MSG_NOSIGNAL) < 0)
			break;
	expect(fd, CALL("status"), "running");
	close(deaf);
	close(fd);
}

static void a_stale_socket_is_replaced_a_live_one_is_not(void **state)
{
	struct bench *b = *state;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct control *second;
	struct stat st;
	struct err e;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(control_open(&second, b->path, b->loop, tables, b, &e) < 0);
	assert_non_null(strstr(e.text, b->path));
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/old", b->folder);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd); /* leaves the file */
	assert_int_equal(control_open(&second, a.sun_path, b->loop, tables, b, &e), 0);
	control_close(second);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	struct bench *b = *state;
	struct control *second;
	char path[300];
	struct err e;

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(control_open(&second, path, b->loop, tables, b, &e), -ENAMETOOLONG);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(methods_answer),
		T(a_descriptor_goes_along),
		T(a_descriptor_waits_for_the_end_of_a_line),
		T(rubbish_gets_error_objects),
		T(parameters_are_named_and_checked),
		T(names_longer_than_an_error),
		T(an_answer_may_come_later),
		T(lines_may_come_in_any_pieces),
		T(a_notification_gets_no_answer),
		T(an_endless_line_is_cut_off),
		T(many_clients_at_once),
		T(a_client_that_does_not_read_is_dropped),
		T(a_stale_socket_is_replaced_a_live_one_is_not),
		T(a_path_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
