/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the engine's side that runs with the guest's vectors in the host's registers. */
#ifndef TESTS_ORACLE_ENGINE_H
#define TESTS_ORACLE_ENGINE_H

#include "vmm/engine/bt/vm.h"

/* Interprets from v->rip on until RIP leaves the code; what it raised (NO_FAULT: nothing) is in
 * v->fault.vector.
 */
void oracle_interpret(struct bt_vcpu *v, enum x86_mode mode, const uint8_t *code, unsigned len);

#endif
