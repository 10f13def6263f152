/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a kernel's code, from its System.map or /proc/kallsyms. */
#ifndef CLI_SYMBOLS_H
#define CLI_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct symbol {
	uint64_t addr;
	char *name;
};

struct symbols {
	struct symbol *list; /* by address */
	size_t n;
};

/* Lines "ADDRESS TYPE NAME", others are refused. */
int symbols_load(struct symbols *s, const char *path, struct err *e);
void symbols_free(struct symbols *s);

/* The symbol that an address belongs to, NULL: before the first. */
const struct symbol *symbols_at(const struct symbols *s, uint64_t addr);
/* NULL: there is none of that name. */
const struct symbol *symbols_named(const struct symbols *s, const char *name);

#endif
