/* SPDX-License-Identifier: Apache-2.0 */
/* futex(): waiting for a word in memory. Keys are (address space, address) or, shared, the page. */
#ifndef KERNEL_SYS_FUTEX_H
#define KERNEL_SYS_FUTEX_H

#include <stdint.h>

/* Wakes waiters of a shared key, as the end of a thread does (set_tid_address()). */
unsigned futex_wake_address(uint64_t addr, unsigned n);

#endif
