/* SPDX-License-Identifier: Apache-2.0 */
/* IRQ 13: x87 errors as a PC/AT reports them. */
#ifndef VMM_DEVICE_FPUERROR_H
#define VMM_DEVICE_FPUERROR_H

#include "vmm/device.h"

extern const struct device_ops fpuerror_ops; /* [] */

/* The processor has met an unmasked x87 error with CR0.NE = 0. With the machine lock held. */
void fpuerror_assert(struct device *d);

#endif
