/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices, free of any transport (OASIS virtio 1.2). A device type is a constant table; the
 * transport (virtio_pci.c) calls it, and the device answers through its queues (virtqueue.h).
 *
 * Everything the driver writes is hostile. What breaks the protocol sets DEVICE_NEEDS_RESET, after
 * which the device does nothing until the driver resets it. Machine lock held throughout.
 */
#ifndef VMM_DEVICE_VIRTIO_VIRTIO_H
#define VMM_DEVICE_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/device.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/virtio/virtqueue.h"

/* Device status (section 2.1). */
#define VIRTIO_ACKNOWLEDGE 0x01
#define VIRTIO_DRIVER      0x02
#define VIRTIO_DRIVER_OK   0x04
#define VIRTIO_FEATURES_OK 0x08
#define VIRTIO_NEEDS_RESET 0x40
#define VIRTIO_FAILED      0x80

/* Features of every device (chapter 6); bits 0 to 23 belong to the device type. */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)

/* All that a save holds of a virtio device besides its own registers. */
struct virtio_hw {
	uint64_t features; /* accepted by the driver */
	uint8_t status, generation, isr;
	struct virtqueue_hw vq;
	/* Selectors and vectors of the transport. */
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select, config_vector, queue_vector[VIRTIO_MAX_QUEUES];
	struct pci_hw pci;
};

/* Rows of a state table for a member `m` of type struct virtio_hw; tags 1000 to 1099 are theirs. */
#define VIRTIO_STATE(type, m)                                                               \
	ST(1000, type, m.features), ST(1001, type, m.status), ST(1002, type, m.generation), \
		ST(1003, type, m.isr), ST(1004, type, m.device_feature_select),             \
		ST(1005, type, m.driver_feature_select), ST(1006, type, m.queue_select),    \
		ST(1007, type, m.config_vector), ST_ARR(1008, type, m.queue_vector),        \
		VIRTQUEUE_STATE(1020, type, m.vq), PCI_STATE(1040, type, m.pci)

struct virtio_dev;

struct virtio_type {
	const char *name;
	uint16_t id;         /* section 5 */
	uint32_t class_code; /* PCI class */
	unsigned nqueues;
	uint16_t queue_size[VIRTIO_MAX_QUEUES];
	unsigned config_size; /* bytes of device configuration */
	/*
	 * Bit n: queue n is served on the event loop's thread, while the vCPU adds more to it.
	 * Others are served before the doorbell write returns, unless the engine watches doorbells.
	 */
	unsigned deferred;
	/* Fills the whole configuration. */
	void (*config_read)(struct virtio_dev *v, uint8_t *config);
	/* Optional; the range lies within the configuration. */
	void (*config_write)(struct virtio_dev *v, unsigned off, unsigned size, uint32_t val);
	/* The driver rang the bell of an enabled queue, DRIVER_OK is set. */
	void (*notify)(struct virtio_dev *v, unsigned queue);
	/* No buffer of the guest may be touched after this returns. Optional. */
	void (*reset)(struct virtio_dev *v);
};

struct virtio_transport;

/* First member of every virtio device's struct. */
struct virtio_dev {
	struct device dev;
	const struct virtio_type *type;
	struct device_env env;
	struct virtio_hw *hw; /* inside the device's saved struct */
	uint64_t features;    /* offered; the type's own bits are set before virtio_plug() */
	struct virtqueue q[VIRTIO_MAX_QUEUES];
	struct virtio_transport *transport;
	struct loop_timer again; /* due at once when a queue is requeued */
	bool requeued[VIRTIO_MAX_QUEUES];
	unsigned long guest_errors;
};

/* ---- for device types
 * ---------------------------------------------------------------------------- */

/* Joins the device to its transport: `v` is zeroed but for features; resets it. */
int virtio_plug(struct virtio_dev *v, const struct virtio_type *type, struct virtio_hw *hw,
		const struct device_env *env, struct err *e);
/* Nothing happens if virtio_plug() failed or was not called. */
void virtio_unplug(struct virtio_dev *v);

/* The same for all types, as device_ops.reset, and the first step of device_ops.loaded. */
void virtio_device_reset(struct device *d);
int virtio_device_loaded(struct virtio_dev *v, struct err *e);

/* As device_ops.stats, or the first part of it. */
void virtio_device_stats(struct device *d, stat_fn *fn, void *opaque);

static inline bool virtio_has(const struct virtio_dev *v, uint64_t feature)
{
	return v->hw->features & feature;
}

/* DRIVER_OK and nothing broken: queues may be used. */
static inline bool virtio_running(const struct virtio_dev *v)
{
	return (v->hw->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}

/* The guest broke the protocol: counted, said once, and the device stops until it is reset. */
void virtio_broken(struct virtio_dev *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Tells the driver that the device configuration changed. */
void virtio_config_changed(struct virtio_dev *v);

/* Calls notify() for the queue again soon: for handlers that stop after a fair amount of work. */
void virtio_requeue(struct virtio_dev *v, unsigned queue);

/* ---- for the transport
 * ----------------------------------------------------------------------------- */

void virtio_reset(struct virtio_dev *v);
void virtio_set_status(struct virtio_dev *v, uint8_t status);
void virtio_set_features(struct virtio_dev *v, unsigned word, uint32_t val);
void virtio_notify(struct virtio_dev *v, unsigned queue);
void virtio_enable_queue(struct virtio_dev *v, unsigned queue);
uint32_t virtio_config_get(struct virtio_dev *v, uint64_t off, unsigned size);
void virtio_config_set(struct virtio_dev *v, uint64_t off, unsigned size, uint32_t val);

struct pci_function *virtio_pci_function(struct virtio_dev *v);
int virtio_pci_attach(struct virtio_dev *v, struct err *e);
void virtio_pci_detach(struct virtio_dev *v);
void virtio_pci_reset(struct virtio_dev *v);
int virtio_pci_loaded(struct virtio_dev *v, struct err *e);
/* Interrupt for a queue, or for the configuration when `queue` is VIRTIO_CONFIG_IRQ. */
#define VIRTIO_CONFIG_IRQ (-1)
void virtio_pci_interrupt(struct virtio_dev *v, int queue);
/* A queue was enabled or disabled. */
void virtio_pci_queue_changed(struct virtio_dev *v, unsigned queue);

#endif
