/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a kernel, with an initrd or without, in a small machine: no crash, no stray access.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/num.h"
#include "vmm/boot/loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct x86_cpu_state bsp;
	static struct guest_memory mem;
	static const uint8_t initrd[100];
	const struct boot_config cfg = {.append = "console=ttyS0", .nvcpus = 1, .unpack = true};
	struct err e;
	struct boot_job j = {.cfg = &cfg, .mem = &mem, .bsp = &bsp};

	if (!mem.nslots && mem_init(&mem, 32 * MIB, &e))
		return 0;
	j.kernel = (struct boot_image){.path = "k", .fd = -1, .data = data, .size = size};
	j.initrd =
		(struct boot_image){.path = "i", .fd = -1, .data = initrd, .size = sizeof(initrd)};
	j.has_initrd = size & 1;
	boot_load_images(&j, &e);
	return 0;
}
