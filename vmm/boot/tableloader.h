/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script by which firmware places ACPI tables that the machine made: allocate each file, add
 * its address to the links, mend the checksums. (Interface of QEMU's hw/acpi/bios-linker-loader.)
 */
#ifndef VMM_BOOT_TABLELOADER_H
#define VMM_BOOT_TABLELOADER_H

#include "vmm/boot/acpi.h"

#define TABLELOADER_FILE   "etc/table-loader"
#define TABLELOADER_RSDP   "etc/acpi/rsdp"
#define TABLELOADER_TABLES "etc/acpi/tables"

#define TABLELOADER_ENTRY_SIZE 128
/* Two allocations, the RSDP's link and its two checksums, and the tables' own. */
#define TABLELOADER_MAX (5 + ACPI_MAX_LINKS + ACPI_MAX_TABLES)

/* Writes the script for tables linked at base 0; returns its size. */
size_t tableloader_write(uint8_t script[TABLELOADER_MAX * TABLELOADER_ENTRY_SIZE],
			 const struct acpi_tables *t);

#endif
