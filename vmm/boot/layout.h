/* SPDX-License-Identifier: Apache-2.0 */
/* What the loaders put where in the guest's first MiB, and the memory map that tells of it. */
#ifndef VMM_BOOT_LAYOUT_H
#define VMM_BOOT_LAYOUT_H

#include "vmm/memory.h"

#define BOOT_GDT         0x1000ull
#define BOOT_INFO        0x2000ull /* multiboot information, PVH start information */
#define BOOT_INFO_SIZE   0x2000ull
#define BOOT_ZERO_PAGE   0x7000ull /* Linux: struct boot_params */
#define BOOT_SETUP_DATA  0x8000ull /* Linux: struct setup_data */
#define BOOT_PAGE_TABLES 0x9000ull /* PML4, PDPT and four page directories: 24 KiB */
#define BOOT_CMDLINE     0x20000ull
#define BOOT_CMDLINE_MAX 0x10000ull
#define BOOT_LOW_RAM_END 0x9fc00ull /* the EBDA of a PC follows */
#define BOOT_TABLES      0xe0000ull /* ACPI; the RSDP is at the start, where a BIOS has it */
#define BOOT_TABLES_SIZE 0x10000ull
#define BOOT_SMBIOS      0xf0000ull
#define BOOT_SMBIOS_SIZE 0x1000ull
#define BOOT_TABLES_END  (BOOT_SMBIOS + BOOT_SMBIOS_SIZE)
#define BOOT_HIGH        0x100000ull /* kernels and modules: from here up */

enum boot_range_type {
	BOOT_RAM = 1,
	BOOT_RESERVED = 2
}; /* values of INT 15h, E820h */

struct boot_range {
	uint64_t base, size;
	enum boot_range_type type;
};

#define BOOT_MAX_RANGES 8

/* Fills `r` in ascending order; returns how many there are. */
unsigned boot_memory_map(const struct guest_memory *m, struct boot_range r[BOOT_MAX_RANGES]);

/* First byte above the RAM that starts at 0. */
uint64_t boot_low_end(const struct guest_memory *m);
/* First byte above all RAM. */
uint64_t boot_ram_end(const struct guest_memory *m);

#endif
