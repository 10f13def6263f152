/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compressed kernel inside a bzImage (Documentation/arch/x86/boot.rst, payload_offset): gzip,
 * LZ4 in its old frame as the kernel's build makes it, XZ or Zstandard.
 */
#ifndef VMM_BOOT_PAYLOAD_H
#define VMM_BOOT_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_MAX_UNPACKED (512u << 20)

struct payload {
	uint8_t *data; /* mapped; payload_free() */
	size_t size;
};

/*
 * false, and *out empty: unknown, damaged, not of the length that its last four bytes tell, larger
 * than `max` or PAYLOAD_MAX_UNPACKED, or there is no memory.
 */
bool payload_unpack(const uint8_t *packed, size_t size, size_t max, struct payload *out);
void payload_free(struct payload *p);

#endif
