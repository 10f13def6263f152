/* SPDX-License-Identifier: Apache-2.0 */
/* Which driver serves which PCI device. */
#include "kernel/drivers/pci.h"

const struct pci_driver pci_drivers[] = {
	{0},
};
