/* SPDX-License-Identifier: Apache-2.0 */
/* Times as programs give them: struct timespec, seconds and ns. */
#ifndef KERNEL_SYS_TIME_H
#define KERNEL_SYS_TIME_H

#include <linux/time.h>
#include <stdint.h>

/* In ns; -EFAULT, or -EINVAL: no time, or too large for a deadline. */
int timespec_from_user(uint64_t from, uint64_t *ns);
int timespec_check(const uint64_t ts[2], uint64_t *ns);

#endif
