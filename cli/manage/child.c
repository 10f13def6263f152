/* SPDX-License-Identifier: Apache-2.0 */
/* Other commands, run from the screen. */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/manage/manage.h"

#define MAX_ARGV 32

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
		execl("/bin/sh", "sh", "-l", (char *)NULL);
		_exit(127);
	}
	status = pid > 0 ? wait_for(pid) : 127;
	reset_prog_mode();
	clearok(stdscr, TRUE);
	return status;
}
