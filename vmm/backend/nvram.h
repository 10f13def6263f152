/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a flash chip that outlives the VM: UEFI's variables. A store replaces the whole
 * file (write aside, fsync, rename), so a crash leaves the old or the new content. A thread does it
 * while the guest runs. Main thread, machine lock held.
 */
#ifndef VMM_BACKEND_NVRAM_H
#define VMM_BACKEND_NVRAM_H

#include <stdint.h>

#include "base/err.h"
#include "vmm/loop.h"

struct nvram;

/*
 * Opens `path` for this process alone (-EBUSY: another VM has it). A missing file is made from
 * `fresh`; `path` NULL: the content is fresh's and ends with the VM. Where `path` is a symbolic
 * link, that stays, and the file is replaced that it leads to.
 */
int nvram_open(const char *path, const char *fresh, struct loop *loop, struct nvram **out,
	       struct err *e);
/* Stores what has changed, then closes. */
void nvram_close(struct nvram *n);

uint64_t nvram_size(const struct nvram *n); /* bytes, a multiple of 4096 */
uint8_t *nvram_data(const struct nvram *n); /* may be written, followed by nvram_changed() */
void nvram_changed(struct nvram *n);        /* it is stored a moment later, or at the end */
int nvram_store(struct nvram *n);           /* at once, if it has changed; says why not */

#endif
