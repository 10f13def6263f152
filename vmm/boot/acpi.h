/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables that tell a guest what its machine has (ACPI specification 6.4). */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include <stddef.h>

#include "base/err.h"
#include "vmm/memory.h"

struct aml;

/* Writes all tables to BOOT_TABLES; *rsdp is the address of their root. */
int acpi_build(struct guest_memory *m, unsigned nvcpus, gpa_t *rsdp, struct err *e);

/* The differentiated description's code, without the table header. */
void acpi_write_dsdt(struct aml *a);

#endif
