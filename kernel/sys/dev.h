/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in /dev and /proc from the start. */
#ifndef KERNEL_SYS_DEV_H
#define KERNEL_SYS_DEV_H

void dev_init(void);  /* null, zero, random, ... */
void tty_init(void);  /* console, ttyS0, tty */
void proc_init(void); /* /proc */

#endif
