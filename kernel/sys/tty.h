/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal: line editing, echo and signals between the console drivers and the programs on it.
 */
#ifndef KERNEL_SYS_TTY_H
#define KERNEL_SYS_TTY_H

#include <stddef.h>

/* Bytes that a driver received; interrupt context. */
void tty_input(const char *data, size_t n);
/* The screen's size in characters; programs may set a smaller one, for what is at the serial port.
 */
void tty_set_size(unsigned rows, unsigned columns);

#endif
