/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/tty.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>

#include "kernel/mm/user.h"
#include "kernel/sys/dev.h"
#include "kernel/sys/ring.h"
#include "kernel/sys/signal.h"
#include "kernel/sys/vfs.h"

#define LINE_MAX 1024

static struct tty {
	struct spinlock lock;
	struct termios t;
	struct ring in;      /* what programs can read */
	char line[LINE_MAX]; /* canonical: being edited */
	unsigned line_len;
	unsigned eofs;    /* ends of file among the bytes of `in`: an empty read each */
	int pgid;         /* the foreground group */
	uint16_t size[4]; /* rows, columns, pixels */
	uint16_t most[2]; /* of them: the screen's, which shows the same */
	struct waitq queue;
} tty = {
	.t = {.c_iflag = ICRNL | IXON,
	      .c_oflag = OPOST | ONLCR,
	      .c_cflag = 0xbf,
	      .c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOCTL,
	      .c_cc = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22}},
	.size = {25, 80, 0, 0},
	.most = {UINT16_MAX, UINT16_MAX},
};

static void echo(const char *s, size_t n)
{
	if (tty.t.c_lflag & ECHO)
		console_write(s, n);
}

static void echo_char(char c)
{
	char ctl[2] = {'^', (char)(c ^ 0x40)};

	if (c == '\n')
		echo("\r\n", 2);
	else if ((uint8_t)c < 32 && c != '\t' && tty.t.c_lflag & ECHOCTL)
		echo(ctl, 2);
	else
		echo(&c, 1);
}

static void commit_line(void)
{
	ring_put(&tty.in, tty.line, tty.line_len);
	tty.line_len = 0;
}

static void erase_char(void)
{
	if (!tty.line_len)
		return;
	tty.line_len--;
	echo("\b \b", 3);
}

/* True if it was a key with a signal. */
static bool signal_key(char c)
{
	static const struct {
		unsigned cc;
		int signo;
	} keys[] = {{VINTR, SIGINT}, {VQUIT, SIGQUIT}, {VSUSP, SIGTSTP}};

	for (unsigned i = 0; tty.t.c_lflag & ISIG && i < ARRAY_SIZE(keys); i++) {
		if ((uint8_t)c == tty.t.c_cc[keys[i].cc] && c) {
			echo_char(c);
			tty.line_len = 0;
			if (tty.pgid)
				signal_group(tty.pgid, keys[i].signo);
			return true;
		}
	}
	return false;
}

static void canonical(char c)
{
	if ((uint8_t)c == tty.t.c_cc[VERASE] || c == '\b') {
		erase_char();
	} else if ((uint8_t)c == tty.t.c_cc[VKILL]) {
		while (tty.line_len)
			erase_char();
	} else if ((uint8_t)c == tty.t.c_cc[VEOF]) {
		if (!tty.line_len)
			tty.eofs++;
		commit_line();
	} else {
		if (tty.line_len < LINE_MAX)
			tty.line[tty.line_len++] = c;
		echo_char(c);
		if (c == '\n')
			commit_line();
	}
}

static void input_char(char c)
{
	if (c == '\r' && tty.t.c_iflag & ICRNL)
		c = '\n';
	if (signal_key(c))
		return;
	if (tty.t.c_lflag & ICANON) {
		canonical(c);
	} else {
		ring_put(&tty.in, &c, 1);
		echo_char(c);
	}
}

void tty_input(const char *data, size_t n)
{
	LOCKED(&tty.lock) {
		while (n--)
			input_char(*data++);
	}
	waitq_wake(&tty.queue, ~0u);
}

void tty_set_size(unsigned rows, unsigned columns)
{
	tty.size[0] = tty.most[0] = (uint16_t)rows;
	tty.size[1] = tty.most[1] = (uint16_t)columns;
}

/* What a program found out of the terminal at the serial port. */
static int resize(uint64_t from)
{
	uint16_t size[4];

	if (copy_from_user(size, from, sizeof(size)))
		return -EFAULT;
	size[0] = MIN(size[0], tty.most[0]);
	size[1] = MIN(size[1], tty.most[1]);
	if (!memcmp(size, tty.size, sizeof(size)))
		return 0;
	memcpy(tty.size, size, sizeof(size));
	if (tty.pgid)
		signal_group(tty.pgid, SIGWINCH);
	return 0;
}

/* ---- the file -------------------------------------------------------------------------------- */

static unsigned tty_poll(struct file *f)
{
	return (ring_used(&tty.in) || tty.eofs ? POLLIN : 0) | POLLOUT;
}

/* Canonical reads end with the line. */
static uint64_t readable(uint64_t n)
{
	uint32_t used = ring_used(&tty.in);

	for (uint32_t i = 0; tty.t.c_lflag & ICANON && i < used && i < n; i++) {
		if (tty.in.data[(tty.in.tail + i) & (tty.in.size - 1)] == '\n')
			return i + 1;
	}
	return n;
}

static int64_t read_some(void *data, uint64_t buf, uint64_t n)
{
	SPIN_GUARD(&tty.lock);
	int64_t rc = ring_to_user(&tty.in, buf, readable(n));

	if (rc || !n)
		return rc;
	if (!tty.eofs)
		return tty.t.c_lflag & ICANON || tty.t.c_cc[VMIN] ? -EAGAIN : 0;
	tty.eofs--;
	return 0;
}

static void output(const char *s, size_t n)
{
	size_t start = 0;

	if ((tty.t.c_oflag & (OPOST | ONLCR)) != (OPOST | ONLCR)) {
		console_write(s, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (s[i] != '\n')
			continue;
		console_write(s + start, i - start);
		console_write("\r\n", 2);
		start = i + 1;
	}
	console_write(s + start, n - start);
}

static int64_t tty_write(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	char text[256];
	uint64_t done = 0;

	while (done < n) {
		size_t part = MIN(sizeof(text), n - done);

		schedule_if_due();
		if (copy_from_user(text, buf + done, part))
			return done ? (int64_t)done : -EFAULT;
		output(text, part);
		done += part;
	}
	return (int64_t)done;
}

static int set_termios(unsigned cmd, uint64_t from)
{
	struct termios t;

	if (copy_from_user(&t, from, sizeof(t)))
		return -EFAULT;
	SPIN_GUARD(&tty.lock);
	if (cmd == TCSETSF)
		tty.in.tail = tty.in.head;
	if (tty.t.c_lflag & ICANON && !(t.c_lflag & ICANON))
		commit_line();
	tty.t = t;
	return 0;
}

static int64_t tty_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	bool for_all = cmd == TIOCSCTTY || cmd == TIOCSPGRP || cmd == TIOCSWINSZ;
	int v;

	if (for_all && current_process()->domain)
		return -EPERM; /* signals from the keyboard would reach others */
	switch (cmd) {
	case TCGETS:
		return copy_to_user(arg, &tty.t, sizeof(tty.t));
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return set_termios(cmd, arg);
	case TIOCSCTTY:
		tty.pgid = current_process()->pgid;
		return 0;
	case TIOCGPGRP:
	case TIOCGSID:
		v = cmd == TIOCGPGRP ? (tty.pgid ? tty.pgid : current_process()->pgid)
				     : current_process()->sid;
		return copy_to_user(arg, &v, 4);
	case TIOCSPGRP:
		return copy_from_user(&tty.pgid, arg, 4);
	case TIOCGWINSZ:
		return copy_to_user(arg, tty.size, sizeof(tty.size));
	case TIOCSWINSZ:
		return resize(arg);
	}
	return -ENOTTY;
}

static const struct file_ops tty_ops = {
	.name = "tty",
	.take = read_some,
	.write = tty_write,
	.poll = tty_poll,
	.waitq = offsetof(struct tty, queue),
	.ring = offsetof(struct tty, in),
	.ioctl = tty_ioctl,
};

static struct file *tty_open(struct node *n, unsigned flags, int *rc)
{
	struct process *p = current_process();

	*rc = -ENOMEM;
	if (p && !tty.pgid)
		tty.pgid = p->pgid;
	return file_new(&tty_ops, flags, &tty);
}

void tty_init(void)
{
	static const struct node_ops ops = {.open = tty_open};

	if (ring_init(&tty.in, 4096))
		panic("no memory for the terminal");
	vfs_device("dev/console", S_IFCHR | 0600, 0x501, &ops, NULL);
	vfs_device("dev/tty", S_IFCHR | 0666, 0x500, &ops, NULL);
	vfs_device("dev/ttyS0", S_IFCHR | 0600, 0x440, &ops, NULL);
}
