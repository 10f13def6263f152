/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's network interfaces, as Linux's programs see them: "br0", "br1", ... are switches,
 * "eth0", ... the physical ones, each the uplink of the switch with its number, and taps
 * (/dev/net/tun) the VMs' ends. The kernel itself has no address and speaks no protocol.
 *
 * One lock for all of it: a frame is copied while it is held, from interrupt handlers too.
 */
#ifndef KERNEL_NET_NETIF_H
#define KERNEL_NET_NETIF_H

#include "kernel/net/vswitch.h"

#define IFNAME_SIZE 16

extern struct spinlock net_lock;

struct netif {
	char name[IFNAME_SIZE];
	int index; /* > 0; 0: not there */
	uint8_t mac[6];
	bool running; /* has a link */
	/* Whether the cable is in, asked each second; NULL: it always is. */
	bool (*has_link)(struct netif *n);
	struct port port;       /* `send` is called with net_lock held */
	struct vswitch *bridge; /* of a bridge; else NULL */
};

/* Makes br0. */
void net_init(void);

/*
 * Enters an interface under the name, in which "%d" becomes the first free number, with a random
 * address if it has none. -EBUSY: that name is there, -EEXIST: it is in already, -EINVAL, -ENFILE.
 */
int netif_add(struct netif *n, const char *name);
void netif_remove(struct netif *n);

/* A driver has found a NIC: it becomes ethN, the uplink of brN. From then on its send()
 * and has_link() are called. */
int netif_add_uplink(struct netif *n);
/* A frame from behind the interface; false: refused for its length. */
bool netif_receive(struct netif *n, const void *frame, unsigned len);

/* The i-th interface and its traffic, into and out of the machine; false: there are not so many. */
bool netif_traffic(unsigned i, char name[IFNAME_SIZE], struct traffic t[2]);

/* Linux's SIOC* on interfaces, -ENOTTY for others. `arg` is a struct ifreq of user memory. */
int64_t netif_ioctl(unsigned cmd, uint64_t arg);

struct ifreq_k {
	char name[IFNAME_SIZE];
	union {
		int number; /* ifr_ifindex, ifr_mtu */
		uint16_t flags;
		struct {
			uint16_t family;
			uint8_t mac[14];
		} address;
		uint8_t size[24];
	};
};

#endif
