// SPDX-License-Identifier: Apache-2.0
/* System calls whose answers a program relies on: prints what was not as on Linux. */
#define _GNU_SOURCE /* fallocate(), vfork() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* What is left of a process, whose working directory is removed, is ".". */
static void removed(const char *home)
{
	char to[64];

	check("into", !mkdir("gone", 0700) && !chdir("gone") && !rmdir("../gone"));
	check("nothing new", fails(open("a", O_CREAT | O_RDWR, 0600), ENOENT));
	check("nowhere", !getcwd(to, sizeof(to)) && errno == ENOENT);
	check("back", !chdir(home));
}

static void holes(void)
{
	static char all[10000];
	int fd = open("h", O_CREAT | O_RDWR, 0600);

	memset(all, 'x', sizeof(all));
	check("fill", write(fd, all, sizeof(all)) == sizeof(all));
	check("punch", !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 8500));
	check("read", pread(fd, all, sizeof(all), 0) == sizeof(all));
	for (unsigned i = 0; i < sizeof(all); i++)
		check("hole", (all[i] == 0) == (i >= 100 && i < 8600));
	check("too far", fails(fallocate(fd, 0, INT64_MAX, 1), EFBIG));
	check("no range",
	      fails(fallocate(fd, 0, -1, 1), EINVAL) && fails(fallocate(fd, 0, 0, 0), EINVAL));
	close(fd);
	unlink("h");
}

/* Whether another process could lock the file. */
static int is_free(int fd)
{
	struct flock l = {.l_type = F_WRLCK};
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(fcntl(fd, F_SETLK, &l) ? errno : 0); /* and its end gives it back */
	check("locker",
	      waitpid(pid, &status, 0) == pid && (!status || WEXITSTATUS(status) == EAGAIN));
	return !status;
}

static void locks(void)
{
	struct flock l = {.l_type = F_WRLCK}, far = {.l_start = INT64_MAX, .l_len = 2};
	int fd = open("l", O_CREAT | O_RDWR, 0600), again = open("l", O_RDWR);

	check("too far", fails(fcntl(fd, F_SETLK, &far), EOVERFLOW));
	check("free", is_free(fd) && is_free(fd));
	check("lock", !fcntl(fd, F_SETLK, &l) && !is_free(fd));
	check("dup2", dup2(0, again) == again && is_free(fd));
	close(fd);
	close(again);
	unlink("l");
}

/* With one free descriptor: what takes two must give all back, each time. */
static void full_table(void)
{
	struct rlimit lim = {1024, 1024};
	int last = 0, two[2];

	setrlimit(RLIMIT_NOFILE, &lim);
	for (int fd = 0; fd >= 0; fd = dup(0))
		last = fd;
	close(last);
	for (unsigned i = 0; i < 4000; i++) {
		if (!fails(pipe(two), EMFILE) ||
		    !fails(socketpair(AF_UNIX, SOCK_STREAM, 0, two), EMFILE))
			check("full", 0);
	}
	check("one more", dup(0) == last && fails(eventfd(0, 0), EMFILE) &&
				  fails(timerfd_create(CLOCK_MONOTONIC, 0), EMFILE));
	while (last > 2)
		close(last--);
}

static void pipes(void)
{
	int p[2], status = 0, off = 0;
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
	check("blocking", !ioctl(p[0], FIONBIO, &off) && !(fcntl(p[0], F_GETFL) & O_NONBLOCK));
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
	struct sockaddr_un name = {AF_UNIX, "s"}, other = {AF_UNIX, "t"};
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
	check("bind again", fails(bind(listener, (void *)&other, sizeof(other)), EINVAL));
	check("connect", !connect(client, (void *)&name, sizeof(name)));
	check("connect again", fails(connect(client, (void *)&name, sizeof(name)), EISCONN));
	check("listen", fails(listen(client, 1), EINVAL));
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

/* Set anew while it fires, it keeps what was set last. */
static void set_anew(void)
{
	struct itimerspec often = {{0, 20000}, {0, 20000}}, later = {.it_value = {1000, 0}};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	uint64_t count;

	for (unsigned i = 0; i < 300; i++) {
		timerfd_settime(fd, 0, &often, NULL);
		for (volatile unsigned spin = 0; spin < i * 50; spin++)
			;
		timerfd_settime(fd, 0, &later, NULL);
		nanosleep(&(struct timespec){0, 100000}, NULL);
		check("set anew", fails(read(fd, &count, 8), EAGAIN));
	}
	close(fd);
}

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
	caught = signo;
}

static void signals(void)
{
	long pid = syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, 1UL << 63);

	if (!pid)
		_exit(0);
	check("tls", fails(pid, EPERM));
	signal(SIGUSR1, on_signal);
	check("raise", !raise(SIGUSR1) && caught == SIGUSR1);
	check("kill", !kill(getpid(), 0) && fails(kill(getpid(), 65), EINVAL));
}

/* A parent in vfork() that is hit by signals lets its child run. */
static void vforks(void)
{
	int status = 0;
	pid_t parent = getpid(), shooter = fork(), pid;

	if (!shooter) {
		while (!kill(parent, SIGUSR1))
			usleep(100);
		_exit(0);
	}
	for (unsigned i = 0; i < 30; i++) {
		pid = vfork();
		if (!pid)
			_exit(3);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		check("vfork", pid > 0 && WEXITSTATUS(status) == 3);
	}
	kill(shooter, SIGKILL);
	while (waitpid(shooter, &status, 0) < 0 && errno == EINTR)
		;
}

static void *another_program(void *opaque)
{
	execl("/proc/self/exe", "calls", "nothing", NULL);
	return opaque;
}

/* Two threads want to become another program: one does. */
static void execs(void)
{
	for (unsigned i = 0; i < 20; i++) {
		int status = 1;
		pthread_t thread;
		pid_t pid = fork();

		if (!pid) {
			pthread_create(&thread, NULL, another_program, NULL);
			another_program(NULL);
			_exit(1);
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		check("exec", !status);
	}
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

int main(int argc, char **argv)
{
	char dir[] = "/tmp/calls.XXXXXX";

	(void)argv;
	if (argc > 1)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	names();
	removed(dir);
	holes();
	locks();
	pipes();
	sockets();
	times();
	set_anew();
	signals();
	vforks();
	execs();
	for (unsigned i = 0; i < 20; i++, begun = 0)
		broadcast();
	full_table();
	rmdir(dir);
	puts("as on Linux");
	return 0;
}
