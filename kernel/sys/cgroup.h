/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU time in Linux's way (its Documentation/admin-guide/cgroup-v2.rst): one level of groups in
 * /sys/fs/cgroup, made by mkdir, with cgroup.procs, cpu.max, cpu.weight and cpu.stat.
 */
#ifndef KERNEL_SYS_CGROUP_H
#define KERNEL_SYS_CGROUP_H

#include "kernel/sys/process.h"

void cgroup_init(void);
/* Moves a process and its threads; `dir` NULL or the root: back to a group of its own. */
void cgroup_join(struct process *p, struct node *dir);

#endif
