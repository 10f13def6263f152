/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS: the names of the machine as a guest's DMI shows them (DMTF DSP0134). */
#ifndef VMM_BOOT_SMBIOS_H
#define VMM_BOOT_SMBIOS_H

#include "base/err.h"
#include "vmm/memory.h"

/* Writes entry point and structures to BOOT_SMBIOS, where guests search for them. */
int smbios_build(struct guest_memory *m, struct err *e);

#endif
