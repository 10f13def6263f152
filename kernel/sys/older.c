/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that are newer ones with some arguments fixed; `a` are those given, the rest is 0.
 */
#include "kernel/sys/calls.h"
#include "kernel/sys/process.h"

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

OLDER(fork, clone, 0)
OLDER(getpgrp, getpgid, 0)
OLDER(getrlimit, prlimit64, 0, a[0], 0, a[1])
OLDER(pipe, pipe2, a[0])
OLDER(setrlimit, prlimit64, 0, a[0], a[1])
OLDER(tkill, tgkill, (uint64_t)current_process()->pid, a[0], a[1])
OLDER(vfork, clone, CLONE_VM | CLONE_VFORK)
OLDER_FILE(accept, accept4, a[0], a[1], a[2])
OLDER_FILE(epoll_wait, epoll_pwait, a[0], a[1], a[2], a[3])
