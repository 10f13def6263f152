/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a vCPU spends its time: samples of the guest's RIP, and what was counted meanwhile.
 *
 * Written by the vCPU's thread alone (profile_add() also from a signal handler there); read when
 * the vCPU stands.
 */
#ifndef VMM_ENGINE_PROFILE_H
#define VMM_ENGINE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#define PROFILE_SLOTS 8192 /* different addresses; a power of two */
#define PROFILE_TRIES 32

struct profile {
	struct {
		uint64_t rip;
		uint32_t count; /* 0: free */
	} slot[PROFILE_SLOTS];
	uint64_t samples;
	uint64_t idle; /* halted when the sample was due */
	uint64_t lost; /* no slot was near */
	/* Since it began; 0 where an engine cannot count. */
	uint64_t instructions, accesses, tlb_misses;
};

static inline void profile_add(struct profile *p, uint64_t rip)
{
	unsigned at = (unsigned)((rip * 0x9e3779b97f4a7c15ull) >> 51);

	p->samples++;
	for (unsigned i = 0; i < PROFILE_TRIES; i++, at++) {
		unsigned n = at % PROFILE_SLOTS;

		if (p->slot[n].count && p->slot[n].rip != rip)
			continue;
		p->slot[n].rip = rip;
		p->slot[n].count++;
		return;
	}
	p->lost++;
}

#endif
