/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware as a flat image, and where the well-known ones are installed. */
#ifndef VMM_BOOT_FIRMWARE_H
#define VMM_BOOT_FIRMWARE_H

#include "vmm/boot/boot.h"

struct firmware_files {
	const char *code;
	const char *variables; /* what a new VM's UEFI variables are copied from; NULL: none */
};

/* "bios" and "uefi" are looked for; any other name is the file itself. */
int firmware_find(const char *name, struct firmware_files *f, struct err *e);

/* The code's file; NULL when it is not found. */
const char *firmware_code(const char *name);

/* Fills the ROM slot of boot_prepare_memory() and sets the power-on state. */
int firmware_load(const struct boot_config *b, struct guest_memory *m, struct x86_cpu_state *bsp,
		  struct err *e);

#endif
