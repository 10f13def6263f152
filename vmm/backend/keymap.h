/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by character and by name, on a US keyboard. Codes are those of input.h. */
#ifndef VMM_BACKEND_KEYMAP_H
#define VMM_BACKEND_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>

/* The key that types this ASCII character, and whether Shift must be down; 0: there is none. */
unsigned key_of_char(unsigned c, bool *shift);

/* "a", "1", "ret", "f5", "ctrl", "delete", ...; 0: not known. `len` characters of `name`. */
unsigned key_of_name(const char *name, size_t len);

#endif
