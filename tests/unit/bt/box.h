/* SPDX-License-Identifier: Apache-2.0 */
/* A box to run snippets of guest code in: one vCPU, 2 MiB of memory, any mode, under the
 * interpreter. */
#ifndef TESTS_UNIT_BT_BOX_H
#define TESTS_UNIT_BT_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine/engine.h"

/* Guest physical layout. Page tables map the first 2 MiB onto themselves, page by page. */
#define BOX_IDT    0x1000
#define BOX_GDT    0x2000
#define BOX_TSS    0x3000
#define BOX_PML4   0x4000
#define BOX_PDPT   0x5000
#define BOX_PD     0x6000
#define BOX_PT     0x7000
#define BOX_CODE   0x10000
#define BOX_DATA   0x20000
#define BOX_STACK  0x30000 /* top */
#define BOX_STACK0 0x38000 /* ring 0's, from the TSS */
#define BOX_STACK1 0x3c000 /* IST 1 */
#define BOX_RAM    0x200000

/* Selectors of the GDT that every box has. */
#define SEL_CODE32  0x08
#define SEL_DATA    0x10
#define SEL_CODE64  0x18
#define SEL_UCODE32 0x23
#define SEL_UDATA   0x2b
#define SEL_UCODE64 0x33
#define SEL_GATE    0x38 /* call gate, free for tests; 16 bytes */
#define SEL_TSS     0x48 /* 16 bytes */

enum box_mode {
	BOX_REAL,
	BOX_PROTECTED,
	BOX_LONG
};

struct box {
	enum box_mode mode;
	struct guest_memory mem;
	struct vm_clock clock;
	struct cpu_model cpu;
	struct engine_machine machine;
	struct engine_config cfg;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct x86_cpu_state s; /* loaded before a run, read back after it */
	uint32_t out[16];       /* values written to port 0xf4, in order */
	unsigned nout;
	uint64_t mmio_value; /* what a device at MEM_LOW_END reads as */
	uint64_t mmio_written;
	unsigned nfpu_errors; /* calls for IRQ 13 */
	unsigned device_slot; /* a page of device memory, not mapped */
};

/* Code for the box's mode at BOX_CODE, DS..SS flat, RSP at BOX_STACK, handlers absent. */
void box_open(struct box *b, enum box_mode mode, const uint8_t *code, const uint8_t *end);
/* The same under engine bt with these options. */
void box_open_with(struct box *b, enum box_mode mode, const uint8_t *code, const uint8_t *end,
		   const char *options);
void box_close(struct box *b);
/* Runs until the guest writes to port 0xf5, or crashes. */
enum run_result box_run(struct box *b);

void box_gate(struct box *b, unsigned vector, uint64_t handler, unsigned dpl, unsigned ist);
void box_ring3(struct box *b); /* start there instead of in ring 0 */
uint64_t *box_pte(struct box *b, uint64_t gva);
void *box_at(struct box *b, uint64_t gpa);

#endif
