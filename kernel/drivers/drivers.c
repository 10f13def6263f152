/* SPDX-License-Identifier: Apache-2.0 */
/* Which driver serves which PCI device. */
#include "kernel/drivers/drivers.h"

#include "kernel/drivers/virtio.h"

const struct pci_driver pci_drivers[] = {
	{"virtio-blk", VIRTIO_VENDOR, 0x1042, 0, 0, virtio_blk_probe},
	{"virtio-blk", VIRTIO_VENDOR, 0x1001, 0, 0, virtio_blk_probe}, /* transitional */
	{"ahci", PCI_ANY, PCI_ANY, 0x010601, 0xffffff, ahci_probe},
	{"nvme", PCI_ANY, PCI_ANY, 0x010802, 0xffffff, nvme_probe},
	{"virtio-net", VIRTIO_VENDOR, 0x1041, 0, 0, virtio_net_probe},
	{"virtio-net", VIRTIO_VENDOR, 0x1000, 0, 0, virtio_net_probe}, /* transitional */
	{"virtio-console", VIRTIO_VENDOR, 0x1043, 0, 0, virtio_console_probe},
	{"virtio-console", VIRTIO_VENDOR, 0x1003, 0, 0, virtio_console_probe}, /* transitional */
	{"e1000", 0x8086, 0x100e, 0, 0, e1000_probe},                          /* 82540EM */
	{"e1000", 0x8086, 0x100f, 0, 0, e1000_probe},                          /* 82545EM */
	{"e1000e", 0x8086, 0x10d3, 0, 0, e1000_probe},                         /* 82574L */
	{0},
};
