/* SPDX-License-Identifier: Apache-2.0 */
/* What a running VM has used of the host since it began, from /proc and from its own counters. */
#ifndef MANAGER_USAGE_H
#define MANAGER_USAGE_H

#include <stdint.h>

#include "manager/manager.h"

struct vm_usage {
	uint64_t at_ns;        /* when it was taken: CLOCK_MONOTONIC */
	uint64_t cpu_ns;       /* processor time of all its threads */
	uint64_t wait_ns;      /* "steal": ready to run, but the host ran something else */
	uint64_t memory_used;  /* bytes of host memory (resident) */
	uint64_t memory_given; /* bytes of RAM, less what its balloon returned */
	uint64_t disk_read, disk_written; /* bytes, of all disks */
	uint64_t net_received, net_sent;  /* bytes, of all networks, as the guest sees them */
};

/* -ESRCH when the VM ends meanwhile. Counters of a VM that does not answer are 0. */
int vm_usage(const struct vm_info *vm, struct vm_usage *out, struct err *e);

#endif
