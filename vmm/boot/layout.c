/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's memory map as kernels are told it. */
#include "vmm/boot/layout.h"

#include "vmm/device/pci/layout.h"

uint64_t boot_low_end(const struct guest_memory *m)
{
	return m->ram_size < MEM_LOW_END ? m->ram_size : MEM_LOW_END;
}

uint64_t boot_ram_end(const struct guest_memory *m)
{
	uint64_t low = boot_low_end(m);

	return m->ram_size > low ? MEM_HIGH_START + m->ram_size - low : low;
}

unsigned boot_memory_map(const struct guest_memory *m, struct boot_range r[BOOT_MAX_RANGES])
{
	uint64_t low = boot_low_end(m);
	unsigned n = 0;

	r[n++] = (struct boot_range){0, BOOT_LOW_RAM_END, BOOT_RAM};
	r[n++] = (struct boot_range){BOOT_LOW_RAM_END, 0xa0000 - BOOT_LOW_RAM_END, BOOT_RESERVED};
	r[n++] = (struct boot_range){BOOT_TABLES, BOOT_HIGH - BOOT_TABLES, BOOT_RESERVED};
	if (low > BOOT_HIGH)
		r[n++] = (struct boot_range){BOOT_HIGH, low - BOOT_HIGH, BOOT_RAM};
	/* Linux uses the ECAM only where the map or the DSDT reserves it. */
	r[n++] = (struct boot_range){PCI_ECAM_BASE, PCI_ECAM_SIZE, BOOT_RESERVED};
	if (m->ram_size > low)
		r[n++] = (struct boot_range){MEM_HIGH_START, m->ram_size - low, BOOT_RAM};
	return n;
}
