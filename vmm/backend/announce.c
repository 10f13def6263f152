/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vmm/backend/netdev.h"

/* A request of reverse ARP (RFC 903), which every switch and passt understand and nobody answers.
 */
void netdev_announce(struct netdev *n, const uint8_t mac[6])
{
	static const uint8_t header[] = {
		0x80, 0x35,       /* Ethernet: reverse ARP */
		0,    1,          /* hardware: Ethernet */
		8,    0,    6, 4, /* protocol: IPv4; the lengths of addresses */
		0,    3,          /* request reverse */
	};
	uint8_t frame[60] = {0};
	const struct iovec iov = {frame, sizeof(frame)};

	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, header, sizeof(header));
	memcpy(frame + 22, mac, 6); /* sender, its IPv4 address is not known here */
	memcpy(frame + 32, mac, 6); /* target */
	n->ops->send(n, &iov, 1);
	n->ops->flush(n);
}
