/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware configuration device: numbered items and named files that PC firmware reads from the
 * machine, by a byte port or by DMA. (QEMU, docs/specs/fw_cfg; the firmware's own interface, so the
 * keys are the ones it knows.) Read-only for the guest.
 */
#ifndef VMM_DEVICE_FWCFG_H
#define VMM_DEVICE_FWCFG_H

#include "vmm/device.h"

#define FWCFG_PORT_SELECT 0x510 /* 16 bits; the byte port follows */
#define FWCFG_PORT_DMA    0x514 /* 64 bits, big-endian; the low half starts */

#define FWCFG_SIGNATURE 0x00
#define FWCFG_ID        0x01
#define FWCFG_UUID      0x02
#define FWCFG_RAM_SIZE  0x03
#define FWCFG_NOGRAPHIC 0x04
#define FWCFG_NB_CPUS   0x05
#define FWCFG_BOOT_MENU 0x0e
#define FWCFG_MAX_CPUS  0x0f
#define FWCFG_DIRECTORY 0x19
#define FWCFG_FILE0     0x20

#define FWCFG_MAX_FILES 32
#define FWCFG_NAME_MAX  55 /* bytes of a file's name */

extern const struct device_ops fwcfg_ops; /* [] */

/* Sets item `key` below FWCFG_DIRECTORY, or the file `name`; both copy. A second call replaces. */
int fwcfg_set_item(struct device *d, unsigned key, const void *data, size_t len, struct err *e);
int fwcfg_set_file(struct device *d, const char *name, const void *data, size_t len, struct err *e);

/*
 * `fn` runs whenever the guest selects the file `name`, before it reads: it may set this file and
 * others anew, with the length they had.
 */
void fwcfg_on_select(struct device *d, const char *name, void (*fn)(void *opaque), void *opaque);

#endif
