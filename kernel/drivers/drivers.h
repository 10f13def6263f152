/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers.c offers devices to; each as struct pci_driver's probe(). */
#ifndef KERNEL_DRIVERS_DRIVERS_H
#define KERNEL_DRIVERS_DRIVERS_H

#include "kernel/drivers/pci.h"

int ahci_probe(struct pci_device *p);
int e1000_probe(struct pci_device *p);
int nvme_probe(struct pci_device *p);
int virtio_blk_probe(struct pci_device *p);
int virtio_console_probe(struct pci_device *p);
int virtio_net_probe(struct pci_device *p);

#endif
