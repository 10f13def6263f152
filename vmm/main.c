/* SPDX-License-Identifier: Apache-2.0 */
/* baton-vmm: runs the one virtual machine that a JSON description tells of, until it ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/control.h"
#include "vmm/machine.h"

#define SPEC_MAX_BYTES (1u << 20)

static int read_spec(const char *path, char **out, size_t *len, struct err *e)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	char *buf = malloc(SPEC_MAX_BYTES);
	size_t n = 0;
	ssize_t r = 1;

	if (fd < 0 || !buf) {
		int code = fd < 0 ? -errno : -ENOMEM;

		free(buf);
		return err_set(e, code, "%s: %s", path, strerror(-code));
	}
	while (n < SPEC_MAX_BYTES && (r = read(fd, buf + n, SPEC_MAX_BYTES - n)) > 0)
		n += (size_t)r;
	if (fd != STDIN_FILENO)
		close(fd);
	*out = buf;
	*len = n;
	if (r < 0)
		return err_set(e, -EIO, "%s: cannot be read", path);
	if (n == SPEC_MAX_BYTES)
		return err_set(e, -EFBIG, "%s: larger than 1 MiB; is it a machine description?", path);
	return 0;
}

static int load_spec(const char *path, struct spec *s, struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	int rc = read_spec(path, &text, &len, e);

	if (!rc)
		rc = spec_parse(s, text, len, e);
	if (!rc)
		rc = spec_check(s, e);
	free(text);
	return rc;
}

/* SIGTERM, SIGINT and SIGHUP end the machine in order, so that the terminal is restored. */
struct signals {
	int fd;
	struct machine *machine;
};

static void signal_arrived(void *opaque, uint32_t events)
{
	struct signals *s = opaque;
	struct signalfd_siginfo info;

	(void)events;
	if (read(s->fd, &info, sizeof(info)) == sizeof(info))
		machine_end(s->machine, 128 + (int)info.ssi_signo);
}

static int watch_signals(struct signals *s, struct machine *m, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->machine = m;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0 || loop_watch(m->loop, s->fd, EPOLLIN, signal_arrived, s))
		return err_set(e, -errno, "signals: %s", strerror(errno));
	return 0;
}

static int run(const struct spec *s, struct err *e)
{
	struct control *control = NULL;
	struct signals signals;
	struct machine *m;
	int status;

	if (machine_create(&m, s, e))
		return e->code;
	log_info("%s", m->engine_why);
	status = watch_signals(&signals, m, e);
	if (!status && s->control)
		status = control_open(&control, s->control, m->loop, &machine_control, m, e);
	if (!status)
		status = machine_run(m);
	if (control)
		control_close(control);
	machine_destroy(m);
	return status;
}

static const char usage[] =
	"Usage: baton-vmm SPEC\n"
	"Runs the virtual machine that the JSON file SPEC describes (\"-\": standard input).\n"
	"People use `baton run`, which writes the description; see baton-run(1).\n";

int main(int argc, char **argv)
{
	struct spec s;
	struct err e = { 0 };
	int status;

	if (argc != 2 || !strcmp(argv[1], "--help")) {
		fputs(usage, argc == 2 ? stdout : stderr);
		return argc == 2 ? 0 : MACHINE_STATUS_ERROR;
	}
	prctl(PR_SET_NAME, "baton-vmm");
	spec_init(&s);
	status = load_spec(argv[1], &s, &e);
	if (!status)
		status = run(&s, &e);
	if (status < 0) {
		fprintf(stderr, "baton: %s\n", e.text);
		status = MACHINE_STATUS_ERROR;
	}
	spec_free(&s);
	return status;
}
