/* SPDX-License-Identifier: Apache-2.0 */
/* A triple fault: the machine must report a crashed guest (Intel SDM 3A 6.15, "Double Fault"). */
#include "guests/lib/guest.h"

static bool crash(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_idt = {0, 0};

	print("going down\n");
	__asm__ volatile("lidt %0\n\tint3" : : "m"(no_idt));
	return false;
}

const struct check checks[] = {
	{1, "6.15: a fault while #DF is delivered shuts the processor down", crash},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
