/* SPDX-License-Identifier: Apache-2.0 */
/* The memory balloon as the control socket uses it. Machine lock held. */
#ifndef VMM_DEVICE_VIRTIO_BALLOON_H
#define VMM_DEVICE_VIRTIO_BALLOON_H

#include "vmm/device.h"

/* Statistics of section 5.5.6.3, by tag; UINT64_MAX: the guest has not told. */
enum balloon_stat {
	BALLOON_SWAP_IN,
	BALLOON_SWAP_OUT,
	BALLOON_MAJOR_FAULTS,
	BALLOON_MINOR_FAULTS,
	BALLOON_FREE,
	BALLOON_TOTAL,
	BALLOON_AVAILABLE,
	BALLOON_CACHES,
	BALLOON_HUGETLB_OK,
	BALLOON_HUGETLB_FAILED,
	BALLOON_NSTATS,
};

/* Asks the guest to give up so many bytes of its memory (rounded down to pages, at most all RAM).
 */
void balloon_set_target(struct device *d, uint64_t bytes);
uint64_t balloon_target(const struct device *d);
/* Bytes the guest says it has given up. */
uint64_t balloon_actual(const struct device *d);
/* Whether a driver serves it: without one nothing is given up. */
bool balloon_has_driver(const struct device *d);
/* Asks for fresh statistics; they arrive some time later, if the driver has them at all. */
void balloon_ask_stats(struct device *d);
const uint64_t *balloon_stats(const struct device *d); /* BALLOON_NSTATS values */

#endif
