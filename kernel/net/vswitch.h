/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A learning bridge (IEEE 802.1D, 7.7 to 7.9): it knows frames and ports, nothing of who is behind
 * them, and takes no locks; its callers (netif.c) do. Also built for the host's unit tests.
 *
 * Each port keeps the addresses seen behind it in a table of its own, so a guest that makes up
 * addresses forgets its own only. A VM's card has its own address against all others. Any other
 * that was heard within SWITCH_AGE_NS stays where it was: nobody gets another's frames by sending
 * in its name, no VM those of a router outside. The outside takes back from VMs what is not their
 * cards'.
 */
#ifndef KERNEL_NET_VSWITCH_H
#define KERNEL_NET_VSWITCH_H

#include "kernel/lib/lib.h"

#define FRAME_MIN     14u   /* the header */
#define FRAME_MAX     1518u /* with a VLAN tag, without FCS */
#define SWITCH_PORTS  64
#define SWITCH_AGE_NS (300 * 1000000000UL)
#define PORT_MACS     512

struct traffic {
	uint64_t bytes, packets, errors, dropped;
};

struct mac_entry {
	uint8_t mac[6];
	uint64_t seen; /* ns; 0: free */
};

struct vswitch;

struct port {
	struct vswitch *joined; /* NULL: to none */
	bool up;
	bool uplink;         /* to the world outside */
	const uint8_t *card; /* address of the VM's card, whose first byte is unknown; NULL: none */
	struct traffic in;   /* what came from behind the port; errors: lengths that none has */
	struct traffic out;  /* what went there; dropped: no room */
	struct mac_entry mac[PORT_MACS];
	/* Takes a copy of the frame; false if there is no room. */
	bool (*send)(struct port *p, const void *frame, unsigned len);
};

struct vswitch {
	struct port *port[SWITCH_PORTS];
	unsigned nports;
	struct traffic through; /* all that was forwarded */
};

bool switch_join(struct vswitch *s, struct port *p); /* false: it is full */
void switch_leave(struct port *p);                   /* forgets the port's addresses */

/* A frame from behind `from`, at the time `now` > 0 in ns: to the port that its address is known
 * behind, to all others if there is none. False: refused for its length. */
bool switch_forward(struct port *from, const void *frame, unsigned len, uint64_t now);

#endif
