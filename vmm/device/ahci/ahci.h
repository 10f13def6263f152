/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SATA controller with hard disks and CD-ROM drives. (Serial ATA AHCI 1.3.1; ATA8-ACS; SFF-8020
 * and MMC-5 for the CD-ROM.) It looks like ICH9's at PCI 1f.2, with one port for each drive, 32
 * command slots, native command queueing, and one interrupt line.
 */
#ifndef VMM_DEVICE_AHCI_AHCI_H
#define VMM_DEVICE_AHCI_AHCI_H

#include "vmm/backend/disk.h"
#include "vmm/device.h"

#define AHCI_PORTS 6

/* Back end of the device: copied; the disks outlive it. */
struct ahci_setup {
	struct ahci_drive {
		bool present, cdrom;
		struct disk *disk; /* NULL: CD-ROM drive without a disc */
	} drive[AHCI_PORTS];
};

extern const struct device_ops ahci_ops; /* [] backend: struct ahci_setup */

/*
 * Puts another disc into the CD-ROM drive `port`, NULL: none. -EBUSY when the guest holds the tray
 * and `force` is not set. Requests to the old disc have ended on return. Machine lock held.
 */
int ahci_change_disc(struct device *d, unsigned port, struct disk *disc, bool force, struct err *e);

#endif
