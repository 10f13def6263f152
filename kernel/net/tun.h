/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNEL_NET_TUN_H
#define KERNEL_NET_TUN_H

void tun_init(void); /* /dev/net/tun */

#endif
