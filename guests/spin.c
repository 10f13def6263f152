/* SPDX-License-Identifier: Apache-2.0 */
/* Not a test but a load: takes 16 MiB of memory, says so, and keeps its processor busy for good. */
#include "guests/lib/guest.h"

#define MEMORY 0x1000000ul
#define SIZE   0x1000000ul

static bool spin(void)
{
	for (unsigned long at = 0; at < SIZE; at += 4096)
		*(volatile uint8_t *)(MEMORY + at) = 1;
	print("spinning\n");
	for (;;)
		__asm__ volatile("");
	return true;
}

const struct check checks[] = {
	{1, "never ends", spin},
};
const unsigned nchecks = 1;
const unsigned rounds = 1;
