/* SPDX-License-Identifier: Apache-2.0 */
/* eventfds as the KVM interface uses them: as doorbells and as interrupt lines. */
#ifndef KERNEL_SYS_EVENTFDS_H
#define KERNEL_SYS_EVENTFDS_H

#include "kernel/sys/file.h"

bool file_is_eventfd(const struct file *f);
/* Adds 1, as a write would. From anywhere. */
void eventfd_signal(struct file *f);

#endif
