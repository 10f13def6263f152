/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio devices by their C names. Settings in brackets. */
#ifndef VMM_DEVICE_VIRTIO_MODELS_H
#define VMM_DEVICE_VIRTIO_MODELS_H

#include "vmm/device.h"

extern const struct device_ops virtio_blk_ops;     /* [serial], backend: struct disk */
extern const struct device_ops virtio_net_ops;     /* [mac], backend: struct netdev */
extern const struct device_ops virtio_console_ops; /* backend: struct chardev or NULL */
extern const struct device_ops virtio_rng_ops;     /* [] */
extern const struct device_ops virtio_balloon_ops; /* [reporting=0], see balloon.h */
extern const struct device_ops virtio_tablet_ops;  /* [], backend: struct input or NULL */

/* After disk_grow(): tells the driver. */
void virtio_blk_grown(struct device *d);

#endif
