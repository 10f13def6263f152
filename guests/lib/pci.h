/* SPDX-License-Identifier: Apache-2.0 */
/* PCI configuration space by mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2), bus 0. */
#ifndef GUESTS_LIB_PCI_H
#define GUESTS_LIB_PCI_H

#include "guests/lib/guest.h"

static inline uint32_t pci_read(unsigned dev, unsigned fn, unsigned reg)
{
	outl(0xcf8, 0x80000000 | dev << 11 | fn << 8 | reg);
	return inl(0xcfc);
}

static inline void pci_write(unsigned dev, unsigned fn, unsigned reg, uint32_t val)
{
	outl(0xcf8, 0x80000000 | dev << 11 | fn << 8 | reg);
	outl(0xcfc, val);
}

#endif
