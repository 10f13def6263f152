/* SPDX-License-Identifier: Apache-2.0 */
/* All consoles at once: the first serial port, a virtio console, and the screen. */
#ifndef KERNEL_DRIVERS_CONSOLE_H
#define KERNEL_DRIVERS_CONSOLE_H

#include <stddef.h>

void console_put(const char *s, size_t n);

void serial_init(void);
void serial_put(const char *s, size_t n);
void virtio_console_put(const char *s, size_t n);
/* Interrupts: what is typed reaches the terminal. After the interrupt controllers. */
void serial_listen(void);

#endif
