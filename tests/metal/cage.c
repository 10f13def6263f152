// SPDX-License-Identifier: Apache-2.0
/*
 * A process locks itself in by Landlock, then tries to get out; files come in over a socket.
 * Prints what was not as on Linux. "cage strict": what Baton's kernel forbids besides. "cage
 * hoard": takes what memory it gets by other ways than its own.
 */
#define _GNU_SOURCE /* O_PATH */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RIGHT(name) LANDLOCK_ACCESS_FS_##name
#define TRUNCATE    (1ULL << 14)
#define ALL         0x7fffULL
#define OWN         (ALL & ~(RIGHT(EXECUTE) | RIGHT(REFER) | RIGHT(MAKE_DIR)))

static void check(const char *what, int ok)
{
	if (!ok)
		printf("%s: %s\n", what, strerror(errno));
}

static int fails(long rc, int error)
{
	return rc < 0 && errno == error;
}

/* ---- Landlock -------------------------------------------------------------------------------- */

static int ruleset(uint64_t files)
{
	return (int)syscall(SYS_landlock_create_ruleset, &files, sizeof(files), 0);
}

static long add_rule(int set, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {rights, open(path, O_PATH | O_CLOEXEC)};
	long rc = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	int error = errno;

	close(rule.parent_fd);
	errno = error;
	return rc;
}

static long lock_in(int set)
{
	return syscall(SYS_landlock_restrict_self, set, 0);
}

static void rulesets(void)
{
	uint64_t newer[4] = {RIGHT(READ_FILE)};
	int set = (int)syscall(SYS_landlock_create_ruleset, newer, 3 * sizeof(*newer), 0);

	check("larger", set >= 0 && !close(set));
	newer[3] = 1;
	check("unknown field",
	      fails(syscall(SYS_landlock_create_ruleset, newer, sizeof(newer), 0), E2BIG));
	set = ruleset(RIGHT(READ_FILE) | RIGHT(READ_DIR));

	check("version",
	      syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 3);
	check("unknown right", fails(ruleset(1ULL << 60), EINVAL));
	check("nothing", fails(ruleset(0), ENOMSG));
	check("too short", fails(syscall(SYS_landlock_create_ruleset, newer, 4, 0), EINVAL));
	check("not handled", fails(add_rule(set, ".", RIGHT(WRITE_FILE)), EINVAL));
	check("no right", fails(add_rule(set, ".", 0), ENOMSG));
	check("of a folder", fails(add_rule(set, "other/secret", RIGHT(READ_DIR)), EINVAL));
	check("no ruleset", fails(add_rule(0, ".", RIGHT(READ_FILE)), EBADFD) || errno == EBADF);
	check("no ruleset to lock in", fails(lock_in(0), EBADFD) || errno == EBADF);
	close(set);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void make(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	check(path, fd >= 0 && write(fd, "secret", 6) == 6);
	close(fd);
}

static int tries(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int bind_at(const char *path, int connects)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc;

	strcpy(a.sun_path, path);
	rc = (connects ? connect : bind)(fd, (struct sockaddr *)&a, sizeof(a));
	if (rc) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static void own_files(void)
{
	make("own/new");
	check("own", tries("own/new", O_RDWR | O_TRUNC) >= 0 && tries("own", O_RDONLY) >= 0);
	check("rename", !rename("own/new", "own/newer") && tries("own/newer", O_RDWR) >= 0);
	check("over", !rename("own/newer", "own/mine") && tries("own/mine", O_RDONLY) >= 0);
	check("link", !link("own/mine", "own/twin") && !unlink("own/mine") &&
			      tries("own/twin", O_RDONLY) >= 0);
	check("remove", !unlink("own/twin"));
	check("no folder", fails(mkdir("own/folder", 0700), EACCES));
	check("socket", bind_at("own/socket", 0) >= 0 && !unlink("own/socket"));
	check("deep",
	      tries("own/deep/file", O_RDWR) >= 0 && tries("own/deep/../deep/file", O_RDWR) >= 0);
}

static void others(const char *where)
{
	static const struct {
		const char *path;
		int flags;
	} opens[] = {
		{"secret", O_RDONLY},          {"secret", O_WRONLY},
		{"secret", O_RDWR | O_TRUNC},  {"new", O_CREAT | O_WRONLY},
		{".", O_RDONLY | O_DIRECTORY},
	};
	char path[64];

	for (unsigned i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", where, opens[i].path);
		check(path, fails(tries(path, opens[i].flags), EACCES));
	}
}

static void outside(void)
{
	struct stat s;

	others("other");
	others("own/../other");
	check("by a link", fails(tries("own/out", O_RDONLY), EACCES));
	check("a device", fails(tries("/dev/zero", O_RDONLY), EACCES));
	check("its path", tries("other/secret", O_PATH) >= 0 && !stat("other/secret", &s));
	check("which changes nothing", tries("other/secret", O_PATH | O_TRUNC | O_RDWR) >= 0 &&
					       !stat("other/secret", &s) && s.st_size);
	check("and makes none", fails(tries("own/none", O_PATH | O_CREAT | O_RDWR), ENOENT));
	check("remove", fails(unlink("other/secret"), EACCES));
	check("folders",
	      fails(mkdir("other/folder", 0700), EACCES) && fails(rmdir("other/empty"), EACCES));
	check("symlink", fails(symlink("x", "other/link"), EACCES));
	check("bind", fails(bind_at("other/socket", 0), EACCES));
	check("out", fails(rename("own/stays", "other/stays"), EACCES));
	check("in", fails(rename("other/secret", "own/secret"), EACCES));
	check("over it", fails(rename("own/stays", "other/secret"), EACCES));
	check("link in", fails(link("other/secret", "own/secret"), EXDEV));
	check("link out", fails(link("own/stays", "other/stays"), EACCES));
	check("refer", fails(rename("own/stays", "own/deep/stays"), EXDEV));
	check("execute", fails(execl("/bin/sh", "sh", NULL), EACCES));
	check("a made name", fails(tries("other/secret", O_CREAT | O_EXCL | O_WRONLY), EEXIST));
}

/* ---- processes ------------------------------------------------------------------------------- */

/* A child lies under the same rules, and may be signalled. */
static void child(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		check("child", fails(tries("other/secret", O_RDONLY), EACCES));
		fflush(stdout);
		for (;;)
			pause();
	}
	check("kill a child", !kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid &&
				      WTERMSIG(status) == SIGKILL);
}

static void processes(pid_t other)
{
	char path[64], to[64];

	check("itself", !kill(getpid(), 0));
	snprintf(path, sizeof(path), "/proc/%d/maps", other);
	check("maps", tries(path, O_RDONLY) < 0);
	snprintf(path, sizeof(path), "/proc/%d/exe", other);
	check("exe", readlink(path, to, sizeof(to)) < 0);
	snprintf(path, sizeof(path), "/proc/%d/fd/0", other);
	check("descriptor", tries(path, O_RDONLY) < 0 && readlink(path, to, sizeof(to)) < 0);
	child();
}

/* A second layer takes away, and gives nothing back. */
static void narrower(void)
{
	int set = ruleset(RIGHT(READ_FILE) | RIGHT(WRITE_FILE));
	unsigned layers = 2;

	check("wider", !add_rule(set, "/", RIGHT(READ_FILE)) && !lock_in(set));
	check("read only",
	      tries("own/stays", O_RDONLY) >= 0 && fails(tries("own/stays", O_RDWR), EACCES));
	check("still locked in", fails(tries("other/secret", O_RDONLY), EACCES));
	while (layers < 100 && !lock_in(set))
		layers++;
	check("layers", layers == 16 && errno == E2BIG);
}

/* ---- files over sockets ---------------------------------------------------------------------- */

union ancillary {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(64 * sizeof(int))];
};

static long give(int sock, const char *bytes, const int *fds, unsigned n)
{
	union ancillary a = {.header = {.cmsg_len = CMSG_LEN(n * sizeof(int)),
					.cmsg_level = SOL_SOCKET,
					.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)bytes, strlen(bytes)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		m.msg_control = &a;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		memcpy(CMSG_DATA(&a.header), fds, n * sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL);
}

/* Bytes taken, with room for as many descriptors; *n: how many came. */
static long take(int sock, char *to, size_t len, unsigned room, int *fds, unsigned *n, int *flags)
{
	union ancillary a = {0};
	struct iovec iov = {to, len};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &a,
			   .msg_controllen = room ? CMSG_LEN(room * sizeof(int)) : 0};
	long got = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*n = 0;
	*flags = m.msg_flags;
	if (got >= 0 && CMSG_FIRSTHDR(&m)) {
		*n = (unsigned)((a.header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(&a.header), *n * sizeof(int));
	}
	return got;
}

/* A pipe's writing end is closed everywhere: its reader sees the end. */
static int ended(int reader)
{
	char c;

	return read(reader, &c, 1) == 0;
}

static void messages(void)
{
	int s[2], p[2], got[64], flags;
	unsigned n;
	char to[64];

	check("pairs", !socketpair(AF_UNIX, SOCK_STREAM, 0, s) && !pipe(p));
	check("send", send(s[0], "ab", 2, 0) == 2 && give(s[0], "cd", &p[1], 1) == 2 &&
			      send(s[0], "ef", 2, 0) == 2);
	check("before", take(s[1], to, 2, 8, got, &n, &flags) == 2 && !n);
	check("with it", take(s[1], to, 1, 8, got, &n, &flags) == 1 && n == 1 && to[0] == 'c');
	check("close on exec", fcntl(got[0], F_GETFD) == FD_CLOEXEC);
	check("the file", write(got[0], "x", 1) == 1 && read(p[0], to, 1) == 1 && to[0] == 'x');
	close(got[0]);
	check("behind",
	      recv(s[1], to, sizeof(to), 0) >= 1 && fails(give(s[0], "x", (int[]){999}, 1), EBADF));
	while (recv(s[1], to, sizeof(to), MSG_DONTWAIT) > 0)
		;
	check("none", fails(take(s[1], to, 1, 8, got, &n, &flags), EAGAIN));

	/* Nobody takes it: it is closed. */
	check("lost", give(s[0], "y", &p[1], 1) == 1 && recv(s[1], to, 8, 0) == 1 &&
			      send(s[0], "z", 1, 0) == 1 && recv(s[1], to, 8, 0) == 1);
	check("no room", give(s[0], "y", (int[]){p[1], p[1]}, 2) == 1 &&
				 take(s[1], to, 8, 1, got, &n, &flags) == 1 && n == 1 &&
				 flags & MSG_CTRUNC && !close(got[0]));
	check("nothing", give(s[0], "", &p[1], 1) == 0);
	check("waits", give(s[0], "y", &p[1], 1) == 1);
	close(p[1]);
	close(s[1]);
	check("all closed", ended(p[0]));
	check("nobody there", fails(give(s[0], "y", &p[0], 1), EPIPE));
	close(s[0]);
	close(p[0]);
}

/* Each message brings its own file, also where the second waits until the first was taken. */
static void in_turn(void)
{
	int s[2], got, flags;
	unsigned n;
	pid_t child;
	char to[8];

	check("pairs", !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	child = fork();
	if (!child)
		_exit(give(s[0], "a", &s[0], 0) != 1 || give(s[0], "b", (int[]){1}, 1) != 1 ||
		      give(s[0], "c", (int[]){1}, 1) != 1);
	for (const char *want = "abc"; *want; want++) {
		struct pollfd p = {s[1], POLLIN, 0};

		check("comes", poll(&p, 1, 60000) == 1 &&
				       take(s[1], to, 1, 1, &got, &n, &flags) == 1 && *to == *want);
		check("with its file", n == (*want != 'a') && (!n || !close(got)));
	}
	check("sender", waitpid(child, &flags, 0) == child && !flags);
	close(s[0]);
	close(s[1]);
}

/* What came is told with the header's alignment, as Linux does. */
static void control_length(void)
{
	union ancillary a = {0};
	struct iovec iov = {&(char){0}, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &a, .msg_controllen = sizeof(a)};
	int s[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	check("pairs", !socketpair(AF_UNIX, SOCK_STREAM, 0, s) && give(s[0], "x", &fd, 1) == 1);
	close(fd);
	check("length", recvmsg(s[1], &m, 0) == 1 && m.msg_controllen == CMSG_SPACE(sizeof(int)) &&
				a.header.cmsg_len == CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(&a.header), sizeof(fd));
	close(fd);
	close(s[0]);
	close(s[1]);
}

/* Two headers: Baton's kernel takes one, and says so instead of losing the other's files. Nor does
 * it take away what one only wants to look at. */
static void refused_forms(void)
{
	struct {
		struct cmsghdr header;
		int fd, pad;
	} a[2] = {{{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, 1, 0},
		  {{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, 1, 0}};
	struct iovec iov = {"x", 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = a, .msg_controllen = sizeof(a)};
	int s[2];

	check("pairs", !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	check("two headers", fails(sendmsg(s[0], &m, 0), EINVAL));
	check("a byte", write(s[0], "x", 1) == 1);
	check("a look", fails(recv(s[1], &(char){0}, 1, MSG_PEEK), EOPNOTSUPP) &&
				fails(recvmsg(s[1], &m, MSG_PEEK), EOPNOTSUPP));
	check("still there", recv(s[1], &(char){0}, 1, MSG_DONTWAIT) == 1);
	close(s[0]);
	close(s[1]);
}

static int passed[2]; /* a pipe whose writing end goes round */

/* Nobody empties the queue: what waits is bounded, and returns. */
static void full(void)
{
	int s[2], p[2], i;

	check("pairs", !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) && !pipe(p));
	for (i = 0; i < 100000 && give(s[0], "y", &p[1], 1) == 1; i++)
		;
	check("bounded", i > 0 && i < 100000);
	close(p[1]);
	close(s[1]);
	check("full and closed", ended(p[0]));
	close(s[0]);
	close(p[0]);
}

#define ROUNDS 300

static void *send_many(void *sock)
{
	int s = *(int *)sock;

	for (unsigned i = 0; i < ROUNDS; i++)
		give(s, "bytes", (int[]){passed[1], passed[1]}, 2);
	return NULL;
}

static void *take_many(void *sock)
{
	int s = *(int *)sock, got[64], flags;
	unsigned n;
	char to[64];

	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 3 == 0) {
			recv(s, to, 1 + i % 9, MSG_DONTWAIT);
			continue;
		}
		take(s, to, 1 + i % 9, i % 3, got, &n, &flags);
		while (n)
			close(got[--n]);
	}
	return NULL;
}

/* Many at once at both ends, which are closed while something waits: no file is lost or kept. */
static void crowd(void)
{
	check("pipe", !pipe(passed));
	for (unsigned round = 0; round < 5; round++) {
		pthread_t t[4];
		int s[2];

		check("pairs", !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
		for (unsigned i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, i & 1 ? send_many : take_many, &s[i & 1]);
		for (unsigned i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		close(s[round & 1]);
		close(s[!(round & 1)]);
	}
	close(passed[1]);
	check("none is kept", ended(passed[0]));
	close(passed[0]);
}

/* What comes from outside may be used: whoever gave it could open it. */
static void received(int sock)
{
	char to[8];
	int fd, flags;
	unsigned n;

	check("receive", take(sock, to, sizeof(to), 1, &fd, &n, &flags) == 1 && n == 1);
	check("read it", read(fd, to, 6) == 6 && !memcmp(to, "secret", 6));
	check("write it", pwrite(fd, "s", 1, 0) == 1 && !ftruncate(fd, 6));
	close(fd);
}

/* A socket that listens goes to another program, which accepts there. */
static void listeners(int is_strict)
{
	int s[2], l = bind_at("other/goes", 0), c[2], a, got, flags;
	unsigned n;
	char to[8];

	check("pairs", !listen(l, 4) && !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	check("listener", give(s[0], "l", &l, 1) == 1 && !close(l) &&
				  take(s[1], to, 8, 1, &got, &n, &flags) == 1 && n == 1);
	check("it listens",
	      !getsockopt(got, SOL_SOCKET, SO_ACCEPTCONN, &flags, &(socklen_t){4}) && flags == 1);
	c[0] = bind_at("other/goes", 1);
	a = accept(got, NULL, NULL);
	check("accepts", a >= 0 && write(c[0], "x", 1) == 1 && read(a, to, 1) == 1);
	c[1] = bind_at("other/goes", 1);
	if (is_strict) {
		check("into itself", fails(give(c[1], "l", &got, 1), EOPNOTSUPP) &&
					     fails(give(c[0], "l", &got, 1), EOPNOTSUPP));
		check("who waits", fails(give(s[0], "l", &got, 1), EOPNOTSUPP));
		check("connected", fails(give(s[0], "l", &a, 1), EOPNOTSUPP));
	}
	close(c[0]);
	close(c[1]);
	close(a);
	check("goes on", give(s[0], "l", (int[]){s[0]}, 0) == 1 && recv(s[1], to, 8, 0) == 1);
	close(got);
	check("ended", fails(bind_at("other/goes", 1), ECONNREFUSED));
	close(s[0]);
	close(s[1]);
}

/* What counts for no process is not made. */
static void queues_and_vms(int kvm)
{
	int s[2];

	check("pairs", !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	check("files on their way", fails(give(s[0], "y", s, 1), EPERM));
	check("words alone", give(s[0], "y", NULL, 0) == 1);
	check("VMs", fails(ioctl(kvm, KVM_CREATE_VM, 0), EPERM));
}

static void strict(pid_t other, int kvm, int tty)
{
	struct timespec now;
	struct rlimit lim = {1UL << 30, 1UL << 30}, more = {1UL << 31, 1UL << 31};

	check("kill", fails(kill(other, 0), EPERM) && fails(kill(other, SIGKILL), EPERM));
	check("tgkill", fails(syscall(SYS_tgkill, other, other, SIGKILL), EPERM));
	check("limits", !setrlimit(RLIMIT_AS, &lim) && fails(setrlimit(RLIMIT_AS, &more), EPERM));
	check("terminal", fails(ioctl(tty, TIOCSPGRP, &other), EPERM));
	check("nice", fails(setpriority(PRIO_PROCESS, (id_t)other, 19), EPERM) || errno == EACCES);
	check("mode", fails(chmod("other/secret", 0), EPERM));
	check("connect", fails(bind_at("other/listens", 1), EACCES));
	clock_gettime(CLOCK_REALTIME, &now);
	check("clock", fails(clock_settime(CLOCK_REALTIME, &now), EPERM));
	check("power", fails(reboot(RB_DISABLE_CAD), EPERM));
	queues_and_vms(kvm);
	puts("strict");
}

/* By many small files, by such that are mostly holes, then by queues; it stays so until it is
 * ended. */
static void hoard(void)
{
	static char block[1 << 20];
	int set = ruleset(ALL), n = 0, fd, p[2];

	check("lock in", !add_rule(set, "/tmp", OWN) && !lock_in(set));
	memset(block, 1, sizeof(block));
	while ((fd = memfd_create("hoard", 0)) >= 0 && n == 0)
		for (int i = 0; i < 3; i++)
			n |= write(fd, block, sizeof(block)) <= 0;
	for (int i = 0; i < 200; i++) {
		fd = memfd_create("holes", 0);
		n |= pwrite(fd, block, 1, (1L << 31) - 1) > 0;
	}
	while (!pipe(p))
		;
	puts("full");
	fflush(stdout);
	for (;;)
		pause();
}

static void prepare(const char *home)
{
	check("home", !mkdir(home, 0700) && !chdir(home));
	check("folders", !mkdir("own", 0700) && !mkdir("own/deep", 0700) && !mkdir("other", 0700) &&
				 !mkdir("other/empty", 0700));
	make("own/stays");
	make("own/mine");
	make("own/deep/file");
	make("other/secret");
	check("link", !symlink("../other/secret", "own/out"));
}

int main(int argc, char **argv)
{
	char home[64];
	int s[2], set, secret, listener, is_strict = argc > 1 && !strcmp(argv[1], "strict");
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	pid_t other;

	if (argc > 1 && !strcmp(argv[1], "hoard"))
		hoard();
	snprintf(home, sizeof(home), "/tmp/cage-%d", (int)getpid());
	prepare(home);
	rulesets();
	messages();
	in_turn();
	full();
	crowd();
	listeners(is_strict);
	control_length();
	if (is_strict)
		refused_forms();
	listener = bind_at("other/listens", 0);
	secret = open("other/secret", O_RDWR);
	check("socket", !listen(listener, 1) && !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	check("hand over", give(s[0], "f", &secret, 1) == 1);
	other = fork();
	if (!other)
		for (;;)
			pause();
	set = ruleset(ALL);
	check("rule", !add_rule(set, "own", OWN));
	check("privileges", !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	fflush(stdout);
	if (!fork()) {
		check("lock in", !lock_in(set));
		own_files();
		outside();
		processes(other);
		received(s[1]);
		if (is_strict)
			strict(other, kvm, tty);
		narrower();
		exit(0);
	}
	wait(NULL);
	kill(other, SIGKILL);
	check("others live", waitpid(other, NULL, 0) == other);
	puts("as on Linux");
	return 0;
}
