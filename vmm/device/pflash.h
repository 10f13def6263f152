/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flash chip with Intel's command set, as UEFI keeps its variables in. Reads never come here: the
 * chip's bytes are a ROM slot of guest memory, which the device fills.
 */
#ifndef VMM_DEVICE_PFLASH_H
#define VMM_DEVICE_PFLASH_H

#include "vmm/device.h"

struct pflash_conf {
	gpa_t gpa;           /* start of the ROM slot */
	uint8_t *rom, *data; /* the slot's bytes, what is kept of them: `size` bytes each */
	uint64_t size;
	void (*changed)(void *opaque); /* `data` was written */
	void *opaque;
};

extern const struct device_ops pflash_ops; /* backend: struct pflash_conf, copied */

#endif
