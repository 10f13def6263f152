/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's own input and output as a guest's console. On a terminal: raw mode, and Ctrl-A as
 * the key that speaks to Baton instead of the guest.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/backend/charkinds.h"
#include "vmm/backend/outring.h"
#include "vmm/backend/terminal.h"

#define CTRL_A   0x01
#define READ_MAX 256

struct stdio {
	struct chardev chr;
	struct loop *loop;
	loop_fn *quit;
	void *quit_opaque;
	bool tty, escaped; /* escaped: the last key was Ctrl-A */
	bool pull;         /* input that cannot be watched: a file, /dev/null */
	bool watching, ended;
	bool out_watched;
	struct loop_timer start;
	struct outring ring;
};

/* ---- output
 * ------------------------------------------------------------------------------------------ */

static void out_ready(void *opaque, uint32_t events);

static void watch_out(struct stdio *s)
{
	bool want = s->ring.len != 0;

	if (want == s->out_watched)
		return;
	if (want)
		want = !loop_watch(s->loop, STDOUT_FILENO, EPOLLOUT, out_ready, s);
	else
		loop_unwatch(s->loop, STDOUT_FILENO);
	s->out_watched = want;
}

static void out_ready(void *opaque, uint32_t events)
{
	struct stdio *s = opaque;

	(void)events;
	if (outring_flush(&s->ring, STDOUT_FILENO))
		s->ring.len = 0; /* nobody will ever read it */
	watch_out(s);
}

static void stdio_write(struct chardev *c, const void *data, size_t len)
{
	struct stdio *s = (struct stdio *)c;

	if (outring_write(&s->ring, STDOUT_FILENO, data, len))
		s->ring.len = 0;
	watch_out(s);
}

/* ---- input
 * ------------------------------------------------------------------------------------------- */

static void command(struct stdio *s, uint8_t key)
{
	static const char help[] = "\nCtrl-A X       end the virtual machine\n"
				   "Ctrl-A Ctrl-A  send Ctrl-A to the guest\n"
				   "Ctrl-A H       this text\n";

	if ((key == 'x' || key == 'X') && s->quit)
		s->quit(s->quit_opaque);
	else if (key == 'h' || key == 'H')
		stdio_write(&s->chr, help, sizeof(help) - 1);
}

/* Takes the keys meant for Baton out of `data`; returns what is left. */
static size_t filter(struct stdio *s, uint8_t *data, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t key = data[i];

		if (!s->escaped && key == CTRL_A) {
			s->escaped = true;
			continue;
		}
		if (!s->escaped || key == CTRL_A)
			data[kept++] = key;
		else
			command(s, key);
		s->escaped = false;
	}
	return kept;
}

static void in_ready(void *opaque, uint32_t events);

static void watch_in(struct stdio *s, bool want)
{
	want = want && !s->ended && !s->pull;
	if (want == s->watching)
		return;
	if (!want)
		loop_unwatch(s->loop, STDIN_FILENO);
	else if (loop_watch(s->loop, STDIN_FILENO, EPOLLIN, in_ready, s))
		s->pull = true;
	s->watching = want && !s->pull;
}

/* False when there is nothing to read, or no room for it. */
static bool read_once(struct stdio *s)
{
	uint8_t buf[READ_MAX];
	size_t room = chardev_room(&s->chr, sizeof(buf));
	ssize_t n;

	if (!room || s->ended) {
		watch_in(s, false); /* until poll_input() */
		return false;
	}
	n = read(STDIN_FILENO, buf, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		s->ended = true;
		watch_in(s, false);
		return false;
	}
	chardev_input(&s->chr, buf, s->tty ? filter(s, buf, (size_t)n) : (size_t)n);
	return true;
}

static void in_ready(void *opaque, uint32_t events)
{
	(void)events;
	read_once(opaque);
}

static void stdio_poll_input(struct chardev *c)
{
	struct stdio *s = (struct stdio *)c;

	watch_in(s, true);
	if (s->pull)
		read_once(s);
}

/* The device joins after the open; by the first turn of the loop it is there. */
static void start(void *opaque)
{
	stdio_poll_input(opaque);
}

static void stdio_destroy(struct chardev *c)
{
	struct stdio *s = (struct stdio *)c;

	loop_timer_cancel(s->loop, &s->start);
	watch_in(s, false);
	outring_drain(&s->ring, STDOUT_FILENO, 1000);
	s->ring.len = 0;
	watch_out(s);
	if (s->tty)
		terminal_restore();
	free(s);
}

static const struct chardev_ops stdio_ops = {stdio_write, stdio_poll_input, stdio_destroy};

int chardev_open_stdio(const struct chardev_request *q, struct chardev **out, struct err *e)
{
	struct stdio *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->chr.ops = &stdio_ops;
	s->loop = q->loop;
	s->quit = q->quit;
	s->quit_opaque = q->quit_opaque;
	s->tty = isatty(STDIN_FILENO);
	rc = s->tty ? terminal_raw(STDIN_FILENO, e) : 0;
	if (rc) {
		free(s);
		return rc;
	}
	s->start = (struct loop_timer){.fn = start, .opaque = s};
	loop_timer_set(s->loop, &s->start, loop_now());
	*out = &s->chr;
	return 0;
}
