/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a PVH loader tells a kernel (Xen: docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h,
 * public/elfnote.h): EBX holds the address of the start information. Addresses are physical.
 */
#ifndef X86_PVH_H
#define X86_PVH_H

#include <stdint.h>

#define PVH_MAGIC      0x336ec578u
#define PVH_VERSION    1  /* from this one on there is a memory map */
#define PVH_NOTE_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY, of the name "Xen": the entry's address */

struct pvh_start_info {
	uint32_t magic, version, flags, nmodules;
	uint64_t modules, cmdline, rsdp, memmap; /* cmdline: a string */
	uint32_t nmemmap, reserved;
};

struct pvh_module {
	uint64_t addr, size, cmdline, reserved; /* size in bytes */
};

struct pvh_memmap {
	uint64_t addr, size;
	uint32_t type, reserved; /* type as in ACPI's E820 map: 1 is RAM */
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "as Xen lays it out");
_Static_assert(sizeof(struct pvh_module) == 32, "as Xen lays it out");
_Static_assert(sizeof(struct pvh_memmap) == 24, "as Xen lays it out");

#endif
