/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables that tell a guest what its machine has (ACPI specification 6.4). */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "vmm/memory.h"

struct aml;

struct acpi_config {
	unsigned nvcpus;
	uint64_t ecam;    /* where PCI configuration space is, UINT64_MAX: nowhere */
	uint64_t ram_end; /* first byte above all RAM: windows for 64-bit BARs follow */
	bool has_vga, has_hpet;
};

#define ACPI_MAX_TABLES 8
#define ACPI_MAX_LINKS  16
#define ACPI_RSDP_SIZE  36
#define ACPI_CHECKSUM   9 /* offset in a table */

/*
 * All tables but the RSDP as one block, linked for a place at `base`. Whoever moves the block adds
 * the distance to all links and corrects the checksums.
 */
struct acpi_tables {
	uint8_t *buf;
	size_t len, cap;
	bool full; /* the block is too small: the content is void */
	gpa_t base;
	uint32_t xsdt; /* offset of the root */
	struct acpi_link {
		uint32_t at;
		uint8_t bytes;
	} link[ACPI_MAX_LINKS];
	unsigned nlinks;
	struct acpi_part {
		uint32_t at, len;
	} table[ACPI_MAX_TABLES]; /* those with a checksum */
	unsigned ntables;
};

/* The caller has set buf (zeroed), cap and base, a multiple of 64. */
void acpi_write_tables(struct acpi_tables *t, const struct acpi_config *c);
void acpi_write_rsdp(uint8_t rsdp[ACPI_RSDP_SIZE], gpa_t xsdt);

/* Writes RSDP and tables to BOOT_TABLES; *rsdp is the address of their root. */
int acpi_build(struct guest_memory *m, const struct acpi_config *c, gpa_t *rsdp, struct err *e);

/* The differentiated description's code, without the table header. */
void acpi_write_dsdt(struct aml *a, const struct acpi_config *c);

#endif
