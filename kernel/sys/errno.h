/* SPDX-License-Identifier: Apache-2.0 */
/* Linux's error numbers: the kernel's functions return them negative, system calls pass them on. */
#ifndef KERNEL_SYS_ERRNO_H
#define KERNEL_SYS_ERRNO_H

#include <asm/errno.h>

/* Never seen by programs: the call is begun again after the signal's handler. */
#define ERESTARTSYS 512

#endif
