/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the stream, shared by writer and reader. Little-endian, as every host. */
#ifndef VMM_STATE_WIRE_H
#define VMM_STATE_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#define WIRE_MAGIC "BatonVM\n"

struct wire_header {
	char magic[8];
	uint32_t version, zero;
};

struct wire_section {
	uint32_t type, len;    /* enum state_section_type; bytes uncompressed */
	uint32_t stored, zero; /* bytes that follow: one zstd frame, none when len is 0 */
	uint64_t where;
	uint64_t check; /* XXH3 of the stored bytes, its seed XXH3 of the 24 bytes above */
};

static inline uint64_t wire_check(const struct wire_section *h, const void *stored)
{
	uint64_t seed = XXH3_64bits(h, offsetof(struct wire_section, check));

	return XXH3_64bits_withSeed(stored, h->stored, seed);
}

_Static_assert(sizeof(struct wire_header) == 16, "layout");
_Static_assert(sizeof(struct wire_section) == 32, "layout");

#endif
