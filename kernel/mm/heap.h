/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for kernel objects. */
#ifndef KERNEL_MM_HEAP_H
#define KERNEL_MM_HEAP_H

#include <stddef.h>

void heap_init(void);
/* Zeroed; NULL when memory is exhausted. At most 4 MiB. */
void *kzalloc(size_t size);
void kfree(void *p); /* NULL is allowed */

#endif
