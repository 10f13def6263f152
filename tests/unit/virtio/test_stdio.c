/* SPDX-License-Identifier: Apache-2.0 */
/* The console on the process's own input and output: raw mode, its keys, its undoing; pipes and
 * files. */
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/backend/chardev.h"

#define QUIT_CODE 7
#define ROOM      5 /* the device takes little at a time */

/* ---- the child: a device that sends everything back plus one
 * -------------------------------------------- */

static const int ending[] = {SIGTERM, SIGINT, SIGHUP, SIGSEGV, SIGABRT};
static struct loop *loop;
static struct chardev *chr;

static size_t room(void *opaque)
{
	(void)opaque;
	return ROOM;
}

static void input(void *opaque, const uint8_t *data, size_t len)
{
	uint8_t out[ROOM];

	(void)opaque;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(data[i] + 1);
	chr->ops->write(chr, out, len);
	chr->ops->poll_input(chr);
}

static void quit(void *opaque)
{
	loop_stop(opaque, QUIT_CODE);
}

static void quit_timer(void *opaque)
{
	loop_stop(opaque, 0);
}

/* Ends by itself after `ms`, 0: never. */
static void child(int in, int out, unsigned ms)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct loop_timer t = {.fn = quit_timer};
	struct err e;
	int rc;

	dup2(in, 0);
	dup2(out, 1);
	alarm(20);
	for (unsigned i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		signal(ending[i],
		       SIG_DFL); /* nohup ignores some, the test library catches others */
	if (loop_create(&loop, &lock, &e) || chardev_open("stdio", loop, quit, loop, &chr, &e))
		_exit(99);
	chr->client = (struct chardev_client){room, input, NULL};
	t.opaque = loop;
	if (ms)
		loop_timer_set(loop, &t, loop_now() + ms * 1000000ull);
	rc = loop_run(loop);
	chr->ops->destroy(chr);
	exit(rc);
}

/* ---- the parent: a person at a terminal
 * ------------------------------------------------------------------ */

static int master, slave;
static struct termios before;
static pid_t pid;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	pid = fork();
	if (!pid) {
		setsid();
		child(slave, slave, 0);
	}
	for (unsigned i = 0; i < 5000; i++) {
		struct termios t;

		tcgetattr(slave, &t);
		if (!(t.c_lflag & (ECHO | ICANON | ISIG)))
			return 0;
		usleep(1000);
	}
	return -1;
}

static int teardown(void **state)
{
	(void)state;
	kill(pid, SIGKILL);
	close(master);
	close(slave);
	return 0;
}

static void type(const char *keys, size_t len)
{
	assert_int_equal(write(master, keys, len), len);
}

static void expect(const char *text, size_t len)
{
	char buf[256];
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(master, buf + got, len - got);

		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(buf, text, len);
}

static int ended(void)
{
	struct termios after;
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_int_equal(after.c_lflag, before.c_lflag);
	assert_int_equal(after.c_iflag, before.c_iflag);
	assert_int_equal(after.c_oflag, before.c_oflag);
	return status;
}

static void keys(void **state)
{
	int status;

	(void)state;
	type("abcdefghijkl", 12);
	expect("bcdefghijklm", 12);
	type("\x03\x1a", 2); /* Ctrl-C and Ctrl-Z are the guest's */
	expect("\x04\x1b", 2);
	type("\x01\x01", 2);
	expect("\x02", 1);
	type("a\x01z", 3); /* no such key: swallowed */
	expect("b", 1);
	type("\x01h", 2);
	expect("\r\nCtrl-A X", 10);
	type("\x01", 1);
	usleep(10000);
	type("x", 1);
	status = ended();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), QUIT_CODE);
}

static void signals(void **state)
{
	for (unsigned i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		int status;

		if (i)
			assert_int_equal(setup(state), 0);
		kill(pid, ending[i]);
		status = ended();
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), ending[i]);
		if (i + 1 < sizeof(ending) / sizeof(ending[0]))
			teardown(state);
	}
}

/* ---- without a terminal
 * ---------------------------------------------------------------------------------- */

static void run_with(int in, const char *want)
{
	char buf[64] = "";
	int out[2], status;
	size_t got = 0;
	ssize_t n;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (!pid)
		child(in, out[1], 200);
	close(out[1]);
	close(in);
	while ((n = read(out[0], buf + got, sizeof(buf) - 1 - got)) > 0)
		got += (size_t)n;
	close(out[0]);
	assert_string_equal(buf, want);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0); /* the end of the input does not end the machine */
}

static void pipe_input(void **state)
{
	int in[2];

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(write(in[1], "@@@\x01x@@@@@@", 11), 11); /* Ctrl-A is data here */
	close(in[1]);
	run_with(in[0], "AAA\x02yAAAAAA");
}

static void file_input(void **state)
{
	char name[] = "/tmp/baton-test-in-XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	assert_int_equal(write(fd, "HAL", 3), 3);
	lseek(fd, 0, SEEK_SET);
	unlink(name);
	run_with(fd, "IBM");
}

static void no_input(void **state)
{
	(void)state;
	run_with(open("/dev/null", O_RDONLY), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keys, setup, teardown),
		cmocka_unit_test_setup_teardown(signals, setup, teardown),
		cmocka_unit_test(pipe_input),
		cmocka_unit_test(file_input),
		cmocka_unit_test(no_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
