/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that a bzImage has inside, put where the guest's own start code would put it:
 * unpacking takes that code many times as long. Randomised as it would (KASLR): both where the
 * kernel is in memory and, by the relocations behind it, where it is linked.
 */
#ifndef VMM_BOOT_VMLINUX_H
#define VMM_BOOT_VMLINUX_H

#include "vmm/boot/loader.h"

struct vmlinux_plan {
	uint64_t payload, payload_size; /* in the file */
	gpa_t address;                  /* it is made for: the preferred one */
	uint64_t room, alignment;       /* what it needs in memory */
	gpa_t limit;                    /* end of the memory it may have */
};

struct vmlinux {
	gpa_t address, entry;
	bool randomised;
};

/* false: it is packed or built in a way that only its own start code knows. Memory from
 * plan->address to plan->limit may have changed then. */
bool vmlinux_load(const struct boot_job *j, const struct vmlinux_plan *plan, struct vmlinux *out);

#endif
