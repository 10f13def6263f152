/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS: the names of the machine as a guest's DMI shows them (DMTF DSP0134). */
#ifndef VMM_BOOT_SMBIOS_H
#define VMM_BOOT_SMBIOS_H

#include "base/err.h"
#include "vmm/memory.h"

/*
 * Writes entry point and structures to BOOT_SMBIOS, where guests search for them. `uuid` is the
 * machine's in the order in which it is written down (RFC 9562); all zeros: none.
 */
int smbios_build(struct guest_memory *m, const uint8_t uuid[16], struct err *e);

#define SMBIOS_ANCHOR_SIZE 24

/*
 * For firmware, which finds a place itself: the structures (returns their size, 0 if they need more
 * than `cap`), and the entry point for structures at `address`.
 */
size_t smbios_write(uint8_t *to, size_t cap, const uint8_t uuid[16]);
void smbios_write_anchor(uint8_t anchor[SMBIOS_ANCHOR_SIZE], size_t size, gpa_t address);

#endif
