/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the programs that networks are made with: passt, nft, dnsmasq. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/metal.h"
#include "manager/net/net.h"

#define NOT_FOUND 127
#define NOT_RUN   126

static const struct {
	const char *program, *package;
} packages[] = {{"passt", "passt"}, {"nft", "nftables"}, {"dnsmasq", "dnsmasq-base"}};

/* Text in a file of its own, read from its start. */
static int text_file(const char *text)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t n = text ? strlen(text) : 0;

	if (fd >= 0 && (write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* An ordinary user's PATH often lacks the folders of such programs. */
static void add_system_folders(void)
{
	const char *path = getenv("PATH");
	char longer[4096];

	snprintf(longer, sizeof(longer), "%s:/usr/sbin:/sbin:/usr/local/sbin", path ? path : "");
	setenv("PATH", longer, 1);
}

/* In the child: only standard streams and `fd` go along, so that no lock stays held. */
static void become(char *const argv[], int input, int messages, int fd)
{
	dup2(input, STDIN_FILENO);
	dup2(messages, STDOUT_FILENO);
	dup2(messages, STDERR_FILENO);
	if (fd >= 0 && fd != NET_PASSED_FD)
		dup2(fd, NET_PASSED_FD);
	closefrom(NET_PASSED_FD + (fd >= 0));
	signal(SIGPIPE, SIG_DFL);
	add_system_folders();
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? NOT_FOUND : NOT_RUN);
}

/* The last line that says something; without a system log passt complains after each message. */
static void last_message(int messages, char *out, size_t size)
{
	char text[4096], *rest = text, *line;
	ssize_t n = pread(messages, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	snprintf(out, size, "no message");
	while ((line = strsep(&rest, "\n")))
		if (*line && !strstr(line, "to syslog"))
			snprintf(out, size, "%s", line);
}

static int not_found(const char *program, struct err *e)
{
	const char *package = program;

	if (on_bare_metal())
		return err_set(e, -ENOENT,
			       "this network needs %s, which the bare machine does not have; use "
			       "bridge=br0, where network cards are, or internal=NAME",
			       program);
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		if (!strcmp(packages[i].program, program))
			package = packages[i].package;
	return err_set(e, -ENOENT,
		       "this network needs %s: install the package %s, or use bridge=NAME or "
		       "internal=NAME",
		       program, package);
}

static int wait_end(const char *program, pid_t pid, int messages, struct err *e)
{
	char why[200];
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "%s: %s", program, strerror(errno));
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
		return not_found(program, e);
	last_message(messages, why, sizeof(why));
	return err_set(e, -EIO, "%s did not start: %s", program, why);
}

int net_run(char *const argv[], const char *input, int fd, struct err *e)
{
	int in = text_file(input), messages = memfd_create("messages", MFD_CLOEXEC);
	int rc;
	pid_t pid;

	if (in < 0 || messages < 0) {
		rc = err_set(e, -errno, "%s: %s", argv[0], strerror(errno));
		goto close_files;
	}
	pid = fork();
	if (!pid)
		become(argv, in, messages, fd);
	rc = pid < 0 ? err_set(e, -errno, "%s: %s", argv[0], strerror(errno))
		     : wait_end(argv[0], pid, messages, e);
close_files:
	if (in >= 0)
		close(in);
	if (messages >= 0)
		close(messages);
	return rc;
}
