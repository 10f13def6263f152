/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware: PM1 event and control, the PM timer, GPE block 0 and the reset port. The
 * same numbers stand in the FADT (vmm/boot/acpi.c). (ACPI 6.4 section 4.8.)
 */
#ifndef VMM_DEVICE_ACPIPM_H
#define VMM_DEVICE_ACPIPM_H

#include "vmm/device.h"

#define ACPIPM_PM1_EVT    0x600 /* status, enable: 2 bytes each */
#define ACPIPM_LEN        0x80  /* ports from there on belong to power management */
#define ACPIPM_PM1_CNT    0x604
#define ACPIPM_PM_TMR     0x608 /* 32 bits at 3.579545 MHz */
#define ACPIPM_GPE0       0x620 /* status, enable: 2 bytes each */
#define ACPIPM_GPE0_LEN   4
#define ACPIPM_RESET_PORT 0xcf9 /* decoded by the PCI host bridge, amid its 0xcf8..0xcff */
#define ACPIPM_RESET_VAL  0x06
#define ACPIPM_SCI_GSI    9
#define ACPIPM_S5_TYPE    0 /* SLP_TYP of soft off, in PM1_CNT and \_S5: the one OVMF writes */

extern const struct device_ops acpipm_ops;

/* The user presses the power button: the guest gets an SCI if it enabled it. Machine lock held. */
void acpipm_power_button(struct device *d);

#endif
