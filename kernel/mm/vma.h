/* SPDX-License-Identifier: Apache-2.0 */
/* Between space.c (pages) and vma.c (mappings). The space's lock is held in all of these. */
#ifndef KERNEL_MM_VMA_H
#define KERNEL_MM_VMA_H

#include "kernel/mm/space.h"

struct vma *vma_find(struct space *s, uint64_t addr);
int vma_insert_copy(struct space *to, const struct vma *v);

/* Called for each present page; n is 1 or 512. */
typedef void page_fn(struct space *s, uint64_t *entry, unsigned n, void *opaque);
/* -ENOMEM if a large page at the edge could not be split. */
int space_each_page(struct space *s, uint64_t start, uint64_t end, page_fn *fn, void *opaque);
void space_notify(struct space *s, uint64_t start, uint64_t end);

#endif
