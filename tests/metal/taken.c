/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VMM that its guest has taken over: it enters the sandbox as baton-vmm does, then reaches for
 * what is not its VM's.
 *     taken FOLDER OTHER-FOLDER OTHER-SOCKET OTHER-PID OTHER-DISK...
 * Prints what was not refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/sandbox/sandbox.h"

static void expect(bool refused, const char *what)
{
	if (!refused)
		printf("not refused: %s\n", what);
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool can_open(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* By its name, by one of our own for it, and by a descriptor that names it only. */
static void reach_for_file(const char *path)
{
	static const int ways[] = {O_RDONLY, O_WRONLY, O_RDWR | O_TRUNC, O_ACCMODE};
	char again[64];
	int fd = open(path, O_PATH);

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		expect(!can_open(path, ways[i]), path);
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	expect(!can_open(again, O_RDWR) && !can_open(again, O_RDONLY), again);
	expect(ftruncate(fd, 0) && syscall(SYS_fchmod, fd, 0), "a path's file is changed");
	expect(chmod(path, 0) < 0, "its mode");
	expect(link(path, "taken") && symlink(path, "taken") && rename(path, "taken"),
	       "a new name");
	expect(unlink(path) < 0, "it is removed");
	if (fd >= 0)
		close(fd);
}

static void reach_for_folder(const char *path)
{
	char file[256];

	snprintf(file, sizeof(file), "%s/new", path);
	expect(!can_open(path, O_RDONLY | O_DIRECTORY), path);
	expect(!can_open(file, O_CREAT | O_WRONLY), file);
	expect(mkdir(file, 0700) && rename("vm.json", file), file);
	snprintf(file, sizeof(file), "%s/vm.json", path);
	reach_for_file(file);
}

static void reach_for_machine(void)
{
	static const char *const devices[] = {
		"/dev/mem",     "/dev/kmem", "/dev/port", "/dev/kmsg",      "/dev/kvm",
		"/dev/net/tun", "/dev/vda",  "/dev/sda",  "/dev/nvme0n1",   "/dev/console",
		"/dev/tty",     "/dev/ptmx", "/dev/zero", "/sys/fs/cgroup", "/proc/kcore",
	};

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		expect(!can_open(devices[i], O_RDWR) && !can_open(devices[i], O_RDONLY),
		       devices[i]);
	expect(iopl(3) && ioperm(0x60, 1, 1), "I/O ports");
	expect(reboot(RB_DISABLE_CAD) < 0, "power");
	expect(settimeofday(&(struct timeval){1, 0}, NULL) &&
		       clock_settime(CLOCK_REALTIME, &(struct timespec){1, 0}),
	       "clock");
	expect(mount("none", "/", "tmpfs", 0, NULL) && chroot("."), "file systems");
	expect(syscall(SYS_syslog, 3, (char[64]){0}, 64) < 0, "the kernel's messages");
}

/* One that starts is seen by what this one no longer prints. */
static void start_programs(int self)
{
	char *argv[] = {"taken", NULL}, *none[] = {NULL};

	expect(execv("/bin/sh", argv) < 0, "a shell");
	expect(fexecve(self, argv, none) < 0, "a program that is open");
	expect(syscall(SYS_execveat, self, "", argv, none, AT_EMPTY_PATH) < 0, "the same");
}

/* ---- sockets, interfaces --------------------------------------------------------------------- */

static void reach_for_sockets(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ifreq r = {.ifr_name = "eth0", .ifr_flags = 0};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), any = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path) - 4, "%s", path);
	expect(connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0, path);
	strcat(a.sun_path, ".new");
	expect(bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0, "a socket like it");
	expect(any < 0 || (ioctl(any, SIOCSIFFLAGS, &r) && errno == EPERM), "interfaces");
	close(fd);
	close(any);
}

/* ---- processes ------------------------------------------------------------------------------- */

static void reach_for_process(pid_t pid)
{
	static const char *const files[] = {"mem",  "maps", "exe",  "fd/0",
					    "fd/3", "cwd",  "root", "cmdline"};
	char path[64], bytes[8];
	struct iovec own = {bytes, sizeof(bytes)}, its = {(void *)0x400000, sizeof(bytes)};

	expect(kill(pid, 0) && kill(pid, SIGKILL) && kill(pid, SIGSTOP), "signals");
	expect(syscall(SYS_tgkill, pid, pid, SIGKILL) && syscall(SYS_tkill, pid, SIGKILL),
	       "signals to threads");
	expect(kill(1, SIGKILL) < 0, "the first process");
	expect(ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0, "ptrace");
	expect(process_vm_readv(pid, &own, 1, &its, 1, 0) < 0, "its memory is read");
	expect(process_vm_writev(pid, &own, 1, &its, 1, 0) < 0, "its memory is written");
	expect(syscall(SYS_pidfd_open, pid, 0) < 0, "pidfd");
	expect(setpriority(PRIO_PROCESS, (id_t)pid, 19) < 0, "its priority");
	expect(setpgid(pid, pid) < 0, "its group");
	expect(prlimit(pid, RLIMIT_AS, &(struct rlimit){0, 0}, NULL) < 0, "its limits");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		expect(!can_open(path, O_RDONLY) && readlink(path, bytes, sizeof(bytes)) < 0, path);
	}
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void raise_limits(void)
{
	static const int which[] = {RLIMIT_AS, RLIMIT_NOFILE};
	struct rlimit lim, more;

	expect(setrlimit(RLIMIT_AS, &(struct rlimit){1UL << 32, 1UL << 32}) == 0, "a lower limit");
	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		getrlimit((unsigned)which[i], &lim);
		more = (struct rlimit){lim.rlim_max + 4096, lim.rlim_max + 4096};
		expect(setrlimit((unsigned)which[i], &more) && errno == EPERM, "a higher limit");
		more = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
		expect(setrlimit((unsigned)which[i], &more) && errno == EPERM, "no limit");
	}
}

static void *wait_for_ever(void *opaque)
{
	for (;;)
		pause();
	return opaque;
}

/* As many threads as the kernel gives. */
static unsigned thread_bomb(void)
{
	unsigned n = 0;
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	while (n < 10000 && !pthread_create(&t, &small, wait_for_ever, NULL))
		n++;
	return n;
}

/* Children that fork and lock themselves in once more go on when this one may not. */
static void fork_bomb(const struct spec *s, unsigned depth)
{
	struct err e;

	for (pid_t pid = 0; pid >= 0;) {
		pid = fork();
		if (pid)
			continue;
		if (depth < 3 && !sandbox_files(s, "-", &e))
			fork_bomb(s, depth + 1);
		thread_bomb();
		wait_for_ever(NULL);
	}
}

/* The bomb stays as long as the file that says so. */
static void stay(const char *path)
{
	close(open(path, O_CREAT | O_WRONLY, 0600));
	while (can_open(path, O_RDONLY))
		usleep(50000);
}

int main(int argc, char **argv)
{
	int self = open("/proc/self/exe", O_RDONLY);
	struct spec s;
	struct err e;

	if (argc < 5 || chdir(argv[1]))
		return 2;
	spec_init(&s);
	s.sandbox = strdup("auto");
	s.record = strdup("end.json");
	s.control = strdup(argv[3]); /* its own lies in the same folder */
	if (sandbox_enter(&s, "vm.json", &e)) {
		puts(e.text);
		return 1;
	}
	if (!can_open("own", O_CREAT | O_WRONLY))
		puts("its own files are refused, too");
	reach_for_folder(argv[2]);
	reach_for_sockets(argv[3]);
	reach_for_process(atoi(argv[4]));
	for (int i = 5; i < argc; i++)
		reach_for_file(argv[i]);
	reach_for_machine();
	start_programs(self);
	raise_limits();
	fork_bomb(&s, 0);
	expect(thread_bomb() < 600, "threads without end");
	puts("tried");
	fflush(stdout);
	stay("full");
	return kill(0, SIGKILL); /* all of them, and nobody else in the group */
}
