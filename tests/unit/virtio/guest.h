/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of the devices: a machine of buses and memory, and a driver that finds devices
 * on PCI and drives them through their registers as an operating system would. The event loop runs
 * on a thread of its own, the test acts as the vCPU.
 */
#ifndef TESTS_UNIT_VIRTIO_GUEST_H
#define TESTS_UNIT_VIRTIO_GUEST_H

#include <pthread.h>

#include "vmm/device.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/virtio/models.h"
#include "vmm/device/virtio/virtqueue.h"

#define GUEST_RAM      (16u << 20)
#define GUEST_MAX_BELL 16

struct guest {
	struct bus pio, mmio;
	struct guest_memory mem;
	struct vm_clock clock;
	pthread_mutex_t lock;
	struct loop *loop;
	pthread_t loop_thread;
	struct irq_router irq;
	struct device_env env;
	struct device *pci;
	gpa_t next_free; /* memory for rings and buffers */

	unsigned msi_count, msi_last; /* messages sent, data of the last */
	uint64_t msi_addr;
	bool line[IRQ_NGSI];
	enum machine_event event;
	bool has_event;

	/* Doorbells the "engine" watches; used when has_bells was set before the device came. */
	bool has_bells;
	struct {
		int fd;
		gpa_t addr;
	} bell[GUEST_MAX_BELL];
	unsigned long written; /* bytes reported by mem_written() */
};

void guest_init(struct guest *g);
void guest_fini(struct guest *g);

struct device *guest_add(struct guest *g, const struct device_ops *ops, struct device_conf *conf);
void guest_remove(struct guest *g, struct device *d);
/* Saves `d`, makes it forget everything by a reset, and loads it again. */
void guest_save_load(struct guest *g, struct device *d);

uint32_t guest_cfg_read(struct guest *g, unsigned slot, unsigned reg, unsigned size);
void guest_cfg_write(struct guest *g, unsigned slot, unsigned reg, unsigned size, uint32_t val);
uint64_t guest_read(struct guest *g, gpa_t addr, unsigned size);
void guest_write(struct guest *g, gpa_t addr, unsigned size, uint64_t val);
gpa_t guest_alloc(struct guest *g, uint64_t size, uint64_t align);
void *guest_ptr(struct guest *g, gpa_t gpa); /* of one byte and what follows it */

/* ---- a virtio driver
 * ------------------------------------------------------------------------------ */

struct seg {
	gpa_t addr;
	uint32_t len;
	bool write;
};

struct driver {
	struct guest *g;
	unsigned slot;
	uint16_t device_id;
	gpa_t bar, common, isr, config, notify;
	uint32_t notify_stride;
	unsigned msix_cap, window_cap;
	uint64_t offered, features;
	struct driver_queue {
		uint16_t size, next_desc, avail, used;
		gpa_t desc, avail_ring, used_ring;
	} q[VIRTIO_MAX_QUEUES];
};

/* Finds the function in `slot` and its structures. */
void driver_probe(struct driver *d, struct guest *g, unsigned slot);
/* Reset, ACKNOWLEDGE, DRIVER, features (those of `want` that are offered), FEATURES_OK. */
void driver_negotiate(struct driver *d, uint64_t want);
void driver_queue(struct driver *d, unsigned q, uint16_t size);
void driver_ok(struct driver *d);
uint8_t driver_status(struct driver *d);
/* MSI-X with vector n+1 for queue n and 0 for the configuration; data 0x40 + vector. */
void driver_msix(struct driver *d, unsigned nqueues);
/* All of the above for `nqueues` queues of `size`. */
void driver_start(struct driver *d, struct guest *g, unsigned slot, uint64_t want, unsigned nqueues,
		  uint16_t size);

/* Makes a chain and puts it on the available ring; returns its head. */
uint16_t driver_add(struct driver *d, unsigned q, const struct seg *s, unsigned n);
uint16_t driver_add_indirect(struct driver *d, unsigned q, const struct seg *s, unsigned n);
/* Raw access for malformed rings. */
void driver_set_desc(struct driver *d, unsigned q, unsigned i, gpa_t addr, uint32_t len,
		     uint16_t flags, uint16_t next);
void driver_publish(struct driver *d, unsigned q, uint16_t head);
void driver_kick(struct driver *d, unsigned q);
/* Waits (seconds) for the next used entry; fails the test when none comes. */
struct vring_used_elem driver_wait(struct driver *d, unsigned q);
bool driver_has_used(struct driver *d, unsigned q);

#endif
