/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of interrupt controllers and interval timer as a save holds them, whether our own
 * models have the chips or an engine (KVM) does.
 */
#ifndef VMM_DEVICE_CHIPS_H
#define VMM_DEVICE_CHIPS_H

#include "vmm/state/state.h"
#include "x86/ioapic.h"
#include "x86/pic.h"
#include "x86/pit.h"

/* All three, as they go to and from an engine that contains them. */
struct engine_chips {
	struct pic_hw pic;
	struct ioapic_hw ioapic;
	struct pit_hw pit;
};

extern const struct state_desc pic_state, ioapic_state, pit_state;

#endif
