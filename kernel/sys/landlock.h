/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock, ABI 3: a process gives up files but those beneath the rules of its domain, for itself
 * and all it starts; domains lie upon each other. Here it also gives up what Linux leaves to
 * seccomp(2) and to users: to see and signal other processes, to connect to names, interfaces,
 * higher limits, most of the kernel's threads, and each FREE_CALL (table.def).
 */
#ifndef KERNEL_SYS_LANDLOCK_H
#define KERNEL_SYS_LANDLOCK_H

#include <linux/landlock.h>

#include "kernel/sys/vfs.h"

#define LANDLOCK_ACCESS_FS_TRUNCATE (1UL << 14) /* younger than the headers of Debian 12 */

#define RIGHT(name) LANDLOCK_ACCESS_FS_##name

struct domain; /* what holds for a process; NULL: everything is allowed */
struct domain *domain_get(struct domain *d);
void domain_put(struct domain *d);

/* Of these rights (LANDLOCK_ACCESS_FS_*) on a node those that the current process has not.
 * vfs_lock held. */
uint64_t landlock_denied(const struct node *n, uint64_t rights);
/* What a directory must allow for a name of a node to go. */
uint64_t landlock_removing(const struct node *n);
/* 0, or why a node, which is new or has a name in `from`, may get one in `to`. vfs_lock held. */
int landlock_link(const struct node *n, const struct node *from, const struct node *to);

/* Whether a process is the current one's business, which is not locked in or was with it.
 * processes_lock held. */
bool landlock_covers(const struct process *p);
/* The current process is locked in, and has started all that it may. Takes processes_lock. */
bool landlock_is_full(void);

/* Who is locked in may not make as many files, shared mappings and queues as would leave no memory
 * to others. The first domain of the current process, with a reference; NULL: it has none. */
struct domain *landlock_maker(void);
/* Of a maker: pages of all that it made. */
uint64_t *landlock_pages(struct domain *maker);

#endif
