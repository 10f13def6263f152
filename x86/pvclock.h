/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's paravirtual clock (Linux' Documentation/virt/kvm/x86/msr.rst): what its pages say. A reader
 * begins again while the version is odd or has changed, so whoever writes one makes it odd before
 * and even after.
 */
#ifndef X86_PVCLOCK_H
#define X86_PVCLOCK_H

#include <stdint.h>

#define PVCLOCK_ENABLE 1u /* of the MSR with the page's address */

struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul; /* ns = (ticks << shift) * mul >> 32 */
	int8_t shift;
	uint8_t flags, pad[2];
};

struct pvclock_wall {
	uint32_t version, s, ns;
};

/* The page for a version; khz 0: as if it were 1 GHz. */
struct pvclock pvclock_at(uint32_t version, uint64_t tsc, uint64_t ns, uint32_t khz);
/* Wall-clock time at which the paravirtual clock was 0. */
struct pvclock_wall pvclock_wall_at(uint64_t ns);

#endif
