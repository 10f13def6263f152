/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lockstep: the interpreter checks the translator while a guest runs (--engine bt,tier=lockstep).
 *
 * The vCPU has a twin with a memory of its own, which only interprets. Block by block, the vCPU
 * runs translated code on the real machine; then the twin interprets until it is where the vCPU
 * is, and both are compared: registers, flags that are live and defined, vectors, and the memory
 * the twin has written. What the twin cannot find out for itself, it is told: the vCPU logs what
 * it read from devices, APIC, TSC and random numbers, what it wrote there (which the twin only
 * checks), and what devices wrote to memory; interrupts arrive between blocks, at both.
 *
 * The machine lock is held while the engine's code runs, so that devices write to memory only
 * between blocks or inside an access to a device. One vCPU.
 */
#ifndef VMM_ENGINE_BT_LOCKSTEP_LOCKSTEP_H
#define VMM_ENGINE_BT_LOCKSTEP_LOCKSTEP_H

#include "vmm/engine/bt/vm.h"

/* What a logged value is; the address is logged along. */
enum lockstep_kind {
	LOG_DMA, /* a device has written to memory */
	LOG_LOAD,
	LOG_STORE,
	LOG_IN,
	LOG_OUT,
	LOG_TSC,
	LOG_CLOCK,
	LOG_RANDOM,
	LOG_RDMSR,
	LOG_WRMSR,
	LOG_CR8,
	LOG_INUSE, /* which vector components the processor says are not in their initial state */
};

struct lockstep;

/* ---- for the engine -------------------------------------------------------------------------- */

/* Gives the VM's vCPU its twin. After everything of the vCPU exists. */
int bt_lockstep_create(struct bt_vm *vm, struct err *e);
void bt_lockstep_destroy(struct bt_vm *vm);
/* The vCPU's state was set from outside: the twin takes it over before it runs again. */
void bt_lockstep_stale(struct bt_vm *vm);
/* Before the vCPU runs, vector state saved. */
void bt_lockstep_begin(struct bt_vcpu *v);
/* The vCPU has written the time into its clock page: so does the twin. */
void bt_lockstep_resume(struct bt_vcpu *v);
/* One block by both. false: they differ, and bt_lockstep_error() says how. */
bool bt_lockstep_run(struct bt_vcpu *v);
void bt_lockstep_error(const struct bt_vcpu *v, struct err *e);

/* ---- hooks: slow halves, called where vm->lockstep is set ------------------------------------ */

bool bt_lockstep_is_twin(const struct bt_vcpu *v);
/* What they did outside differs, or is more than the log holds: nothing is gained by going on. */
bool bt_lockstep_is_lost(const struct bt_vcpu *v);
uint64_t bt_lockstep_value(struct bt_vcpu *v, enum lockstep_kind kind, uint64_t addr, uint64_t val);
void bt_lockstep_written(struct bt_vcpu *v, gpa_t gpa, unsigned len);
void bt_lockstep_table_bits(struct bt_vcpu *v, const uint8_t *entry, unsigned size, uint64_t bits);
void bt_lockstep_dma(struct bt_vm *vm, gpa_t gpa, uint64_t len);
void bt_lockstep_interrupt(struct bt_vcpu *v, unsigned vector);
void bt_lockstep_vectors(struct bt_vcpu *v);
void bt_lockstep_unlock(struct bt_vcpu *v);
void bt_lockstep_lock(struct bt_vcpu *v);

/* A value that the world outside gives, or is given: the vCPU's own, or to the twin the logged one.
 */
static inline uint64_t bt_logged(struct bt_vcpu *v, enum lockstep_kind kind, uint64_t addr,
				 uint64_t val)
{
	return v->vm->lockstep ? bt_lockstep_value(v, kind, addr, val) : val;
}

/* Before vector registers are touched: the twin has a set of its own. */
static inline void bt_use_vectors(struct bt_vcpu *v)
{
	if (v->vm->lockstep)
		bt_lockstep_vectors(v);
}

/* The twin does nothing to the world outside. */
static inline bool bt_is_twin(const struct bt_vcpu *v)
{
	return v->vm->lockstep && bt_lockstep_is_twin(v);
}

#endif
