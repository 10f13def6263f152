// SPDX-License-Identifier: Apache-2.0
/* System calls with absurd values and at bad moments: prints what was not as on Linux. */
#define _GNU_SOURCE /* signals' masks, sched_yield() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(const char *what, int ok)
{
	if (!ok)
		printf("%s: %s\n", what, strerror(errno));
}

static int fails(long rc, int error)
{
	return rc < 0 && errno == error;
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t khz(void)
{
	char line[256];
	unsigned long mhz = 0, rest = 0;
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (!mhz && fgets(line, sizeof(line), f))
		sscanf(line, "cpu MHz : %lu.%lu", &mhz, &rest);
	fclose(f);
	return mhz * 1000 + rest;
}

/* Sleeps for as long as the time stamp counter needs for a whole turn, and what is left runs on. */
static void one_turn_of_the_clock(void)
{
	uint64_t ticks_per_ns = (khz() << 32) / 1000000; /* 32.32 */
	uint64_t ns = (uint64_t)(((unsigned __int128)1 << 96) / ticks_per_ns) + 1;
	struct timespec forever = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
	struct itimerspec often = {{0, 1}, {0, 1}}, far = {.it_value = forever};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), status;
	uint64_t count = 0, last = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(nanosleep(&forever, NULL) != 0);
	check("far timer", !timerfd_settime(fd, 0, &far, NULL));
	for (unsigned i = 0; i < 1000; i++)
		sched_yield();
	check("often", !timerfd_settime(fd, 0, &often, NULL));
	for (unsigned i = 0; i < 100; i++, last += count)
		check("ticks", read(fd, &count, 8) == 8 && count);
	check("all ticks", last > 1000);
	check("sleeper", !kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
	close(fd);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Ranges that wrap are refused, and large ones without content cost nothing: thousands of them. */
static void ranges(void)
{
	const size_t huge = 1UL << 45, page = 4096;
	char *at = mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check("mmap", at != MAP_FAILED);
	for (unsigned i = 0; i < 3000; i++)
		check("huge", !mprotect(at, huge, i & 1 ? PROT_NONE : PROT_READ) &&
				      !madvise(at, huge, MADV_DONTNEED));
	check("mlock", fails(mlock(at, SIZE_MAX - (uintptr_t)at), ENOMEM) || errno == EINVAL ||
			       errno == EPERM);
	check("mprotect", mprotect(at, SIZE_MAX - page, PROT_READ) < 0);
	check("madvise", madvise(at, SIZE_MAX, MADV_DONTNEED) < 0);
	check("munmap", !munmap(at, huge) && munmap(at, SIZE_MAX) < 0);
	check("too much",
	      mmap(NULL, SIZE_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
		      errno == ENOMEM);
}

static void limits(void)
{
	struct rlimit lim = {1UL << 40, 1UL << 40}, got = {0}, wrong = {2, 1};
	char *argv[] = {"edges", "limited", NULL};
	int status = 1;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_AS, &lim);
		execv("/proc/self/exe", argv);
		_exit(2);
	}
	check("limit of a program", waitpid(pid, &status, 0) == pid && !status);
	check("wrong", fails(setrlimit(RLIMIT_AS, &wrong), EINVAL));
	check("other", fails(syscall(SYS_prlimit64, 0x7ffffff, RLIMIT_AS, NULL, &got), ESRCH));
	check("which", fails(syscall(SYS_prlimit64, 0, 999, NULL, &got), EINVAL));
}

static int limited(void)
{
	struct rlimit lim = {0};

	return getrlimit(RLIMIT_AS, &lim) || lim.rlim_cur != 1UL << 40;
}

/* ---- names and descriptors ------------------------------------------------------------------- */

/* What is open for reading, or by its path only, is not changed by a way round. */
static void not_for_writing(void)
{
	int fd = open("kept", O_CREAT | O_RDWR, 0600), path, dir;
	char *at, entries[512];

	check("write", fd >= 0 && write(fd, "kept", 4) == 4 && !close(fd));
	fd = open("kept", O_RDONLY);
	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	check("shared", at != MAP_FAILED && at[0] == 'k');
	check("writable", fails(mprotect(at, 4096, PROT_READ | PROT_WRITE), EACCES));
	check("readable", !mprotect(at, 4096, PROT_READ) && !munmap(at, 4096) && !close(fd));
	path = open("kept", O_PATH | O_RDWR);
	dir = open(".", O_PATH | O_DIRECTORY);
	check("truncate a path", ftruncate(path, 0) < 0 && fallocate(path, 0, 0, 8192) < 0);
	check("mode of a path", fails(syscall(SYS_fchmod, path, 0), EBADF));
	check("lock of a path", fails(flock(path, LOCK_EX), EBADF));
	check("read a path", fails(syscall(SYS_getdents64, dir, entries, sizeof(entries)), EBADF));
	close(path);
	close(dir);
	unlink("kept");
}

/* What lies between entries of a directory is empty. */
static void entries(void)
{
	struct {
		uint64_t ino, off;
		unsigned short len;
		unsigned char type;
		char name[];
	} * e;
	_Alignas(8) char buf[4096], name[256];
	long n;
	int fd;

	for (unsigned len = 245; len <= 255; len++) {
		memset(name, 'n', len);
		name[len] = 0;
		close(open(name, O_CREAT | O_WRONLY, 0600));
	}
	fd = open(".", O_RDONLY | O_DIRECTORY);
	n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
	check("getdents", n > 11 * 264);
	for (char *p = buf; p < buf + n; p += e->len) {
		e = (void *)p;
		for (char *c = e->name + strlen(e->name); c < p + e->len; c++)
			check("between entries", !*c);
	}
	for (unsigned len = 245; len <= 255; len++) {
		name[len] = 0;
		unlink(name);
		name[len] = 'n';
	}
	close(fd);
}

static void renames(void)
{
	struct stat st;

	check("make", !mkdir("dir", 0700) && !mkdir("full", 0700) && !mkdir("full/x", 0700) &&
			      !close(open("file", O_CREAT | O_WRONLY, 0600)));
	check("onto",
	      fails(rename("file", "dir"), EISDIR) && fails(rename("dir", "file"), ENOTDIR));
	check("full", fails(rename("dir", "full"), ENOTEMPTY) || errno == EEXIST);
	check("into itself", fails(rename("full", "full/x/y"), EINVAL));
	check("over", !rename("full", "dir") && fails(stat("full", &st), ENOENT) &&
			      !stat("dir/x", &st) && !rmdir("dir/x") && !rmdir("dir"));
	unlink("file");
}

static void closing(void)
{
	int a = dup(0), b = dup(0), p[2];

	check("backwards", fails(syscall(SYS_close_range, b, a, 0), EINVAL) &&
				   fails(syscall(SYS_close_range, a, b, 64), EINVAL) &&
				   fcntl(a, F_GETFD) >= 0);
	check("range", !syscall(SYS_close_range, a, ~0U, 0) && fails(fcntl(b, F_GETFD), EBADF));
	check("dup3", fails(syscall(SYS_dup3, 0, a, 1), EINVAL));
	check("pipe", !pipe(p));
	close(p[0]);
	close(p[1]);
}

/* 108 bytes without a NUL are a path as good as any. */
static void long_name(void)
{
	struct sockaddr_un name = {AF_UNIX, "x"}, got = {0};
	socklen_t len = sizeof(got);
	struct stat st;
	char path[109];
	int s = socket(AF_UNIX, SOCK_STREAM, 0), t = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	memset(name.sun_path, 'x', sizeof(name.sun_path));
	memset(path, 'x', 108);
	path[108] = 0;
	check("bind", !bind(s, (void *)&name, sizeof(name)) && !listen(s, 1));
	check("name", !lstat(path, &st) && S_ISSOCK(st.st_mode));
	check("told", !getsockname(s, (void *)&got, &len) && len == sizeof(got) + 1 &&
			      !memcmp(&got, &name, sizeof(got)));
	check("kind", fails(connect(t, (void *)&name, sizeof(name)), EPROTOTYPE));
	close(t);
	t = socket(AF_UNIX, SOCK_STREAM, 0);
	check("connect", !connect(t, (void *)&name, sizeof(name)));
	close(s);
	close(t);
	unlink(path);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	check("no such request", fails(ioctl(s, 0x8960, path), ENOTTY));
	memset(path, 0, sizeof(path));
	strcpy(path, "nobody");
	check("no such interface", fails(ioctl(s, 0x8913, path), ENODEV));
	close(s);
}

/* ---- epoll ----------------------------------------------------------------------------------- */

static int ready(int set)
{
	struct epoll_event e[4];

	return epoll_wait(set, e, 4, 0);
}

static void add(int set, int fd, unsigned events)
{
	struct epoll_event e = {.events = events};

	check("add", !epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
}

/* Who closes the last descriptor of a file takes it out of all sets, and it ends. */
static void closed_in_a_set(void)
{
	int set = epoll_create1(0), p[2], copy;
	char c;

	check("pipe", !pipe(p));
	copy = dup(p[0]);
	add(set, p[0], EPOLLIN);
	check("one", write(p[1], "x", 1) == 1 && ready(set) == 1);
	close(p[0]);
	check("a copy", ready(set) == 1 && read(copy, &c, 1) == 1);
	close(copy);
	check("none", ready(set) == 0 && fails(write(p[1], "x", 1), EPIPE));
	close(p[1]);
	close(set);
}

static void edges(void)
{
	struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT};
	int set = epoll_create1(0), p[2];
	char c;

	check("pipe", !pipe(p));
	add(set, p[0], EPOLLIN | EPOLLET);
	check("first", write(p[1], "x", 1) == 1 && ready(set) == 1 && ready(set) == 0);
	check("second", read(p[0], &c, 1) == 1 && write(p[1], "y", 1) == 1 && ready(set) == 1);
	check("third", write(p[1], "z", 1) == 1 && ready(set) == 1 && ready(set) == 0);
	check("once", !epoll_ctl(set, EPOLL_CTL_MOD, p[0], &again) && ready(set) == 1);
	close(p[1]);
	check("not again", ready(set) == 0);
	check("hung up", !epoll_ctl(set, EPOLL_CTL_MOD, p[0], &again) && ready(set) == 1);
	close(p[0]);
	close(set);
}

static void *wait_in_set(void *set)
{
	struct epoll_event e;

	return (void *)(intptr_t)epoll_wait(*(int *)set, &e, 1, 60000);
}

/* Also while another thread waits: what has gone does not stay open for it. */
static void closed_under_a_waiter(void)
{
	int set = epoll_create1(0), p[2], woken[2];
	pthread_t thread;
	void *n;

	check("pipe", !pipe(p) && !pipe(woken));
	add(set, p[0], EPOLLIN);
	add(set, woken[0], EPOLLIN);
	pthread_create(&thread, NULL, wait_in_set, &set);
	usleep(50000);
	close(p[0]);
	for (unsigned i = 0; i < 10000 && write(p[1], "x", 1) == 1; i++)
		usleep(1000);
	check("gone", fails(write(p[1], "x", 1), EPIPE) && write(woken[1], "x", 1) == 1);
	pthread_join(thread, &n);
	check("woken", n == (void *)1);
	close(p[1]);
	close(woken[0]);
	close(woken[1]);
	close(set);
}

/* ---- signals --------------------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
	caught = signo;
}

/* Reads from a pipe until it ends; nothing but that may be told. */
static void *reader(void *end)
{
	char c;
	long n;

	while ((n = read(*(int *)end, &c, 1)) == 1)
		;
	return (void *)(n < 0 ? (intptr_t)errno : 0);
}

/* A signal to the process, which one of many waiting threads takes: the others' calls go on. */
static void many_take_one(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t thread[8];
	void *error;
	int p[2];

	sigaction(SIGUSR2, &sa, NULL);
	check("pipe", !pipe(p));
	for (unsigned i = 0; i < 8; i++)
		pthread_create(&thread[i], NULL, reader, &p[0]);
	for (unsigned i = 0; i < 2000; i++) {
		kill(getpid(), SIGUSR2);
		if (i % 4 == 0 && write(p[1], "x", 1) != 1)
			check("write", 0);
	}
	close(p[1]);
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(thread[i], &error);
		errno = (int)(intptr_t)error;
		check("interrupted", !error);
	}
	close(p[0]);
}

/* The mask of sigsuspend() goes with it, whatever became of the signal. */
static void suspended(void)
{
	sigset_t usr1, none, now;
	int status;
	pid_t pid;

	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	signal(SIGUSR1, on_signal);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	pid = fork();
	if (!pid) {
		usleep(20000);
		kill(getppid(), SIGCHLD); /* ignored */
		usleep(20000);
		_exit(kill(getppid(), SIGUSR1));
	}
	for (caught = 0; caught != SIGUSR1;)
		check("sigsuspend", fails(sigsuspend(&none), EINTR));
	sigprocmask(SIG_BLOCK, NULL, &now);
	check("mask", sigismember(&now, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	check("child", waitpid(pid, &status, 0) == pid && !status);
	check("nobody", fails(kill(-0x7ffffff, 0), ESRCH) && fails(kill(0x7ffffff, 0), ESRCH));
}

/* Of a structure with a hole nothing is told that the program did not put there. */
static void hole(void)
{
	stack_t s;

	memset(&s, 0x55, sizeof(s));
	check("sigaltstack", !sigaltstack(NULL, &s));
	for (unsigned i = offsetof(stack_t, ss_flags) + 4; i < offsetof(stack_t, ss_size); i++)
		check("hole", !((char *)&s)[i]);
}

/* A deadly signal and execve() at once: one of them wins, and the process ends. */
static void *becomes(void *argv)
{
	execv("/proc/self/exe", argv);
	return NULL;
}

static void *yields(void *opaque)
{
	for (;;)
		sched_yield();
	return opaque;
}

static void killed_in_exec(void)
{
	char *argv[] = {"edges", "pause", NULL};

	for (unsigned i = 0; i < 50; i++) {
		pthread_t thread;
		int status = 0;
		pid_t pid = fork();

		if (!pid) {
			for (unsigned t = 0; t < 3; t++)
				pthread_create(&thread, NULL, yields, NULL);
			pthread_create(&thread, NULL, becomes, argv);
			yields(NULL);
		}
		usleep(i * 400);
		kill(pid, SIGTERM);
		check("ended", waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
				       WTERMSIG(status) == SIGTERM);
	}
}

/* ---- how much -------------------------------------------------------------------------------- */

/* Children that nobody waits for are not without end, and all of them are given back. */
static void children(void)
{
	struct rlimit lim = {800, 800};
	unsigned n = 0;
	pid_t pid = 0;

	setrlimit(RLIMIT_NPROC, &lim); /* where it is looked at */
	while (n < 5000 && (pid = fork()) > 0)
		n++;
	if (!pid)
		_exit(0);
	check("bounded", n == 5000 || (fails(pid, EAGAIN) && n > 100)); /* Linux: its root is not */
	while (wait(NULL) > 0)
		n--;
	check("all back", !n);
	pid = fork();
	if (!pid)
		_exit(0);
	check("again", pid > 0 && waitpid(pid, NULL, 0) == pid);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/edges.XXXXXX";

	if (argc > 1 && !strcmp(argv[1], "limited"))
		return limited();
	if (argc > 1)
		return pause();
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	one_turn_of_the_clock();
	ranges();
	limits();
	not_for_writing();
	entries();
	renames();
	closing();
	long_name();
	closed_in_a_set();
	edges();
	closed_under_a_waiter();
	many_take_one();
	suspended();
	hole();
	killed_in_exec();
	children();
	rmdir(dir);
	puts("as on Linux");
	return 0;
}
