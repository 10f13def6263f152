/* SPDX-License-Identifier: Apache-2.0 */
/* baton-vmm: runs the one virtual machine that a JSON description tells of, until it ends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/control/control.h"
#include "vmm/machine.h"
#include "vmm/machinegdb.h"
#include "vmm/record.h"
#include "vmm/sandbox/sandbox.h"

/* SIGTERM, SIGINT and SIGHUP end the machine in order, so that the terminal is restored. */
struct signals {
	sigset_t set;
	int fd;
	struct machine *machine;
};

static void signal_arrived(void *opaque, uint32_t events)
{
	struct signals *s = opaque;
	struct signalfd_siginfo info;

	(void)events;
	if (read(s->fd, &info, sizeof(info)) != sizeof(info))
		return;
	machine_end(s->machine, 128 + (int)info.ssi_signo);
	/* A second signal is for a machine that does not end: it kills at once. */
	sigprocmask(SIG_UNBLOCK, &s->set, NULL);
}

/* Before the first thread starts: each inherits the mask, or the signal would kill through it. */
static void block_signals(struct signals *s)
{
	sigemptyset(&s->set);
	sigaddset(&s->set, SIGTERM);
	sigaddset(&s->set, SIGINT);
	sigaddset(&s->set, SIGHUP);
	sigprocmask(SIG_BLOCK, &s->set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int watch_signals(struct signals *s, struct machine *m, struct err *e)
{
	s->machine = m;
	s->fd = signalfd(-1, &s->set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0 || loop_watch(m->loop, s->fd, EPOLLIN, signal_arrived, s))
		return err_set(e, -errno, "signals: %s", strerror(errno));
	return 0;
}

static int open_gdb(struct machine *m, const char *text, struct err *e)
{
	struct gdb_address a;
	int rc = gdb_address_parse(&a, text, e);

	return rc ? rc : machine_gdb_open(m, &a, -1, e);
}

/* *reason: why it ended, where that is not told by the status. */
static int run(const struct spec *s, const char *description, const char **reason, struct err *e)
{
	struct control *control = NULL;
	struct signals signals;
	struct machine *m;
	int status;

	block_signals(&signals);
	if (machine_create(&m, s, e))
		return e->code;
	log_info("%s", m->engine_why);
	status = watch_signals(&signals, m, e);
	if (!status && s->gdb)
		status = open_gdb(m, s->gdb, e);
	if (!status && s->control)
		status = control_open(&control, s->control, m->loop, machine_control, m, e);
	if (!status)
		status = sandbox_enter(s, description, e);
	if (!status)
		status = machine_run(m);
	if (control)
		control_close(control);
	*reason = m->end_reason;
	machine_destroy(m);
	return status;
}

/* The VM's owner finds out even when nobody waited for this process. */
static void leave_record(const struct spec *s, int status, const char *reason)
{
	struct err e;

	if (s->record && record_end(s->record, status, reason, &e))
		log_warn("%s", e.text);
}

static int list_devices(void)
{
	for (const struct device_ops *const *d = device_models; *d; d++)
		printf("%-16s %s\n", (*d)->name, (*d)->help);
	return 0;
}

static const char usage[] =
	"Usage: baton-vmm SPEC | --devices\n"
	"Runs the virtual machine that the JSON file SPEC describes (\"-\": standard input).\n"
	"People use `baton run`, which writes the description; see baton-run(1).\n";

int main(int argc, char **argv)
{
	struct spec s;
	struct err e = {0};
	const char *reason = NULL;
	int status;

	if (argc != 2 || !strcmp(argv[1], "--help")) {
		fputs(usage, argc == 2 ? stdout : stderr);
		return argc == 2 ? 0 : MACHINE_STATUS_ERROR;
	}
	if (!strcmp(argv[1], "--devices"))
		return list_devices();
	prctl(PR_SET_NAME, "baton-vmm");
	spec_init(&s);
	status = spec_load(argv[1], &s, &e);
	if (!status)
		status = spec_check(&s, &e);
	if (!status)
		status = run(&s, argv[1], &reason, &e);
	if (status < 0) {
		fprintf(stderr, "baton: %s\n", e.text);
		status = MACHINE_STATUS_ERROR;
	}
	leave_record(&s, status, reason);
	spec_free(&s);
	return status;
}
