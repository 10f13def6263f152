/* SPDX-License-Identifier: Apache-2.0 */
/* What firmware is told about the machine: memory, processors, tables, boot order; its flash chip.
 */
#ifndef VMM_FIRMWAREFILES_H
#define VMM_FIRMWAREFILES_H

#include "vmm/machine.h"

/* After boot_prepare_memory(): opens the variables of UEFI and adds their ROM slot. */
int machine_prepare_flash(struct machine *m, struct err *e);
/* Creates flash chip and fw_cfg device, with all that is known before the other devices. */
int machine_add_firmware(struct machine *m, struct err *e);
/* Once all devices are there: the tables and the order in which firmware tries to boot. */
int machine_fill_firmware(struct machine *m, struct err *e);

/*
 * Notes a device that can be booted from. `class` is one of spec.boot_order's, `bootindex` 0 or the
 * user's place; `unit` tells the drives of one controller apart.
 */
int machine_note_bootable(struct machine *m, struct device *d, unsigned unit, const char *class,
			  unsigned bootindex, struct err *e);

#endif
