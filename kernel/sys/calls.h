/* SPDX-License-Identifier: Apache-2.0 */
/* The functions behind the system calls: six arguments in, a result or a negative errno out. */
#ifndef KERNEL_SYS_CALLS_H
#define KERNEL_SYS_CALLS_H

#include <stdint.h>

/* Calls that are the same here. */
#define sys_fdatasync       sys_fsync
#define sys_getgid          sys_getuid
#define sys_geteuid         sys_getuid
#define sys_getegid         sys_getuid
#define sys_set_robust_list sys_munlock

struct file;

/* 0, -ENOTSOCK, or -EOPNOTSUPP: a socket that is for ioctls only. */
int file_check_socket(const struct file *f);

#define CALL(number, name, limits)      int64_t sys_##name(const uint64_t *args);
#define FILE_CALL(number, name, limits) int64_t sys_##name(struct file *f, const uint64_t *args);
#define FREE_CALL                       CALL
#define SOCKET_CALL                     FILE_CALL
#include "kernel/sys/table.def"
#undef CALL
#undef FREE_CALL
#undef FILE_CALL
#undef SOCKET_CALL

#endif
