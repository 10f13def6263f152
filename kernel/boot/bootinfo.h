/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot loader told, whichever it was. Sources: Multiboot2 specification 2.0; Xen's PVH
 * boot ABI. */
#ifndef KERNEL_BOOT_BOOTINFO_H
#define KERNEL_BOOT_BOOTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_MAX_RANGES 64

struct boot_range {
	uint64_t start, end; /* physical, [start, end) */
};

struct bootinfo {
	struct boot_range
		ram[BOOT_MAX_RANGES]; /* usable; may overlap the kernel and the initramfs */
	unsigned nram;
	uint64_t unused;             /* bytes of RAM in ranges for which there was no place */
	struct boot_range initramfs; /* empty if there is none */
	uint64_t rsdp;               /* physical address, 0 if the loader did not say */
	char rsdp_copy[36];          /* where the loader told its bytes */
	char cmdline[512];
	struct {
		uint64_t addr; /* 0: there is none, use VGA text */
		uint32_t pitch, width, height;
		uint8_t bpp;
	} fb;
};

/* Reads the loader's information. Returns false if it is of a protocol we do not know. */
bool bootinfo_read(struct bootinfo *b, unsigned protocol, uint64_t info);

/* Whether [start, end) has bytes of one of the n ranges. */
bool ranges_overlap(const struct boot_range *r, unsigned n, uint64_t start, uint64_t end);

/* What follows `name` ("init=") on the command line, up to a space or the end; NULL if it is not
 * there. */
const char *boot_value(const struct bootinfo *b, const char *name);

/* True if `word` stands on the command line. */
bool boot_option(const struct bootinfo *b, const char *word);

extern struct bootinfo boot;

#endif
