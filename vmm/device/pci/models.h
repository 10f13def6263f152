/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI device models that are no virtio devices, by their C names. */
#ifndef VMM_DEVICE_PCI_MODELS_H
#define VMM_DEVICE_PCI_MODELS_H

#include "vmm/device.h"

extern const struct device_ops lpc_ops; /* [] at 1f.0 */

#endif
