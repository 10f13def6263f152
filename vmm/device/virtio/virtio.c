/* SPDX-License-Identifier: Apache-2.0 */
/* What all virtio devices share: status, features, configuration, breaking and reset. (Virtio 1.2
 * chapter 2.) */
#include "vmm/device/virtio/virtio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"

#define MAX_CONFIG 136 /* of the largest: virtio-input */

static void run_requeued(void *opaque)
{
	struct virtio_dev *v = opaque;

	for (unsigned i = 0; i < v->type->nqueues; i++) {
		if (!v->requeued[i])
			continue;
		v->requeued[i] = false;
		virtio_notify(v, i);
	}
}

int virtio_plug(struct virtio_dev *v, const struct virtio_type *type, struct virtio_hw *hw,
		const struct device_env *env, struct err *e)
{
	int rc;

	v->type = type;
	v->hw = hw;
	v->env = *env;
	v->again = (struct loop_timer){.fn = run_requeued, .opaque = v};
	v->features |= VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	for (unsigned i = 0; i < type->nqueues; i++)
		v->q[i] = (struct virtqueue){.dev = v, .index = i};
	rc = virtio_pci_attach(v, e);
	if (rc)
		return rc;
	virtio_device_reset(&v->dev);
	return 0;
}

void virtio_unplug(struct virtio_dev *v)
{
	if (!v->transport)
		return;
	if (v->type->reset)
		v->type->reset(v);
	loop_timer_cancel(v->env.loop, &v->again);
	virtio_pci_detach(v);
}

void virtio_broken(struct virtio_dev *v, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	log_guest_error(&v->guest_errors, "%s: %s; the guest must reset the device", v->type->name,
			what);
	if (v->hw->status & VIRTIO_NEEDS_RESET)
		return;
	v->hw->status |= VIRTIO_NEEDS_RESET;
	if (v->hw->status & VIRTIO_DRIVER_OK)
		virtio_pci_interrupt(v, VIRTIO_CONFIG_IRQ);
}

void virtio_config_changed(struct virtio_dev *v)
{
	v->hw->generation++;
	if (virtio_running(v))
		virtio_pci_interrupt(v, VIRTIO_CONFIG_IRQ);
}

/* Section 2.4.1: everything back to the state after plugging in. The PCI registers stay. */
void virtio_reset(struct virtio_dev *v)
{
	struct pci_hw pci = v->hw->pci;

	if (v->type->reset)
		v->type->reset(v);
	for (unsigned i = 0; i < v->type->nqueues; i++) {
		virtq_disable(&v->q[i]);
		virtio_pci_queue_changed(v, i);
	}
	memset(v->hw, 0, sizeof(*v->hw));
	v->hw->pci = pci;
	for (unsigned i = 0; i < v->type->nqueues; i++)
		v->hw->vq.size[i] = v->type->queue_size[i];
	virtio_pci_reset(v);
}

void virtio_device_reset(struct device *d)
{
	struct virtio_dev *v = (struct virtio_dev *)d;

	virtio_reset(v);
	pci_reset(virtio_pci_function(v));
}

void virtio_device_stats(struct device *d, stat_fn *fn, void *opaque)
{
	fn(opaque, "guest_errors", ((struct virtio_dev *)d)->guest_errors);
}

void virtio_set_features(struct virtio_dev *v, unsigned word, uint32_t val)
{
	uint64_t mask = word ? 0xffffffff00000000ull : 0xffffffffull;

	if (word > 1 || v->hw->status & VIRTIO_FEATURES_OK)
		return;
	v->hw->features = (v->hw->features & ~mask) | ((uint64_t)val << word * 32 & mask);
}

static bool features_ok(const struct virtio_dev *v)
{
	return !(v->hw->features & ~v->features) && virtio_has(v, VIRTIO_F_VERSION_1);
}

void virtio_set_status(struct virtio_dev *v, uint8_t status)
{
	uint8_t before = v->hw->status;

	if (!status) {
		virtio_reset(v);
		return;
	}
	/* The driver only adds bits; NEEDS_RESET is the device's own. */
	status |= before;
	status &= (uint8_t) ~(VIRTIO_NEEDS_RESET & ~before);
	if (!(before & VIRTIO_FEATURES_OK) && !features_ok(v))
		status &= (uint8_t)~VIRTIO_FEATURES_OK;
	if (!(status & VIRTIO_FEATURES_OK))
		status &= (uint8_t)~VIRTIO_DRIVER_OK;
	v->hw->status = status;
	if (!(before & VIRTIO_DRIVER_OK) && status & VIRTIO_DRIVER_OK)
		for (unsigned i = 0; i < v->type->nqueues; i++)
			virtio_notify(v, i); /* buffers may wait already */
}

void virtio_enable_queue(struct virtio_dev *v, unsigned queue)
{
	if (v->hw->vq.enabled[queue] || !(v->hw->status & VIRTIO_FEATURES_OK))
		return;
	if (!virtq_enable(&v->q[queue]))
		return;
	v->hw->vq.enabled[queue] = 1;
	virtio_pci_queue_changed(v, queue);
}

void virtio_notify(struct virtio_dev *v, unsigned queue)
{
	if (queue < v->type->nqueues && v->q[queue].avail && virtio_running(v))
		v->type->notify(v, queue);
}

void virtio_requeue(struct virtio_dev *v, unsigned queue)
{
	v->requeued[queue] = true;
	loop_timer_set(v->env.loop, &v->again, loop_now());
}

uint32_t virtio_config_get(struct virtio_dev *v, uint64_t off, unsigned size)
{
	uint8_t config[MAX_CONFIG] = {0};
	uint32_t val = 0;

	if (!range_ok(off, size, v->type->config_size))
		return 0;
	v->type->config_read(v, config);
	memcpy(&val, config + off, size);
	return val;
}

void virtio_config_set(struct virtio_dev *v, uint64_t off, unsigned size, uint32_t val)
{
	if (v->type->config_write && range_ok(off, size, v->type->config_size))
		v->type->config_write(v, (unsigned)off, size, val);
}

int virtio_device_loaded(struct virtio_dev *v, struct err *e)
{
	struct virtio_hw *hw = v->hw;
	const char *name = v->type->name;

	if (hw->features & ~v->features)
		return err_set(e, -EINVAL,
			       "%s.features: %#llx is more than this device offers (%#llx)", name,
			       (unsigned long long)hw->features, (unsigned long long)v->features);
	for (unsigned i = 0; i < v->type->nqueues; i++) {
		virtq_disable(&v->q[i]);
		if (hw->vq.enabled[i] && !virtq_enable(&v->q[i]))
			return err_set(e, -EINVAL, "%s: queue %u does not lie in memory", name, i);
	}
	/* Requests may have come whose bell was rung before the save. */
	for (unsigned i = 0; i < v->type->nqueues; i++)
		virtio_requeue(v, i);
	return virtio_pci_loaded(v, e);
}
