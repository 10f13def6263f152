/* SPDX-License-Identifier: Apache-2.0 */
/* The record of one processor, its instance the vCPU's number; the object is x86_cpu_state. */
#ifndef VMM_STATE_CPU_H
#define VMM_STATE_CPU_H

#include "vmm/state/state.h"
#include "x86/state.h"

extern const struct state_desc cpu_state_desc;

#endif
