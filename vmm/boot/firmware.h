/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware images: flat, ending at 4 GiB, entered at the processor's reset vector. */
#ifndef VMM_BOOT_FIRMWARE_H
#define VMM_BOOT_FIRMWARE_H

#include "vmm/boot/boot.h"

int firmware_load(const char *path, struct guest_memory *m, struct x86_cpu_state *bsp,
		  struct err *e);

#endif
