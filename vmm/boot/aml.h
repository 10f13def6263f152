/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes ACPI machine language into a buffer (ACPI specification 6.4, chapter 20).
 *
 * Objects with a length are opened and closed: aml_begin... returns a mark for aml_end(). Running
 * out of room is remembered in `full` and looked at once, when everything is written.
 */
#ifndef VMM_BOOT_AML_H
#define VMM_BOOT_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t len, cap;
	bool full;
};

/* Opcodes that callers name; two-byte ones are 0x5b in the high byte. */
enum aml_op {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_ARG0 = 0x68,
	AML_ARG3 = 0x6b,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_LEQUAL = 0x93,
	AML_IF = 0xa0,
	AML_ELSE = 0xa1,
	AML_RETURN = 0xa4,
	AML_DEVICE = 0x5b82,
};

void aml_op(struct aml *a, enum aml_op op);
void aml_byte(struct aml *a, uint8_t b);
void aml_bytes(struct aml *a, const void *p, size_t n);
void aml_path(struct aml *a, const char *path); /* "\\_SB_", "PCI0": segments of four characters */
void aml_int(struct aml *a, uint64_t n);
void aml_eisaid(struct aml *a, const char *id); /* "PNP0501" as the integer it is compressed to */

/* Opens an object whose length follows its opcode; contents come next. */
size_t aml_begin(struct aml *a, enum aml_op op);
void aml_end(struct aml *a, size_t mark);

/* Name (path, ...): the value is written next. */
void aml_name(struct aml *a, const char *path);

/* Resource templates: a buffer of descriptors (section 6.4). */
size_t aml_resources_begin(struct aml *a);
void aml_resources_end(struct aml *a, size_t mark);
void aml_io(struct aml *a, uint16_t base, uint8_t len);
void aml_irq(struct aml *a, unsigned irq); /* edge-triggered, exclusive */
void aml_memory32(struct aml *a, uint32_t base, uint32_t len);
/* Windows that a bridge passes on, ends inclusive. */
void aml_bus_window(struct aml *a, uint16_t first, uint16_t last);
void aml_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_memory32_window(struct aml *a, uint32_t first, uint32_t last);
void aml_memory64_window(struct aml *a, uint64_t first, uint64_t last);

#endif
