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

/* Address space that must be free behind a vCPU's context block: for translated code, which reaches
 * the block relative to itself. */
#define BT_CODE_ROOM (96u << 20)

/* Sets v->private_translate. The views must exist. */
int bt_translate_init(struct bt_vcpu *v, struct err *e);
void bt_translate_fini(struct bt_vcpu *v);

/*
 * Runs guest code from v->rip until there is something that only the caller can do. true: a request
 * is pending, the vCPU halts, or the mode is one for the interpreter (nothing need have run then:
 * the caller interprets at least one instruction). false: v->fault is to be delivered.
 */
bool bt_translate_run(struct bt_vcpu *v);

/* Lockstep: the one block at v->rip, translated at once if it can be. */
enum bt_block_result {
	BT_BLOCK_NONE,  /* there is none: interpret an instruction */
	BT_BLOCK_IDLE,  /* nothing has run: a request is pending */
	BT_BLOCK_RAN,   /* v->rip is where it goes on */
	BT_BLOCK_FAULT, /* v->fault is to be delivered at v->rip */
};
enum bt_block_result bt_translate_block(struct bt_vcpu *v);

/* Jcc, JRCXZ and LOOPs: a block goes on behind them. */
bool bt_is_conditional_jump(const struct x86_insn *in);
/* Status flags that are read before they are set from `off` of the code on, as the translator sees
 * it; what leads out of the code reads all. */
unsigned bt_translate_flags_live(const struct bt_vcpu *v, const uint8_t *code, unsigned off,
				 unsigned size);
/* Status flags that straight-line code leaves undefined on its way to `exit` bytes from its start.
 */
unsigned bt_translate_flags_undefined(const struct bt_vcpu *v, const uint8_t *code, unsigned room,
				      int64_t exit);

/*
 * Bytes of [gpa, gpa+len), inside one page, have changed: drops the blocks made from them. Cheap
 * for pages without blocks. Translated code of the vCPU may be active: it leaves before the next
 * instruction.
 */
void bt_translate_invalidate(struct bt_vcpu *v, gpa_t gpa, unsigned len);
/* The same bytes change again and again: before bt_translate_invalidate(), which drops the blocks
 * made from them. They are not made again so soon. */
void bt_translate_cool(struct bt_vcpu *v, gpa_t gpa, unsigned len);
/* Linear addresses are mapped anew: the page (of any size) of *gva, all of them for NULL. */
void bt_translate_unmapped(struct bt_vcpu *v, const uint64_t *gva);
/* The guest's debug registers have changed: drops code that does not know its breakpoints. */
void bt_translate_points(struct bt_vcpu *v);
/* The view's jump cache, or code of a page in it, is no longer right. */
void bt_translate_unlink(struct bt_vcpu *v, const struct bt_view *view);
/* Drops everything, at the next chance. */
void bt_translate_flush(struct bt_vcpu *v);

/* How often this instruction was interpreted on behalf of translated code. */
uint64_t bt_translate_fallbacks(const struct bt_vcpu *v, unsigned op);

/* Whether new translations count their instructions and accesses; drops the old ones. */
void bt_translate_count(struct bt_vcpu *v, bool on);

/* Guest RIP of the translated code that runs at host address `pc`, for profiles; 0 if none. */
uint64_t bt_translate_rip(struct bt_vcpu *v, uint64_t pc);

#endif
