/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of one vCPU in 64-bit mode for the translator's tests, under a chosen tier. */
#ifndef TESTS_UNIT_TRANSLATE_MACHINE_H
#define TESTS_UNIT_TRANSLATE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "x86/state.h"

#define TM_CODE  0x20f00 /* not far from the end of a page */
#define TM_DATA  0x40000
#define TM_STACK 0x58000

struct test_machine;
struct engine_vcpu;
struct engine_vm;

struct test_machine *tm_new(const char *options);
void tm_free(struct test_machine *m);
/* The same start for every run: memory, registers from `seed`. */
void tm_reset(struct test_machine *m, uint32_t seed, const uint8_t *code, unsigned len);
/* Runs to the OUT that ends it, or an exception; false if it did neither within the instruction
 * budget. */
bool tm_run(struct test_machine *m);
void tm_state(const struct test_machine *m, struct x86_cpu_state *s);
/* After tm_reset(): memory and registers to start with, to be changed; tm_load() makes that count.
 */
uint8_t *tm_ram(struct test_machine *m);
struct x86_cpu_state *tm_start(struct test_machine *m);
void tm_load(struct test_machine *m);
/* The registers of the last tm_reset() once more; memory stays, and what was translated from it. */
void tm_again(struct test_machine *m);
/* As a device does, between runs. */
void tm_written(struct test_machine *m, unsigned at, unsigned len);
bool tm_ended(const struct test_machine *m); /* the code has reached its OUT */
/* Makes and destroys a VM with these options and this many vCPUs; 0, or what was wrong. */
int tm_try(const char *options, unsigned nvcpus, struct err *e);
struct engine_vm *tm_vm(struct test_machine *m);
struct engine_vcpu *tm_vcpu(struct test_machine *m);
const uint8_t *tm_memory(const struct test_machine *m, unsigned *len);

#endif
