/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a debugger asks of a vCPU, and why the vCPU stopped for it.
 *
 * The guest does not notice: its debug registers, flags and memory stay its own. (KVM lends the
 * debugger the processor's breakpoint registers; the guest's own breakpoints rest meanwhile.)
 */
#ifndef VMM_ENGINE_DEBUG_H
#define VMM_ENGINE_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#define ENGINE_MAX_POINTS 512

enum engine_point_kind {
	POINT_CODE,   /* before the instruction at the address */
	POINT_INT3,   /* the debugger has written INT3 there; for engines with few others */
	POINT_WRITE,  /* after an instruction that wrote there */
	POINT_READ,   /* read; KVM cannot tell it from POINT_ACCESS */
	POINT_ACCESS, /* read or wrote */
};

/* Addresses are linear: RIP with the base of CS added. */
struct engine_point {
	uint64_t addr;
	uint32_t len; /* of data, any length under bt; 1, 2, 4 or 8 and aligned under kvm */
	enum engine_point_kind kind;
};

struct engine_debug {
	const struct engine_point *point; /* copied */
	unsigned npoints;
	bool step; /* leave after one instruction; interrupts wait until the next run */
	bool pass; /* a code point at the current instruction has been reported: go past it */
};

enum engine_stop_cause {
	STOP_STEP,
	STOP_POINT,
	STOP_CRASH, /* a triple fault; not the engine's to tell, but the machine's */
};

/* After RUN_DEBUG. */
struct engine_stop {
	enum engine_stop_cause cause;
	enum engine_point_kind kind; /* STOP_POINT: of which kind, and its address */
	uint64_t addr;
};

#endif
