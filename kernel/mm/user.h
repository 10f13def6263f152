/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only ways to memory of the current process. Addresses are checked; pages that are missing
 * come by the page fault; what is not mapped is -EFAULT.
 */
#ifndef KERNEL_MM_USER_H
#define KERNEL_MM_USER_H

#include <stddef.h>
#include <stdint.h>

int copy_from_user(void *to, uint64_t from, size_t n);
int copy_to_user(uint64_t to, const void *from, size_t n);
/* A text of at most size - 1 bytes; its length, -ENAMETOOLONG or -EFAULT. */
int string_from_user(char *to, uint64_t from, size_t size);

#endif
