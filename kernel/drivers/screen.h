/* SPDX-License-Identifier: Apache-2.0 */
/* A screen of character cells: VGA text memory, or a linear framebuffer with a font. */
#ifndef KERNEL_DRIVERS_SCREEN_H
#define KERNEL_DRIVERS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCREEN_MAX_ROWS 100
#define SCREEN_MAX_COLS 240

/* Code page 437 and the 16 VGA colours: background << 4 | foreground. */
struct cell {
	uint8_t ch, colour;
};

struct screen {
	unsigned rows, cols;
	void (*draw)(unsigned row, unsigned col, struct cell c);
	void (*cursor)(unsigned row, unsigned col, bool visible);
};

/* NULL if the machine has none. */
const struct screen *vgatext_open(void);
/* Needs a font of 8 x 16 in PSF format 1, which the image brings along. */
const struct screen *framebuffer_open(const uint8_t *psf, size_t len);

/* ---- the terminal on it (vt.c): the sequences of ECMA-48 that ncurses' "linux" uses -----------
 */

void vt_open(const struct screen *s);
void vt_put(const char *s, size_t n);

void keyboard_init(void); /* PS/2; sends bytes to the terminal */

#endif
