/* SPDX-License-Identifier: Apache-2.0 */
/* Disks and CD-ROMs of a machine: which device each is plugged into, and discs that come and go. */
#ifndef VMM_DRIVES_H
#define VMM_DRIVES_H

#include "vmm/machine.h"

/* Opens the images and creates the devices that the description asks for. */
int machine_add_drives(struct machine *m, struct err *e);
/* After the devices are gone. */
void machine_close_drives(struct machine *m);

/* Methods "cdroms", "cdrom_insert", "cdrom_eject" and "disk_grow" of the control socket. */
struct control_method;
extern const struct control_method drive_methods[];

#endif
