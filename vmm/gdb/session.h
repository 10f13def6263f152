/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One debugger at work: gdb's remote protocol over any stream of bytes, on a `struct gdb_target`,
 * which the machine (or a test) provides. Threads are vCPUs, numbered from 1. What arrives is not
 * trusted: wrong packets are answered by an error, or not understood.
 *
 * All-stop: either every vCPU stands and gdb may ask, or the target runs and gdb waits for a stop.
 */
#ifndef VMM_GDB_SESSION_H
#define VMM_GDB_SESSION_H

#include "vmm/engine/debug.h"
#include "vmm/gdb/packet.h"
#include "vmm/gdb/points.h"
#include "vmm/gdb/regs.h"

#define GDB_MAX_CPUS 64

enum gdb_action {
	GDB_STAY,
	GDB_RUN,
	GDB_STEP
};

struct gdb_target {
	struct guest_memory *mem;
	unsigned ncpus, max_points;
	struct gdb_vectors vectors;
	/* 0 or a negative errno. While the target stands. */
	int (*get)(void *opaque, unsigned cpu, struct x86_cpu_state *s);
	int (*set)(void *opaque, unsigned cpu, const struct x86_cpu_state *s);
	/*
	 * Lets the vCPUs run, each as `action` says, until gdb_stopped() or interrupt().
	 * `passed`: the vCPU whose stop was reported last, -1: none.
	 */
	int (*resume)(void *opaque, const enum gdb_action *action, const struct engine_point *point,
		      unsigned npoints, int passed);
	void (*interrupt)(void *opaque); /* stands when it returns */
	void (*kill)(void *opaque);      /* ends the VM, soon */
	char *(*monitor)(void *opaque,
			 const char *line); /* the answer, malloc'd; NULL: no memory */
	void *opaque;
};

/* Takes the bytes for gdb. */
typedef void gdb_send_fn(void *opaque, const char *bytes, size_t len);

struct gdb_session {
	const struct gdb_target *target;
	gdb_send_fn *send;
	void *send_opaque;
	struct gdb_regs regs;
	struct gdb_points points;
	struct gdb_reader in;
	bool running, no_ack;
	bool knows_swbreak, knows_hwbreak;
	unsigned cpu;    /* the one that registers and memory are asked of */
	int passed;      /* its stop at a code point was told */
	char reason[64]; /* the last stop reply */
	char reply[GDB_PACKET_SIZE + 1];
	size_t reply_len;
	bool no_reply;
	char frame[GDB_FRAME_SIZE(GDB_PACKET_SIZE)];
	size_t frame_len; /* the last frame sent, for a repetition */
	struct x86_cpu_state *state;
};

/* The target stands. `i386`: it is described to gdb as a 32-bit processor. */
int gdb_session_open(struct gdb_session **out, const struct gdb_target *target, bool i386,
		     gdb_send_fn *send, void *send_opaque, struct err *e);
/* Takes all breakpoints away; the target stands or runs as before, and the caller lets it go. */
void gdb_session_close(struct gdb_session *s);

void gdb_session_input(struct gdb_session *s, const void *bytes, size_t len);

/* A vCPU has stopped, and all stand. */
void gdb_stopped(struct gdb_session *s, unsigned cpu, const struct engine_stop *stop);
/* The VM has ended. */
void gdb_exited(struct gdb_session *s, int status);

#endif
