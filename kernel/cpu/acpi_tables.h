/* SPDX-License-Identifier: Apache-2.0 */
/* Where ACPI's tables begin (ACPI 6.4, 5.2.5.3 and 5.2.6). */
#ifndef KERNEL_CPU_ACPI_TABLES_H
#define KERNEL_CPU_ACPI_TABLES_H

#include <stdint.h>

struct sdt {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[22]; /* IDs and revision of who made it */
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
} __attribute__((packed));

#endif
