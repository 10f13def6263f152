/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the firmware's script: see tableloader.h. All numbers are little-endian. */
#include "vmm/boot/tableloader.h"

#include <string.h>

enum command {
	ALLOCATE = 1,
	ADD_POINTER,
	ADD_CHECKSUM
};

enum zone {
	ZONE_HIGH = 1,
	ZONE_FSEG
};

#define NAME_SIZE 56

struct entry {
	uint32_t command;
	union {
		struct {
			char file[NAME_SIZE];
			uint32_t align;
			uint8_t zone;
		} __attribute__((packed)) allocate;
		struct {
			char in[NAME_SIZE], to[NAME_SIZE]; /* file to be changed, file pointed to */
			uint32_t offset;
			uint8_t bytes;
		} __attribute__((packed)) pointer;
		struct {
			char file[NAME_SIZE];
			uint32_t offset, start, len;
		} __attribute__((packed)) checksum;
		uint8_t pad[TABLELOADER_ENTRY_SIZE - 4];
	};
} __attribute__((packed));

_Static_assert(sizeof(struct entry) == TABLELOADER_ENTRY_SIZE, "as firmware reads it");

#define RSDP_XSDT     24 /* offsets in the RSDP */
#define RSDP_CHECKSUM 8
#define RSDP_EXTENDED 32
#define RSDP_OLD_SIZE 20

static void allocate(struct entry *n, const char *file, uint32_t align, enum zone zone)
{
	n->command = ALLOCATE;
	strcpy(n->allocate.file, file);
	n->allocate.align = align;
	n->allocate.zone = (uint8_t)zone;
}

static void add_pointer(struct entry *n, const char *in, uint32_t offset, uint8_t bytes)
{
	n->command = ADD_POINTER;
	strcpy(n->pointer.in, in);
	strcpy(n->pointer.to, TABLELOADER_TABLES);
	n->pointer.offset = offset;
	n->pointer.bytes = bytes;
}

static void add_checksum(struct entry *n, const char *file, uint32_t offset, uint32_t start,
			 uint32_t len)
{
	n->command = ADD_CHECKSUM;
	strcpy(n->checksum.file, file);
	n->checksum.offset = offset;
	n->checksum.start = start;
	n->checksum.len = len;
}

size_t tableloader_write(uint8_t script[TABLELOADER_MAX * TABLELOADER_ENTRY_SIZE],
			 const struct acpi_tables *t)
{
	struct entry *first = (struct entry *)script, *n = first;

	memset(script, 0, TABLELOADER_MAX * TABLELOADER_ENTRY_SIZE);
	allocate(n++, TABLELOADER_RSDP, 16, ZONE_FSEG);
	allocate(n++, TABLELOADER_TABLES, 64, ZONE_HIGH);
	for (unsigned i = 0; i < t->nlinks; i++)
		add_pointer(n++, TABLELOADER_TABLES, t->link[i].at, t->link[i].bytes);
	for (unsigned i = 0; i < t->ntables; i++)
		add_checksum(n++, TABLELOADER_TABLES, t->table[i].at + ACPI_CHECKSUM,
			     t->table[i].at, t->table[i].len);
	add_pointer(n++, TABLELOADER_RSDP, RSDP_XSDT, 8);
	add_checksum(n++, TABLELOADER_RSDP, RSDP_CHECKSUM, 0, RSDP_OLD_SIZE);
	add_checksum(n++, TABLELOADER_RSDP, RSDP_EXTENDED, 0, ACPI_RSDP_SIZE);
	return (size_t)(n - first) * sizeof(*first);
}
