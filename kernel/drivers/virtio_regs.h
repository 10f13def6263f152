/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and rings of virtio devices (OASIS virtio 1.2, 4.1.4.3 and 2.7). */
#ifndef KERNEL_DRIVERS_VIRTIO_REGS_H
#define KERNEL_DRIVERS_VIRTIO_REGS_H

#include <stdint.h>

enum { /* types of capabilities */
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_CONFIG = 4,
};

/* The common configuration (4.1.4.3). */
enum {
	DEVICE_FEATURE_SELECT = 0,
	DEVICE_FEATURE = 4,
	DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12,
	DEVICE_STATUS = 20,
	QUEUE_SELECT = 22,
	QUEUE_SIZE = 24,
	QUEUE_VECTOR = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFF = 30,
	QUEUE_DESC = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
	COMMON_LENGTH = 56,
};

enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 64,
};

enum {
	DESC_NEXT = 1,
	DESC_WRITE = 2,
};

#define NO_VECTOR 0xffff

struct virtq_descriptor {
	uint64_t phys;
	uint32_t len;
	uint16_t flags, next;
};

struct used_element {
	uint32_t id, len;
};

#endif
