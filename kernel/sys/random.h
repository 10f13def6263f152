/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes: RDRAND where the CPU has it, else a generator fed by the time stamps of interrupts.
 */
#ifndef KERNEL_SYS_RANDOM_H
#define KERNEL_SYS_RANDOM_H

#include <stddef.h>

void random_bytes(void *to, size_t n);

#endif
