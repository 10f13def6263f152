/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers that gdb sees: their order, their description in XML, and where each lies in
 * struct x86_cpu_state. Feature names and the order inside a feature are gdb's ("Debugging with
 * GDB", appendix G.5.8); the feature of system registers is our own.
 */
#ifndef VMM_GDB_REGS_H
#define VMM_GDB_REGS_H

#include "base/err.h"
#include "x86/state.h"

#define GDB_MAX_REGS      192
#define GDB_MAX_REG_BYTES 32

struct gdb_reg {
	char name[12];
	uint16_t bits;
	uint8_t kind;    /* regs.c */
	uint16_t offset; /* in struct x86_cpu_state, or in its vector image */
	uint16_t part;   /* where its component begins there */
};

/* What the vCPU's vector image has; offsets are CPUID leaf 0Dh's, 0: it lacks AVX-512. */
struct gdb_vectors {
	bool avx;
	uint16_t opmask, zmm_high, zmm16;
};

struct gdb_regs {
	struct gdb_reg reg[GDB_MAX_REGS]; /* in gdb's numbering */
	unsigned n;
	char *xml; /* the target description */
};

/* `i386`: as a 32-bit processor. */
int gdb_regs_init(struct gdb_regs *r, bool i386, const struct gdb_vectors *vectors, struct err *e);
void gdb_regs_fini(struct gdb_regs *r);

/* Bytes in target order; the return value is their number. */
unsigned gdb_reg_get(const struct gdb_reg *r, const struct x86_cpu_state *s, uint8_t *bytes);
void gdb_reg_set(const struct gdb_reg *r, struct x86_cpu_state *s, const uint8_t *bytes);

#endif
