/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that a running VM makes; written as a filter by libseccomp. */
#include <errno.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "vmm/sandbox/sandbox.h"

#define CALL(name) SCMP_SYS(name)

/* With any arguments. */
static const int plain[] = {
	/* memory, threads, time, signals */
	CALL(brk),
	CALL(mmap),
	CALL(munmap),
	CALL(mremap),
	CALL(mprotect),
	CALL(madvise),
	CALL(futex),
	CALL(membarrier),
	CALL(rseq),
	CALL(set_robust_list),
	CALL(set_tid_address),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(gettid),
	CALL(getpid),
	CALL(getppid),
	CALL(exit),
	CALL(exit_group),
	CALL(wait4),
	CALL(restart_syscall),
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(gettimeofday),
	CALL(time),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigaltstack),
	CALL(tgkill),
	CALL(arch_prctl),
	CALL(getrandom),
	CALL(uname),
	CALL(sysinfo),
	CALL(getrusage),
	CALL(prlimit64),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	/* a child that writes a saved state may be ended */
	CALL(kill),
	/* open files */
	CALL(read),
	CALL(readv),
	CALL(pread64),
	CALL(preadv),
	CALL(preadv2),
	CALL(write),
	CALL(writev),
	CALL(pwrite64),
	CALL(pwritev),
	CALL(pwritev2),
	CALL(lseek),
	CALL(fsync),
	CALL(fdatasync),
	CALL(fallocate),
	CALL(ftruncate),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fstatfs),
	CALL(fchmod),
	CALL(fcntl),
	CALL(flock),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(close),
	CALL(close_range),
	CALL(pipe2),
	CALL(poll),
	CALL(ppoll),
	CALL(select),
	CALL(pselect6),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(signalfd4),
	CALL(memfd_create),
	CALL(io_uring_enter),
	/* names: Landlock says which */
	CALL(open),
	CALL(openat),
	CALL(stat),
	CALL(lstat),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(readlinkat),
	CALL(getcwd),
	CALL(getdents64),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(unlink),
	CALL(unlinkat),
	CALL(umask),
	CALL(statfs),
	/* who connects to the control socket, the screen, the console, the debugger's stub */
	CALL(bind),
	CALL(listen),
	CALL(accept),
	CALL(accept4),
	CALL(shutdown),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(recvfrom),
	CALL(recvmsg),
};

/* Those of the device that an open file is; the last two put terminals back as they were. */
static const unsigned long ioctls[] = {BLKGETSIZE64, FIONREAD, FIONBIO, TIOCGWINSZ,
				       TCGETS,       TCSETS,   TCSETSW, TCSETSF};

#define IOCTL_TYPE 0xff00

/* Made only to attack the host: the process ends there and then. */
static const int never[] = {
	CALL(execve),
	CALL(execveat),
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(mount),
	CALL(umount2),
	CALL(pivot_root),
	CALL(chroot),
	CALL(setns),
	CALL(unshare),
	CALL(bpf),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(kexec_load),
	CALL(reboot),
	CALL(setuid),
	CALL(setgid),
	CALL(setresuid),
	CALL(setresgid),
	CALL(userfaultfd),
	CALL(perf_event_open),
	CALL(keyctl),
	CALL(add_key),
	CALL(request_key),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int allow_plain(scmp_filter_ctx f)
{
	int rc = 0;

	for (size_t i = 0; i < COUNT(plain) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, plain[i], 0);
	for (size_t i = 0; i < COUNT(never) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, never[i], 0);
	return rc;
}

static int allow_ioctls(scmp_filter_ctx f)
{
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1,
				  SCMP_A1_32(SCMP_CMP_MASKED_EQ, IOCTL_TYPE, KVMIO << 8));

	for (size_t i = 0; i < COUNT(ioctls) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1,
				      SCMP_A1_32(SCMP_CMP_EQ, ioctls[i]));
	return rc;
}

/* Threads and copies of this process (a saved state's writer), in no new namespaces. */
static int allow_clone(scmp_filter_ctx f)
{
	const unsigned long namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
					 CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(clone), 1,
				  SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces, 0));

	/* Its flags lie in memory, where no filter sees them: libc then takes clone(). */
	return rc ? rc : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
}

/* Streams to listen at, and answers on what is connected already: no address to send to. */
static int allow_sockets(scmp_filter_ctx f)
{
	static const int families[] = {AF_UNIX, AF_INET};
	const unsigned type = 0xf;
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(sendto), 1, SCMP_A4(SCMP_CMP_EQ, 0));

	for (size_t i = 0; i < COUNT(families) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(socket), 2,
				      SCMP_A0_32(SCMP_CMP_EQ, families[i]),
				      SCMP_A1_32(SCMP_CMP_MASKED_EQ, type, SOCK_STREAM));
	return rc;
}

static int allow_prctl(scmp_filter_ctx f)
{
	static const int options[] = {PR_SET_NAME, PR_SET_PDEATHSIG};
	int rc = 0;

	for (size_t i = 0; i < COUNT(options) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(prctl), 1,
				      SCMP_A0_32(SCMP_CMP_EQ, options[i]));
	return rc;
}

/*
 * All threads get it at once. SSB: a filter is no reason to run with Speculative Store Bypass
 * Disable (on kernels before 5.16 it is, and slows translated code down).
 */
static int set_attributes(scmp_filter_ctx f)
{
	int rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	if (!rc)
		seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
	return rc;
}

static int fill(scmp_filter_ctx f)
{
	static int (*const steps[])(scmp_filter_ctx) = {set_attributes, allow_plain,   allow_ioctls,
							allow_clone,    allow_sockets, allow_prctl};
	int rc = 0;

	for (size_t i = 0; i < COUNT(steps) && !rc; i++)
		rc = steps[i](f);
	return rc;
}

int sandbox_calls(struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (!f)
		return err_set(e, -ENOMEM, "filters of system calls (seccomp): out of memory");
	rc = fill(f);
	if (rc)
		err_set(e, rc, "filters of system calls (seccomp: %s)", strerror(-rc));
	else if (seccomp_load(f))
		rc = err_set(e, -EOPNOTSUPP, "filters of system calls (seccomp)");
	seccomp_release(f);
	return rc;
}
