/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on numbers that a guest or a file chose, and sizes as people type them. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* True when [off, off+len) lies inside [0, size); never overflows. */
static inline bool range_ok(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

static inline uint64_t align_down(uint64_t n, uint64_t power_of_two)
{
	return n & ~(power_of_two - 1);
}

static inline uint64_t align_up(uint64_t n, uint64_t power_of_two)
{
	return align_down(n + power_of_two - 1, power_of_two);
}

/*
 * "512M", "2G", "2048" (unit: `bare`, e.g. MIB), "64KiB": suffixes B K M G T, optional "iB" or "B",
 * any case. Returns 0 and *out in bytes, -EINVAL for anything else, -ERANGE past 2^63.
 */
int num_parse_size(const char *text, uint64_t bare, uint64_t *out, struct err *e);

#endif
