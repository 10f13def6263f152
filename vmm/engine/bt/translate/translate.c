/* SPDX-License-Identifier: Apache-2.0 */
/* The translator's life, its run loop, and news from other threads. */
#include "vmm/engine/bt/translate/build.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "vmm/engine/bt/fpu.h"

#define HWCAP2_FSGSBASE 2
#define OTHER_INSNS     10000
#define COLD_INSNS      32 /* interpreted in a row before code is looked for again */

static bool host_has_bmi(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_BMI) && (b & bit_BMI2);
}

static void set_constants(struct translator *t)
{
	struct bt_vcpu *v = t->v;

	v->scratch[SCR_MASK_PAGE] = BT_PAGE_MASK;
	v->scratch[SCR_MASK_OFFSET] = BT_PAGE - 1;
	v->scratch[SCR_MASK_SECOND] = BT_JC_SIZE - 1;
	v->scratch[SCR_NOT_IF] = ~(uint64_t)FL_IF;
	v->scratch[SCR_NOT_DF] = ~(uint64_t)FL_DF;
	v->scratch[SCR_STATUS] = X86_F_STATUS;
	v->scratch[SCR_PUSHED] = ~(uint64_t)(X86_F_STATUS | FL_RF | FL_VM);
	v->scratch[SCR_TSD] = CR4_TSD;
	v->scratch[SCR_MASK_63] = 63;
	v->scratch[SCR_MASK_31] = 31;
	v->scratch[SCR_STACK_MASK] = ~(uint64_t)(BT_PAGE - STACK_WORD);
	v->scratch[SCR_DIRECT] = TR_DIRECT;
	v->stack = BT_STACK_NONE;
	t->jc = (int32_t)((char *)v->views[0].jc - (char *)v->views[0].gs);
}

int bt_translate_init(struct bt_vcpu *v, struct err *e)
{
	struct translator *t;
	int rc;

	if (!host_has_bmi()) /* the interpreter does it all */
		return 0;
	t = aligned_alloc(_Alignof(struct translator), sizeof(*t));
	if (!t)
		return err_set(e, -ENOMEM, "no memory for a vCPU's translator");
	memset(t, 0, sizeof(*t));
	t->v = v;
	t->patience = TR_PATIENCE;
	t->one_block = v->vm->tier == BT_TIER_LOCKSTEP;
	t->build = calloc(1, sizeof(*t->build));
	rc = t->build ? tr_cache_init(t, e)
		      : err_set(e, -ENOMEM, "no memory for the block builder");
	if (rc)
		goto free_translator;
	t->fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	set_constants(t);
	tr_stubs_emit(t);
	for (unsigned i = 0; i < BT_NVIEWS; i++)
		v->views[i].jc_none = t->stub_none - t->rw + t->rx;
	v->private_translate = t;
	v->fpu->fpe = tr_host_fault;
	return 0;
free_translator:
	tr_cache_fini(t);
	free(t->build);
	free(t);
	return rc;
}

void bt_translate_fini(struct bt_vcpu *v)
{
	struct translator *t = tr_of(v);

	if (!t)
		return;
	v->fpu->fpe = NULL;
	v->private_translate = NULL;
	tr_cache_fini(t);
	free(t->build);
	free(t);
}

void tr_trace(const struct translator *t, const char *what, const struct tr_block *b)
{
	if (!t->v->vm->trace_code)
		return;
	bt_fpu_leave(t->v);
	log_info("vCPU %u: %s code at %#llx, physical %#llx, %u bytes, %u of the host's",
		 t->v->index, what, (unsigned long long)b->va, (unsigned long long)b->gpa, b->len,
		 b->end - b->indirect);
	bt_fpu_enter(t->v);
}

void bt_translate_count(struct bt_vcpu *v, bool on)
{
	struct translator *t = tr_of(v);

	if (!t)
		return;
	t->counts = on;
	bt_translate_flush(v);
}

uint64_t bt_translate_fallbacks(const struct bt_vcpu *v, unsigned op)
{
	const struct translator *t = v->private_translate;

	return t ? t->fallback[op] : 0;
}

void tr_set_gs(struct translator *t, struct bt_vcpu *v)
{
	void *gs = v->view->gs;

	v->tlb_mask = (uint64_t)v->view->mask << BT_TLB_ENTRY_SHIFT;
	if (t->gs == gs)
		return;
	t->gs = gs;
	v->stack = BT_STACK_NONE; /* that is of another view */
	tr_links_enter(t, v->view);
	if (t->fsgsbase)
		__asm__ volatile("wrgsbase %0" : : "r"(gs));
	else
		bt_syscall(SYS_arch_prctl, ARCH_SET_GS, (long)gs, 0, 0);
}

/* ---- running
 * ------------------------------------------------------------------------------------- */

static bool can_run(const struct bt_vcpu *v)
{
	return !atomic_load_explicit(&v->requests, memory_order_relaxed) &&
	       v->activity == X86_ACTIVE && !v->shutdown && tr_mode_ok(v->mode);
}

/* The same; and running code will look up at the next request. */
static bool is_ready(struct bt_vcpu *v)
{
	if (atomic_load_explicit(&v->hurry, memory_order_relaxed)) {
		atomic_store(&v->hurry, 0);
		atomic_store(&v->jump_mask, BT_JC_MASK);
		atomic_thread_fence(memory_order_seq_cst); /* as bt_post() says */
	}
	return can_run(v);
}

/* Code not worth translating yet: one straight piece of it. Code that cannot be: one instruction.
 */
static void run_cold(struct translator *t, struct bt_vcpu *v)
{
	for (unsigned i = 0; i < COLD_INSNS && can_run(v); i++) {
		uint64_t rip = v->rip;

		bt_interpret_one(v);
		if (v->rip - rip > X86_MAX_INSN_LEN || !t->is_cold)
			break;
	}
}

/* 16-bit and segmented code, until it changes to a mode for the translator. */
static void run_other_modes(struct bt_vcpu *v)
{
	for (unsigned i = 0; i < OTHER_INSNS && !tr_mode_ok(v->mode); i++) {
		if (atomic_load_explicit(&v->requests, memory_order_relaxed) ||
		    v->activity != X86_ACTIVE || v->shutdown || v->interrupt_shadow ||
		    (v->mode & BT_MODE_STEP))
			break;
		bt_interpret_one(v);
	}
}

/* A debugger, a profile or a full queue of changes has asked for it. */
static void flush(struct translator *t)
{
	t->v->stat.flushes_asked++;
	tr_cache_flush(t);
}

bool bt_translate_run(struct bt_vcpu *v)
{
	struct translator *t = tr_of(v);
	const uint8_t *code;

	if (!t)
		return true;
	run_other_modes(v);
	t->gs = NULL; /* the thread, or its GS base, may be another one */
	while (is_ready(v)) {
		if (t->flush_wanted)
			flush(t);
		code = tr_dispatch(v);
		if (!code) {
			run_cold(t, v);
			continue;
		}
		v->stat.translated_entries++;
		t->enter(v, code);
		if (t->faulted) {
			t->faulted = false;
			return false;
		}
	}
	return true;
}

enum bt_block_result bt_translate_block(struct bt_vcpu *v)
{
	struct translator *t = tr_of(v);
	const uint8_t *code;

	if (!t || !is_ready(v))
		return BT_BLOCK_NONE;
	if (t->flush_wanted)
		flush(t);
	t->entered = t->polled = false;
	t->gs = NULL;
	code = tr_dispatch(v);
	if (!code)
		return atomic_load(&v->requests) ? BT_BLOCK_IDLE : BT_BLOCK_NONE;
	t->entered = true;
	v->stat.translated_entries++;
	t->enter(v, code);
	t->entered = false;
	if (t->faulted) {
		t->faulted = false;
		return BT_BLOCK_FAULT;
	}
	return t->polled ? BT_BLOCK_IDLE : BT_BLOCK_RAN;
}
