/* SPDX-License-Identifier: Apache-2.0 */
/* Names for addresses; link.sh makes the table. */
#include "kernel/lib/lib.h"

extern const uint64_t symbol_count, symbol_addresses[];
extern const char symbol_names[];

const char *symbol_of(uint64_t addr, uint64_t *offset)
{
	const char *name = symbol_names, *found = "?";

	for (uint64_t i = 0; i < symbol_count && symbol_addresses[i] <= addr; i++) {
		found = name;
		*offset = addr - symbol_addresses[i];
		name += strlen(name) + 1;
	}
	return found;
}
