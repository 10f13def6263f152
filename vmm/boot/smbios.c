/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS 3.0 with firmware, system, chassis and end structures. */
#include "vmm/boot/smbios.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/layout.h"

#define STRUCTURES (BOOT_SMBIOS + 0x20)

/* Fixed parts: type, length, handle (2 bytes), then fields; numbers of strings count from 1. */
static const uint8_t bios[] = {
	0,    24,   0,    0,    1, 2, 0, 0, 3, 0, /* vendor 1, version 2, date 3 */
	0x08, 0,    0,    0,    0, 0, 0, 0,       /* characteristics are not given, */
	0,    0x10,                               /* but that this is a virtual machine */
	0,    1,    0xff, 0xff,
};
static const uint8_t system_info[] = {
	1, 27, 1, 0, 1, 2, 3, 0,                         /* maker 1, product 2, version 3 */
	0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* UUID: none */
	6, 0,  0,                                        /* woken by the power switch */
};
static const uint8_t chassis[] = {
	3, 21, 2, 0, 1, 1, 0, 0, 0, 3, 3, 3, 2, 0, 0, 0, 0, 0, 1, 0, 0, /* maker 1, other */
};
static const uint8_t end[] = {127, 4, 3, 0};

/* Strings end with a NUL each; the literal's own NUL closes the list. */
static const char bios_strings[] = "Baton\0"
				   "0.1\0"
				   "01/01/2026\0";
static const char system_strings[] = "Baton\0"
				     "Virtual Machine\0"
				     "1\0";
static const char chassis_strings[] = "Baton\0";
static const char no_strings[] = "\0";

static const struct {
	const uint8_t *fixed;
	const char *strings;
	size_t strings_len;
} structures[] = {
	{bios, bios_strings, sizeof(bios_strings)},
	{system_info, system_strings, sizeof(system_strings)},
	{chassis, chassis_strings, sizeof(chassis_strings)},
	{end, no_strings, sizeof(no_strings)},
};

struct entry_point {
	char anchor[5];
	uint8_t checksum, length, major, minor, docrev, revision, reserved;
	uint32_t max_size;
	uint64_t address;
} __attribute__((packed));

static void fill_entry(struct entry_point *p, uint32_t size)
{
	uint8_t sum = 0;

	memset(p, 0, sizeof(*p));
	memcpy(p->anchor, "_SM3_", 5);
	p->length = sizeof(*p);
	p->major = 3;
	p->revision = 1;
	p->max_size = size;
	p->address = STRUCTURES;
	for (size_t i = 0; i < sizeof(*p); i++)
		sum = (uint8_t)(sum + ((const uint8_t *)p)[i]);
	p->checksum = (uint8_t)-sum;
}

int smbios_build(struct guest_memory *m, struct err *e)
{
	uint8_t *area = mem_ptr(m, BOOT_SMBIOS, BOOT_SMBIOS_SIZE, true);
	size_t n = 0;

	if (!area)
		return err_set(e, -ENOSPC, "boot: no RAM for the SMBIOS tables");
	memset(area, 0, BOOT_SMBIOS_SIZE);
	for (size_t i = 0; i < sizeof(structures) / sizeof(structures[0]); i++) {
		uint8_t *at = area + (STRUCTURES - BOOT_SMBIOS) + n;

		memcpy(at, structures[i].fixed, structures[i].fixed[1]);
		memcpy(at + structures[i].fixed[1], structures[i].strings,
		       structures[i].strings_len);
		n += structures[i].fixed[1] + structures[i].strings_len;
	}
	fill_entry((struct entry_point *)area, (uint32_t)n);
	mem_written(m, BOOT_SMBIOS, BOOT_SMBIOS_SIZE);
	return 0;
}
