/* SPDX-License-Identifier: Apache-2.0 */
/* Raw mode of the controlling terminal, and its undoing on every way out. */
#include "vmm/backend/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

static struct {
	struct termios before;
	int fd;
	volatile sig_atomic_t raw;
} terminal;

void terminal_restore(void)
{
	if (!terminal.raw)
		return;
	terminal.raw = 0;
	tcsetattr(terminal.fd, TCSANOW, &terminal.before);
}

static void on_signal(int sig)
{
	terminal_restore();
	raise(sig); /* the default action, which SA_RESETHAND brought back */
}

/* An engine that uses SIGSEGV itself keeps its handler. */
static void catch_signals(void)
{
	static const int signals[] = {SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGABRT,
				      SIGSEGV, SIGBUS, SIGILL,  SIGFPE};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_ONSTACK};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old;

		if (!sigaction(signals[i], NULL, &old) && !(old.sa_flags & SA_SIGINFO) &&
		    old.sa_handler == SIG_DFL)
			sigaction(signals[i], &sa, NULL);
	}
}

int terminal_raw(int fd, struct err *e)
{
	struct termios t;

	if (terminal.raw)
		return err_set(e, -EBUSY, "the terminal is in use already");
	if (tcgetattr(fd, &terminal.before))
		return err_set(e, -errno, "terminal: %s", strerror(errno));
	t = terminal.before;
	cfmakeraw(&t);
	t.c_oflag |= OPOST; /* our own messages end in bare newlines */
	terminal.fd = fd;
	terminal.raw = 1;
	atexit(terminal_restore);
	catch_signals();
	if (tcsetattr(fd, TCSANOW, &t)) {
		terminal.raw = 0;
		return err_set(e, -errno, "terminal: %s", strerror(errno));
	}
	return 0;
}
