/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translator: 64-bit and flat 32-bit guest code runs as host code made from it block by block.
 *
 * Each vCPU has a translator and a code cache of its own, so nothing in here is shared between
 * threads. Changes of code made elsewhere arrive through bt_translate_invalidate(), on the vCPU's
 * own thread.
 */
#ifndef VMM_ENGINE_BT_TRANSLATE_TRANSLATE_H
#define VMM_ENGINE_BT_TRANSLATE_TRANSLATE_H

#include <stdbool.h>
#include <signal.h>
#include <ucontext.h>

#include "base/err.h"
#include "vmm/engine/bt/vcpu.h"

/* Sets v->private_translate. The views must exist. */
int bt_translate_init(struct bt_vcpu *v, struct err *e);
void bt_translate_fini(struct bt_vcpu *v);

/*
 * Runs guest code from v->rip until there is something that only the caller can do. true: a request
 * is pending, the vCPU halts, or the mode is one for the interpreter (nothing need have run then:
 * the caller interprets at least one instruction). false: v->fault is to be delivered.
 */
bool bt_translate_run(struct bt_vcpu *v);

/*
 * Bytes of [gpa, gpa+len), inside one page, have changed: drops the blocks made from them. Cheap
 * for pages without blocks. Translated code of the vCPU may be active: it leaves before the next
 * instruction.
 */
void bt_translate_invalidate(struct bt_vcpu *v, gpa_t gpa, unsigned len);
/* Linear addresses are mapped anew: the page (of any size) of *gva, all of them for NULL. */
void bt_translate_unmapped(struct bt_vcpu *v, const uint64_t *gva);
/* Drops everything, at the next chance. */
void bt_translate_flush(struct bt_vcpu *v);

/* Guest RIP of the translated code that runs at host address `pc`, for profiles; 0 if none. */
uint64_t bt_translate_rip(struct bt_vcpu *v, uint64_t pc);

#endif
