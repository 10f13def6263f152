/* SPDX-License-Identifier: Apache-2.0 */
/* Every legacy device model by its C name; models.c lists all models for --device. */
#ifndef VMM_DEVICE_MODELS_H
#define VMM_DEVICE_MODELS_H

#include "vmm/device.h"

/* Settings in brackets, with their defaults. */
extern const struct device_ops uart_ops;      /* [port=0x3f8, irq=4], backend: struct chardev */
extern const struct device_ops rtc_ops;       /* [irq=8, epoch=now: seconds since 1970 UTC] */
extern const struct device_ops pit_ops;       /* [irq=0] */
extern const struct device_ops i8042_ops;     /* [], backend: struct input or NULL */
extern const struct device_ops debugexit_ops; /* [port=0xf4] */
extern const struct device_ops debugcon_ops;  /* [port=0x402], backend: chardev, or NULL: stdout */

#endif
