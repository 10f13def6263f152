/* SPDX-License-Identifier: Apache-2.0 */
/* What a PVH loader tells (Xen, public/arch-x86/hvm/start_info.h). Addresses are physical. */
#ifndef KERNEL_BOOT_PVH_H
#define KERNEL_BOOT_PVH_H

#include <stdint.h>

struct pvh_start_info {
	uint32_t magic, version, flags, nmodules;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t nmemmap, reserved;
};

struct pvh_module {
	uint64_t addr, size, cmdline, reserved;
};

struct pvh_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define PVH_MAGIC 0x336ec578

#endif
