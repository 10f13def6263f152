/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The breakpoints and watchpoints that gdb has set. Where the engine has fewer than are wanted,
 * software breakpoints become INT3 in guest memory; reads through the stub hide them.
 */
#ifndef VMM_GDB_POINTS_H
#define VMM_GDB_POINTS_H

#include "vmm/engine/debug.h"
#include "vmm/memory.h"
#include "x86/state.h"

enum gdb_point_type { /* the digit behind Z */
	GDB_SOFT,
	GDB_HARD,
	GDB_WRITE,
	GDB_READ,
	GDB_ACCESS,
	GDB_NTYPES
};

struct gdb_point {
	enum gdb_point_type type;
	uint64_t addr;
	uint32_t len;
	bool patched; /* INT3 is at `gpa`, where `original` was */
	uint8_t original;
	gpa_t gpa;
};

struct gdb_points {
	struct guest_memory *mem;
	unsigned max; /* what the engine offers */
	unsigned n;
	struct gdb_point point[ENGINE_MAX_POINTS];
};

/* Both succeed when there is nothing to do. `s`: whose page tables count. -errno otherwise. */
int gdb_point_insert(struct gdb_points *p, const struct x86_cpu_state *s, enum gdb_point_type type,
		     uint64_t addr, uint32_t len);
int gdb_point_remove(struct gdb_points *p, enum gdb_point_type type, uint64_t addr, uint32_t len);
void gdb_points_clear(struct gdb_points *p);

/* What the engine is told; returns the number. */
unsigned gdb_points_list(const struct gdb_points *p, struct engine_point *out);
const struct gdb_point *gdb_point_find(const struct gdb_points *p, uint64_t addr);

/* Puts what INT3 has replaced into what was read; takes what is written as the new original and
 * puts INT3 into `buf`. */
void gdb_points_hide(const struct gdb_points *p, uint64_t gva, uint8_t *buf, uint64_t len);
void gdb_points_keep(struct gdb_points *p, uint64_t gva, uint8_t *buf, uint64_t len);

#endif
