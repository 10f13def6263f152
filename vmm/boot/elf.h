/* SPDX-License-Identifier: Apache-2.0 */
/* ELF executables, 32- and 64-bit, as far as starting a kernel needs them. */
#ifndef VMM_BOOT_ELF_H
#define VMM_BOOT_ELF_H

#include <stdbool.h>

#include "vmm/boot/loader.h"

#define ELF_MAX_SEGMENTS 64

/* A program header in the common, wide form. */
struct elf_segment {
	uint32_t type;
	uint64_t offset, vaddr, paddr, file_size, mem_size, align;
};

struct elf_image {
	uint64_t entry;
	struct elf_segment segment[ELF_MAX_SEGMENTS];
	unsigned nsegments;
};

bool elf_claims(const struct boot_image *i);
int elf_read(const struct boot_image *i, struct elf_image *out, struct err *e);

/* Copies all PT_LOAD segments to their physical addresses; *end: first byte above the highest. */
int elf_load(const struct boot_job *j, const struct elf_image *elf, gpa_t *end, struct err *e);

/* The entry's physical address: where it lies inside a segment's virtual range, moved with it. */
uint64_t elf_physical_entry(const struct elf_image *elf);

#endif
