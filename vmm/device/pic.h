/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two cascaded 8259A interrupt controllers of a PC with the edge/level registers 4d0h and 4d1h.
 * Used through irqchip.h.
 */
#ifndef VMM_DEVICE_PIC_H
#define VMM_DEVICE_PIC_H

#include "vmm/device.h"

/* `output` is called when the INT pin to the processor changes. */
int pic_create(struct device **out, struct bus *pio, void (*output)(void *opaque, bool level),
	       void *opaque, struct err *e);
void pic_set(struct device *d, unsigned irq, bool level); /* irq 0..15; 2 is ignored */
/* INTA cycle: the vector to deliver; vector 7 of the chip that has nothing (spurious). */
uint8_t pic_acknowledge(struct device *d);

#endif
