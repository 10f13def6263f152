#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What udhcpc calls when it got a lease: configures the interface.
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/${mask:-24}" dev "$interface"
[ -n "$router" ] && ip route add default via "${router%% *}" 2>/dev/null
: >/etc/resolv.conf
for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
echo "lease: $ip router $router"
