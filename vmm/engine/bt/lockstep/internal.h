/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of lockstep share. */
#ifndef VMM_ENGINE_BT_LOCKSTEP_INTERNAL_H
#define VMM_ENGINE_BT_LOCKSTEP_INTERNAL_H

#include "vmm/engine/bt/lockstep/lockstep.h"

#define LOG_EVENTS   (1u << 18) /* in one block, or of one transfer */
#define LOG_BYTES    (256u << 20)
#define MAX_WRITES   (1u << 16) /* ranges written by one block */
#define MAX_TABLES   64
#define NO_FAULT     0xff
#define MAX_INSNS    1000 /* that the twin tries before it is lost */
#define REPORT_BYTES 320

struct log_event {
	enum lockstep_kind kind;
	uint32_t len; /* LOG_DMA: of the bytes at `val` in log_bytes */
	uint64_t addr, val;
};

struct lockstep {
	struct bt_vcpu *main, *twin;
	struct bt_vm *twin_vm;
	struct guest_memory memory; /* the twin's */
	/* The log: written by the vCPU, read by the twin; empty after each block. */
	struct log_event *event;
	uint8_t *bytes;
	size_t nbytes;
	uint32_t nevents, next;
	/* Ranges that the twin has written in this block, neighbours joined. */
	struct {
		gpa_t gpa;
		uint32_t len;
	} * write;
	uint32_t nwrites;
	/* Accessed and dirty bits that either has set in this block, in entries of this value. */
	struct {
		gpa_t gpa;
		uint64_t entry;
		uint8_t size, bits;
	} table[MAX_TABLES];
	unsigned ntables;
	bool stale;       /* the twin is to take everything over */
	bool vectors;     /* the twin's vector state is in the registers */
	uint8_t faulting; /* the vCPU is at this exception, the twin before its instruction */
	uint64_t blocks;  /* compared */
	uint64_t start;   /* of the current block */
	uint64_t start_flags;
	uint64_t start_gpr[X86_NGPR];
	bool lost;         /* what the twin does outside is not what the vCPU did */
	const char *wrong; /* what differed: the first difference of this block */
	uint64_t wrong_addr, wrong_main, wrong_twin;
	char report[REPORT_BYTES];
	uint8_t code[2 * BT_PAGE]; /* two pages of the guest, next to each other */
	_Alignas(64) uint8_t image[2][X86_XSAVE_SIZE];
};

/* ---- log.c ----------------------------------------------------------------------------------- */
int log_create(struct lockstep *l, struct err *e);
void log_destroy(struct lockstep *l);
/* Makes the twin's memory what devices have made of the vCPU's so far. */
void log_take_dma(struct lockstep *l);
bool log_is_empty(const struct lockstep *l);
void log_reset(struct lockstep *l);

/* ---- twin.c ---------------------------------------------------------------------------------- */
void twin_take_over(struct lockstep *l); /* all state and memory; vector state saved */
/* The twin's address of the same byte of memory. */
uint8_t *twin_byte(const struct lockstep *l, gpa_t gpa);
void twin_take_table_bits(struct lockstep *l); /* both memories get those of the block */
void twin_vectors_out(struct lockstep *l);     /* back to the vCPU's in the registers */

/* ---- code.c ---------------------------------------------------------------------------------- */
/*
 * The page of code that `rip` lies in, with the next one behind it if `end` is beyond it: their
 * size, 0 if there is no memory. Good until the next call.
 */
unsigned code_pages(struct lockstep *l, uint64_t rip, uint64_t end, const uint8_t **page);
/* The instruction at `rip`: its length, or 0. */
unsigned code_decode(struct lockstep *l, uint64_t rip, struct x86_insn *in);

/* ---- compare.c ------------------------------------------------------------------------------- */
/* At the same RIP: does everything agree? Flags that need not are made equal. */
bool compare_all(struct lockstep *l);
void compare_differs(struct lockstep *l, const char *what, uint64_t addr, uint64_t main,
		     uint64_t twin);
/* Every byte of both memories. */
bool compare_memory(struct lockstep *l);

/* ---- report.c -------------------------------------------------------------------------------- */
void report_difference(struct lockstep *l);

#endif
