/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where PCI lives in the address spaces: what the host bridge decodes and what ACPI and the memory
 * map tell the guest. RAM below 4 GiB ends at or below PCI_ECAM_BASE (MEM_LOW_END).
 */
#ifndef VMM_DEVICE_PCI_LAYOUT_H
#define VMM_DEVICE_PCI_LAYOUT_H

#define PCI_ECAM_BASE   0xb0000000ull /* 256 buses of 1 MiB; firmware may move it (PCIEXBAR) */
#define PCI_ECAM_SIZE   0x10000000ull
#define PCI_MMIO32_BASE 0xc0000000ull /* 32-bit BARs; the I/O APIC follows */
#define PCI_MMIO32_END  0xfec00000ull
#define PCI_MMIO64_BASE 0x4000000000ull /* 64-bit BARs: the upper half of 39 address bits */
#define PCI_MMIO64_SIZE 0x4000000000ull
#define PCI_IO_BASE     0xc000 /* I/O BARs; everything below is the PC's own */
#define PCI_IO_END      0x10000
#define PCI_CONFIG_PORT 0xcf8 /* configuration mechanism 1: 0xcf8..0xcff */

/* There are no bridges. Told of more buses, Linux asks all their devices who they are. */
#define PCI_LAST_BUS 0

/*
 * INTA..INTD of device d: GSI 16 + (d + pin) mod 4, level-triggered; chips ignore polarity. From
 * device 25 on, the chip set's own, there is no rotation: PC firmware knows it so.
 */
#define PCI_INTX_GSI(dev, pin) (16 + (((dev) < 25 ? (dev) + (pin) : (pin)) & 3))

#endif
