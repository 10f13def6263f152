/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples of a vCPU's RIP, taken by a signal to its thread: the handler finds the guest instruction
 * by the host's RIP in translated code; elsewhere the vCPU's own RIP is the last one known.
 * Meanwhile translated code counts its instructions and memory accesses (translate/block.c).
 */
#include <signal.h>

#include "vmm/engine/bt/translate/translate.h"
#include "vmm/engine/bt/vm.h"

void bt_profile(struct bt_vcpu *v, struct profile *p)
{
	struct profile *old = v->profile;

	if (old) {
		old->instructions = v->stat.counted_insns + v->stat.interpreted -
				    v->stat.fallbacks - old->instructions;
		old->accesses = v->stat.counted_accesses - old->accesses;
		old->tlb_misses = v->stat.tlb_misses - old->tlb_misses;
	}
	if (p) {
		p->instructions = v->stat.counted_insns + v->stat.interpreted - v->stat.fallbacks;
		p->accesses = v->stat.counted_accesses;
		p->tlb_misses = v->stat.tlb_misses;
	}
	v->profile = p;
	bt_translate_count(v, p != NULL);
}

void bt_sample(struct bt_vcpu *v)
{
	if (atomic_load(&v->sleeping))
		v->profile->idle++; /* its thread touches other fields only */
	else if (atomic_load(&v->running))
		pthread_kill(v->thread, SIGPROF);
}

void bt_take_sample(struct bt_vcpu *v, uint64_t host_rip)
{
	uint64_t rip;

	if (!v->profile)
		return;
	rip = bt_translate_rip(v, host_rip);
	profile_add(v->profile, rip ? rip : v->rip);
}
