/* SPDX-License-Identifier: Apache-2.0 */
/* Other commands, run from the screen. */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/metal.h"
#include "cli/manage/manage.h"

#define MAX_ARGV    32
#define KILL_ROUNDS 10000

static void exec_baton(const char *const argv[])
{
	const char *args[MAX_ARGV] = {"baton"};

	for (int i = 0; i < MAX_ARGV - 2 && argv[i]; i++)
		args[i + 1] = argv[i];
	execv("/proc/self/exe", (char *const *)args);
	perror("baton");
	_exit(127);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 127;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The last line that is not empty. */
static void take_message(struct manage *m, int fd)
{
	char text[4096];
	size_t len = 0;
	ssize_t n;
	char *last;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	while (len && text[len - 1] == '\n')
		len--;
	text[len] = 0;
	last = strrchr(text, '\n');
	snprintf(m->message, sizeof(m->message), "%.500s", last ? last + 1 : text);
}

int run_quietly(struct manage *m, const char *const argv[])
{
	int fd[2], null;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC))
		return 127;
	pid = fork();
	if (!pid) {
		null = open("/dev/null", O_RDONLY);
		dup2(null, 0);
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		exec_baton(argv);
	}
	close(fd[1]);
	if (pid > 0)
		take_message(m, fd[0]);
	close(fd[0]);
	return pid > 0 ? wait_for(pid) : 127;
}

#define SHELL_GROUP "/sys/fs/cgroup/shell"

/*
 * On the bare machine all that the shell starts has one part of the processors together, as each VM
 * has; the manager takes VMs out of it.
 */
static void join_shell_group(void)
{
	FILE *f;

	mkdir(SHELL_GROUP, 0755);
	f = fopen(SHELL_GROUP "/cgroup.procs", "we");
	if (f) {
		fprintf(f, "%d\n", getpid());
		fclose(f);
	}
}

/* How many of them there were. */
static unsigned kill_shell_group(void)
{
	FILE *f = fopen(SHELL_GROUP "/cgroup.procs", "re");
	unsigned n = 0;
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1) {
		kill(pid, SIGKILL);
		n++;
	}
	if (f)
		fclose(f);
	return n;
}

/* What the shell left behind would write into the screen, and some multiply. */
static void end_shell_group(void)
{
	for (unsigned i = 0; i < KILL_ROUNDS && kill_shell_group(); i++)
		napms(1);
	rmdir(SHELL_GROUP);
}

int run_in_front(const char *const argv[])
{
	pid_t pid;
	int status;

	def_prog_mode();
	clear();
	refresh();
	endwin();
	pid = fork();
	if (!pid) {
		if (argv)
			exec_baton(argv);
		if (on_bare_metal())
			join_shell_group();
		execl("/bin/sh", "sh", "-l", (char *)NULL);
		_exit(127);
	}
	status = pid > 0 ? wait_for(pid) : 127;
	if (!argv && on_bare_metal())
		end_shell_group();
	reset_prog_mode();
	clearok(stdscr, TRUE);
	return status;
}
