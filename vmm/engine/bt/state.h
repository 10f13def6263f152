/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU's state to and from the engine-neutral form (state.c). */
#ifndef VMM_ENGINE_BT_STATE_H
#define VMM_ENGINE_BT_STATE_H

#include "vmm/engine/bt/vcpu.h"

#include "base/err.h"

void bt_state_get(struct bt_vcpu *v, struct x86_cpu_state *s);
/* -EINVAL and nothing changed for a state that no processor can be in. */
int bt_state_set(struct bt_vcpu *v, const struct x86_cpu_state *s, struct err *e);

#endif
