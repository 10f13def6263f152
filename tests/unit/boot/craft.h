/* SPDX-License-Identifier: Apache-2.0 */
/* Small kernel images made in memory, for the loaders' tests. */
#ifndef TESTS_UNIT_BOOT_CRAFT_H
#define TESTS_UNIT_BOOT_CRAFT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/loader.h"

#define CRAFT_MAX (256 * 1024)

/* An image and the machine it is loaded into. */
struct craft {
	uint8_t data[CRAFT_MAX], initrd[65536];
	size_t size;
	struct boot_config cfg;
	struct guest_memory mem;
	struct x86_cpu_state bsp;
	struct boot_job job;
	struct err e;
};

void craft_start(struct craft *c, uint64_t memory); /* empty file, guest memory full of 0xcc */
void craft_end(struct craft *c);
int craft_load(struct craft *c); /* boot_load_images() */
void craft_initrd(struct craft *c, size_t size);

void craft_put16(struct craft *c, size_t off, uint16_t v);
void craft_put32(struct craft *c, size_t off, uint32_t v);
void craft_put64(struct craft *c, size_t off, uint64_t v);

/* bzImage of protocol 2.15: 4 setup sectors, `size` bytes of 0x5a behind them. */
void craft_bzimage(struct craft *c, size_t size);

/* ELF of either class with one PT_LOAD: `file` bytes of 0xa5 from offset 0x1000, `mem` in memory.
 */
void craft_elf(struct craft *c, int bits, uint64_t at, uint64_t file, uint64_t mem, uint64_t entry);
/* Adds a PT_NOTE with XEN_ELFNOTE_PHYS32_ENTRY to a 64-bit craft_elf(). */
void craft_pvh_note(struct craft *c, uint32_t entry);
/* Multiboot header at `off`; the five addresses may be NULL. */
void craft_multiboot(struct craft *c, size_t off, uint32_t flags, const uint32_t *addresses);

uint32_t craft_guest32(const struct craft *c, gpa_t gpa);
uint64_t craft_guest64(const struct craft *c, gpa_t gpa);
uint8_t craft_guest8(const struct craft *c, gpa_t gpa);

#endif
