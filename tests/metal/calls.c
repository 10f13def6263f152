// SPDX-License-Identifier: Apache-2.0
/* System calls whose answers a program relies on: prints what was not as on Linux. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITERS 8

static void check(const char *what, int ok)
{
	if (!ok)
		printf("%s: %s\n", what, strerror(errno));
}

static int fails(long rc, int error)
{
	return rc < 0 && errno == error;
}

static void names(void)
{
	char to[64] = "";
	struct stat st, there;
	int fd = open("a", O_CREAT | O_RDWR | O_EXCL, 0640);

	check("open", fd >= 0 && fails(open("a", O_CREAT | O_EXCL, 0600), EEXIST));
	check("pwrite", pwrite(fd, "bytes", 5, 3) == 5 && pread(fd, to, 5, 3) == 5 &&
				!memcmp(to, "bytes", 5));
	check("fstat", !fstat(fd, &st) && st.st_size == 8 && (st.st_mode & 0777) == 0640);
	check("link", !link("a", "b") && !stat("b", &there) && there.st_ino == st.st_ino);
	check("rename",
	      !rename("b", "c") && fails(access("b", F_OK), ENOENT) && !access("c", F_OK));
	check("symlink", !symlink("c", "d") && readlink("d", to, sizeof(to)) == 1 && to[0] == 'c');
	check("lstat",
	      !lstat("d", &st) && S_ISLNK(st.st_mode) && !stat("d", &st) && S_ISREG(st.st_mode));
	check("mkdir",
	      !mkdir("e", 0755) && fails(mkdir("e", 0755), EEXIST) && fails(unlink("e"), EISDIR));
	check("rmdir", !rmdir("e") && fails(rmdir("c"), ENOTDIR));
	check("chmod", !chmod("c", 0600) && !stat("c", &st) && (st.st_mode & 0777) == 0600);
	check("unlink",
	      !unlink("a") && !unlink("c") && !unlink("d") && fails(fstat(99, &st), EBADF));
	close(fd);
}

static void pipes(void)
{
	int p[2], status = 0;
	struct pollfd ends[2];
	char c = 0;
	pid_t pid;

	check("pipe", !pipe(p));
	pid = fork();
	if (!pid)
		_exit(write(p[1], "x", 1) == 1 ? 7 : 1);
	check("child", read(p[0], &c, 1) == 1 && c == 'x' && waitpid(pid, &status, 0) == pid &&
			       WEXITSTATUS(status) == 7);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	check("empty", fails(read(p[0], &c, 1), EAGAIN));
	ends[0] = (struct pollfd){p[0], POLLIN, 0};
	ends[1] = (struct pollfd){p[1], POLLOUT, 0};
	check("poll", poll(ends, 2, 0) == 1 && ends[1].revents == POLLOUT);
	close(p[1]);
	check("end", read(p[0], &c, 1) == 0);
	check("pipe again", !pipe(p) && !close(p[0]));
	check("broken", fails(write(p[1], "x", 1), EPIPE));
	check("dup", dup(p[1]) >= 0 && fails(dup(99), EBADF));
}

static void sockets(void)
{
	struct sockaddr_un name = {AF_UNIX, "s"};
	int s[2], listener = socket(AF_UNIX, SOCK_STREAM, 0),
		  client = socket(AF_UNIX, SOCK_STREAM, 0), got;
	char buf[8];

	check("socketpair", !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	check("no socket", fails(listen(0, 1), ENOTSOCK));
	check("nothing", fails(recv(s[0], buf, 8, MSG_DONTWAIT), EAGAIN));
	check("send", send(s[0], "hello", 5, 0) == 5 && recv(s[1], buf, 8, 0) == 5 &&
			      !memcmp(buf, "hello", 5));
	check("shutdown", !shutdown(s[0], SHUT_WR) && recv(s[1], buf, 8, 0) == 0);
	check("closed", !close(s[1]) && fails(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE));
	check("refused", fails(connect(client, (void *)&name, sizeof(name)), ENOENT));
	check("bind", !bind(listener, (void *)&name, sizeof(name)) && !listen(listener, 2));
	check("connect", !connect(client, (void *)&name, sizeof(name)));
	got = accept(listener, NULL, NULL);
	check("accept",
	      got >= 0 && write(client, "y", 1) == 1 && read(got, buf, 8) == 1 && buf[0] == 'y');
	close(got);
	check("hung up", read(client, buf, 8) == 0 && !unlink("s"));
}

static void times(void)
{
	struct itimerspec in = {.it_value = {0, 1000000}}, bad = {.it_value = {0, 1000000000}};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t count = 0;
	struct rlimit lim;

	check("timerfd",
	      !timerfd_settime(fd, 0, &in, NULL) && read(fd, &count, 8) == 8 && count == 1);
	check("no time", fails(timerfd_settime(fd, 0, &bad, NULL), EINVAL));
	check("nanosleep",
	      !nanosleep(&(struct timespec){0, 1000}, NULL) &&
		      fails(nanosleep(&(struct timespec){0, 1000000000}, NULL), EINVAL));
	check("getrlimit", !getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur >= 1024);
}

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
	caught = signo;
}

static void signals(void)
{
	signal(SIGUSR1, on_signal);
	check("raise", !raise(SIGUSR1) && caught == SIGUSR1);
	check("kill", !kill(getpid(), 0) && fails(kill(getpid(), 65), EINVAL));
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t begin = PTHREAD_COND_INITIALIZER;
static int begun;

static void *waiter(void *opaque)
{
	pthread_mutex_lock(&lock);
	while (!begun)
		pthread_cond_wait(&begin, &lock);
	pthread_mutex_unlock(&lock);
	return opaque;
}

/* A broadcast hands its waiters from the condition to the lock. */
static void broadcast(void)
{
	pthread_t thread[WAITERS];

	for (unsigned i = 0; i < WAITERS; i++)
		check("thread", !pthread_create(&thread[i], NULL, waiter, NULL));
	usleep(10000);
	pthread_mutex_lock(&lock);
	begun = 1;
	pthread_cond_broadcast(&begin);
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < WAITERS; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	char dir[] = "/tmp/calls.XXXXXX";

	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	names();
	pipes();
	sockets();
	times();
	signals();
	for (unsigned i = 0; i < 20; i++, begun = 0)
		broadcast();
	rmdir(dir);
	puts("as on Linux");
	return 0;
}
