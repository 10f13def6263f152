/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio network cards (OASIS virtio 1.2, 5.1): one pair of queues, no offloads. */
#include "kernel/drivers/drivers.h"
#include "kernel/drivers/virtio.h"
#include "kernel/mm/layout.h"
#include "kernel/net/netif.h"

#define F_MAC    (1UL << 5)
#define F_STATUS (1UL << 16)

#define CONFIG_STATUS 6 /* behind the address */
#define CONFIG_LENGTH 8

#define NBUFFERS 128
#define HEADER   12 /* struct virtio_net_hdr: zeros, as nothing of it is agreed on */

struct buffer {
	uint8_t header[HEADER];
	uint8_t frame[2048 - HEADER];
};

struct card {
	struct netif netif;
	struct virtio dev;
	struct virtq receive, transmit;
	struct buffer *buffers; /* NBUFFERS for frames to come, then as many for those to go */
	struct buffer *free[NBUFFERS]; /* of the latter; under net_lock */
	unsigned nfree;
};

static void receive(void *opaque)
{
	struct card *c = opaque;
	struct buffer *b;
	uint32_t len;

	for (unsigned i = 0; i < NBUFFERS && (b = virtq_take(&c->receive, &len)); i++) {
		netif_receive(&c->netif, b->frame, len > HEADER ? len - HEADER : 0);
		if (virtq_offer(&c->receive, b, sizeof(*b), true))
			return;
	}
	virtq_kick(&c->receive);
}

/* Sent frames are looked at when the next one goes. */
static bool transmit(struct port *p, const void *frame, unsigned len)
{
	struct card *c = CONTAINER(p, struct card, netif.port);
	struct buffer *b;
	uint32_t none;

	while ((b = virtq_take(&c->transmit, &none)))
		c->free[c->nfree++] = b;
	if (!c->nfree)
		return false;
	b = c->free[c->nfree - 1];
	memcpy(b->frame, frame, len);
	if (virtq_offer(&c->transmit, b, HEADER + len, false))
		return false;
	c->nfree--;
	virtq_kick(&c->transmit);
	return true;
}

static bool has_link(struct netif *n)
{
	struct card *c = CONTAINER(n, struct card, netif);

	if (virtq_failed(&c->receive) || virtq_failed(&c->transmit))
		return false;
	return !(c->dev.features & F_STATUS) || mmio_read16(c->dev.config, CONFIG_STATUS) & 1;
}

static int start_queues(struct card *c)
{
	int rc = virtq_start(&c->receive, &c->dev, 0, NBUFFERS, receive, c);

	if (!rc)
		rc = virtq_start(&c->transmit, &c->dev, 1, NBUFFERS, NULL, NULL);
	if (rc)
		return rc;
	for (unsigned i = 0; i < c->transmit.size; i++)
		c->free[c->nfree++] = &c->buffers[NBUFFERS + i];
	for (unsigned i = 0; !rc && i < c->receive.size; i++)
		rc = virtq_offer(&c->receive, &c->buffers[i], sizeof(c->buffers[i]), true);
	return rc;
}

int virtio_net_probe(struct pci_device *d)
{
	struct card *c = pci_alloc(d, sizeof(*c));
	int rc;

	if (!c || !(c->buffers = pci_alloc(d, 2 * NBUFFERS * sizeof(struct buffer))))
		return -ENOMEM;
	rc = virtio_start(&c->dev, d, F_MAC | F_STATUS);
	if (!rc && c->dev.features & (F_MAC | F_STATUS) && c->dev.config_len < CONFIG_LENGTH)
		rc = -ENODEV;
	if (!rc)
		rc = start_queues(c);
	for (unsigned i = 0; !rc && c->dev.features & F_MAC && i < 6; i++)
		c->netif.mac[i] = mmio_read8(c->dev.config, i);
	c->netif.has_link = has_link;
	c->netif.port.send = transmit;
	if (!rc)
		rc = netif_add_uplink(&c->netif);
	if (rc)
		return rc;
	virtio_ready(&c->dev);
	virtq_kick(&c->receive);
	return 0;
}
