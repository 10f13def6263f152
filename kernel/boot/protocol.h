/* SPDX-License-Identifier: Apache-2.0 */
/* What entry.S tells kmain(); shared with assembly. */
#ifndef KERNEL_BOOT_PROTOCOL_H
#define KERNEL_BOOT_PROTOCOL_H

#define BOOT_MULTIBOOT2 1
#define BOOT_PVH        2

/* Page below 1 MiB in which the other processors start. */
#define SMP_TRAMPOLINE 0x8000

#endif
