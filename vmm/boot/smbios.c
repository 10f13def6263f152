/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS 3.0 with firmware, system, chassis and end structures. */
#include "vmm/boot/smbios.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/layout.h"

#define STRUCTURES  (BOOT_SMBIOS + 0x20)
#define SYSTEM_UUID 8 /* offset in the system structure */

/* Fixed parts: type, length, handle (2 bytes), then fields; numbers of strings count from 1. */
static const uint8_t bios[] = {
	0,    24,   0,    0,    1, 2, 0, 0, 3, 0, /* vendor 1, version 2, date 3 */
	0x08, 0,    0,    0,    0, 0, 0, 0,       /* characteristics are not given, */
	0,    0x10,                               /* but that this is a virtual machine */
	0,    1,    0xff, 0xff,
};
static const uint8_t system_info[] = {
	1, 27, 1, 0, 1, 2, 3, 0,                         /* maker 1, product 2, version 3 */
	0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* UUID: put_uuid() */
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

_Static_assert(sizeof(struct entry_point) == SMBIOS_ANCHOR_SIZE, "DSP0134 section 5.2.2");

void smbios_write_anchor(uint8_t anchor[SMBIOS_ANCHOR_SIZE], size_t size, gpa_t address)
{
	struct entry_point p = {.length = sizeof(p),
				.major = 3,
				.revision = 1,
				.max_size = (uint32_t)size,
				.address = address};
	uint8_t sum = 0;

	memcpy(p.anchor, "_SM3_", 5);
	for (size_t i = 0; i < sizeof(p); i++)
		sum = (uint8_t)(sum + ((const uint8_t *)&p)[i]);
	p.checksum = (uint8_t)-sum;
	memcpy(anchor, &p, sizeof(p));
}

/* DSP0134, 7.2.1: the first three fields of a UUID are little-endian. */
static void put_uuid(uint8_t *field, const uint8_t uuid[16])
{
	static const uint8_t from[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

	for (unsigned i = 0; i < 16; i++)
		field[i] = uuid[from[i]];
}

size_t smbios_write(uint8_t *to, size_t cap, const uint8_t uuid[16])
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(structures) / sizeof(structures[0]); i++) {
		size_t fixed = structures[i].fixed[1], strings = structures[i].strings_len;

		if (fixed + strings > cap - n)
			return 0;
		memcpy(to + n, structures[i].fixed, fixed);
		if (structures[i].fixed == system_info)
			put_uuid(to + n + SYSTEM_UUID, uuid);
		memcpy(to + n + fixed, structures[i].strings, strings);
		n += fixed + strings;
	}
	return n;
}

int smbios_build(struct guest_memory *m, const uint8_t uuid[16], struct err *e)
{
	uint8_t *area = mem_ptr(m, BOOT_SMBIOS, BOOT_SMBIOS_SIZE, true);
	size_t head = STRUCTURES - BOOT_SMBIOS, n;

	if (!area)
		return err_set(e, -ENOSPC, "boot: no RAM for the SMBIOS tables");
	memset(area, 0, BOOT_SMBIOS_SIZE);
	n = smbios_write(area + head, BOOT_SMBIOS_SIZE - head, uuid);
	smbios_write_anchor(area, n, STRUCTURES);
	mem_written(m, BOOT_SMBIOS, BOOT_SMBIOS_SIZE);
	return 0;
}
