/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/drivers/console.h"

#include "kernel/drivers/screen.h"

void console_put(const char *s, size_t n)
{
	serial_put(s, n);
	virtio_console_put(s, n);
	vt_put(s, n);
}
