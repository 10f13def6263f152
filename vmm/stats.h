/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, as the control socket shows them. */
#ifndef VMM_STATS_H
#define VMM_STATS_H

#include <stdint.h>

/* Receives one counter; `name` is valid during the call only. */
typedef void stat_fn(void *opaque, const char *name, uint64_t value);

#endif
