/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes: RDRAND where the CPU has it, else a generator fed by the time stamps of interrupts.
 */
#ifndef KERNEL_SYS_RANDOM_H
#define KERNEL_SYS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void random_bytes(void *to, size_t n);
/* Fills user memory with random bytes or zeros; n or -EFAULT. */
int64_t fill_user(uint64_t buf, uint64_t n, bool random);

#endif
