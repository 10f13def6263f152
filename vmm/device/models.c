/* SPDX-License-Identifier: Apache-2.0 */
/* The list of device models that a machine can be built from. */
#include "vmm/device/models.h"

#include <string.h>

#include "vmm/device/acpipm.h"
#include "vmm/device/ahci/ahci.h"
#include "vmm/device/e1000/e1000.h"
#include "vmm/device/fpuerror.h"
#include "vmm/device/fwcfg.h"
#include "vmm/device/hpet.h"
#include "vmm/device/nvme/nvme.h"
#include "vmm/device/pci/models.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/pflash.h"
#include "vmm/device/vga/vga.h"
#include "vmm/device/virtio/models.h"

const struct device_ops *const device_models[] = {
	/* the PC's own */
	&pit_ops,
	&rtc_ops,
	&i8042_ops,
	&fpuerror_ops,
	&acpipm_ops,
	&uart_ops,
	&fwcfg_ops,
	&hpet_ops,
	&pflash_ops,
	/* PCI */
	&pci_host_ops,
	&lpc_ops,
	&ahci_ops,
	&nvme_ops,
	&e1000_ops,
	&vga_ops,
	&virtio_blk_ops,
	&virtio_net_ops,
	&virtio_console_ops,
	&virtio_rng_ops,
	&virtio_balloon_ops,
	&virtio_tablet_ops,
	/* for test guests */
	&debugexit_ops,
	&debugcon_ops,
	NULL,
};

const struct device_ops *device_find(const char *name)
{
	for (size_t i = 0; device_models[i]; i++)
		if (!strcmp(device_models[i]->name, name))
			return device_models[i];
	return NULL;
}
