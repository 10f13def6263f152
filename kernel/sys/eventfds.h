/* SPDX-License-Identifier: Apache-2.0 */
/* eventfds as the KVM interface uses them: as doorbells and as interrupt lines. */
#ifndef KERNEL_SYS_EVENTFDS_H
#define KERNEL_SYS_EVENTFDS_H

#include "kernel/sys/file.h"

bool file_is_eventfd(const struct file *f);
/* Adds 1, as a write would. From anywhere. */
void eventfd_signal(struct file *f);
/* Calls `hook` at each write, beside the counting; NULL ends it. One at a time. */
void eventfd_set_hook(struct file *f, void (*hook)(void *opaque, uint64_t added), void *opaque);

#endif
