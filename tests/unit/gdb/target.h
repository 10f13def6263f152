/* SPDX-License-Identifier: Apache-2.0 */
/* A target for the stub that only remembers: two vCPUs, 4 MiB of memory, page tables. */
#ifndef TESTS_UNIT_GDB_TARGET_H
#define TESTS_UNIT_GDB_TARGET_H

#include "vmm/gdb/session.h"

#define TARGET_CPUS 2
#define TARGET_RAM  (4u << 20)
#define TARGET_PML4 0x1000
#define TARGET_HIGH 0xffffffff80000000ull /* maps to physical 1 MiB, 2 MiB long */

struct fake_target {
	struct gdb_target target;
	struct guest_memory mem;
	struct x86_cpu_state cpu[TARGET_CPUS];
	enum gdb_action action[TARGET_CPUS];
	struct engine_point point[ENGINE_MAX_POINTS];
	unsigned npoints, resumes, interrupts, kills;
	int passed;
	char out[65536]; /* what was sent since the last clear */
	size_t out_len;
};

/* Long mode; the first 2 MiB map to themselves, TARGET_HIGH to the next. */
void fake_target_init(struct fake_target *t, unsigned max_points);
gdb_send_fn fake_target_send;
void fake_target_fini(struct fake_target *t);

#endif
