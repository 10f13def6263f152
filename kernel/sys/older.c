/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that are newer ones with some arguments fixed; `a` are those given, others 0. */
#include "kernel/sys/calls.h"
#include "kernel/sys/file.h"
#include "kernel/sys/process.h"
#include "kernel/sys/time.h"
#include "kernel/sys/vfs.h"

#define CWD ((uint64_t)AT_FDCWD)

#define OLDER(name, newer, ...)                        \
	int64_t sys_##name(const uint64_t *a)          \
	{                                              \
		const uint64_t all[6] = {__VA_ARGS__}; \
                                                       \
		return sys_##newer(all);               \
	}
#define OLDER_FILE(name, newer, ...)                          \
	int64_t sys_##name(struct file *f, const uint64_t *a) \
	{                                                     \
		const uint64_t all[6] = {__VA_ARGS__};        \
                                                              \
		return sys_##newer(f, all);                   \
	}

OLDER(access, faccessat, CWD, a[0])
OLDER(chmod, fchmodat, CWD, a[0], a[1])
OLDER(creat, openat, CWD, a[0], O_CREAT | O_WRONLY | O_TRUNC, a[1])
OLDER(fork, clone, 0)
OLDER(fstat, newfstatat, a[0], 0, a[1], AT_EMPTY_PATH)
OLDER(fstatfs, statfs, 0, a[1])
OLDER(getpgrp, getpgid, 0)
OLDER(getrlimit, prlimit64, 0, a[0], 0, a[1])
OLDER(link, linkat, CWD, a[0], CWD, a[1])
OLDER(lstat, newfstatat, CWD, a[0], a[1], AT_SYMLINK_NOFOLLOW)
OLDER(mkdir, mkdirat, CWD, a[0], a[1])
OLDER(nanosleep, clock_nanosleep, CLOCK_MONOTONIC, 0, a[0], a[1])
OLDER(open, openat, CWD, a[0], a[1], a[2])
OLDER(pipe, pipe2, a[0])
OLDER(readlink, readlinkat, CWD, a[0], a[1], a[2])
OLDER(rename, renameat2, CWD, a[0], CWD, a[1])
OLDER(renameat, renameat2, a[0], a[1], a[2], a[3])
OLDER(rmdir, unlinkat, CWD, a[0], AT_REMOVEDIR)
OLDER(setrlimit, prlimit64, 0, a[0], a[1])
OLDER(stat, newfstatat, CWD, a[0], a[1])
OLDER(symlink, symlinkat, a[0], CWD, a[1])
OLDER(tkill, tgkill, (uint64_t)current_process()->pid, a[0], a[1])
OLDER(unlink, unlinkat, CWD, a[0])
OLDER(vfork, clone, CLONE_VM | CLONE_VFORK)
OLDER_FILE(accept, accept4, a[0], a[1], a[2])
OLDER_FILE(dup, fcntl, a[0], F_DUPFD, 0)
OLDER_FILE(epoll_wait, epoll_pwait, a[0], a[1], a[2], a[3])
