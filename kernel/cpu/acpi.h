/* SPDX-License-Identifier: Apache-2.0 */
/* The static tables of ACPI 6.4: which CPUs and interrupt controllers there are, power-off. */
#ifndef KERNEL_CPU_ACPI_H
#define KERNEL_CPU_ACPI_H

#include <stdbool.h>
#include <stdint.h>

struct acpi_info {
	uint32_t apic_ids[64];
	unsigned ncpus;
	uint16_t pm1a_control; /* port; 0: no power-off by ACPI */
	uint16_t slp_typ;      /* value of _S5, found in the DSDT */
	bool reset_port_valid;
	uint16_t reset_port;
	uint8_t reset_value;
};

/* `rsdp` is a physical address or 0, then the BIOS area is searched. False: no tables. */
bool acpi_init(uint64_t rsdp);
extern struct acpi_info acpi;

_Noreturn void machine_power_off(void);
_Noreturn void machine_reboot(void);

#endif
