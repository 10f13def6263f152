/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's gigabit cards with the oldest form of descriptors (8254x Software Developer's Manual,
 * 317453; 82574 datasheet, 317694): each ring's slots have buffers of their own. */
#include "kernel/drivers/drivers.h"
#include "kernel/drivers/e1000.h"
#include "kernel/mm/layout.h"
#include "kernel/net/netif.h"
#include "kernel/sched/timer.h"

#define NSLOTS 128

struct ring {
	volatile struct descriptor *slot;
	uint8_t (*buffer)[2048];
	unsigned at;
};

struct card {
	struct netif netif;
	volatile void *regs;
	struct ring rx; /* the interrupt's */
	struct ring tx; /* under net_lock */
};

static void take_frame(struct card *c, volatile struct descriptor *d, const uint8_t *frame)
{
	unsigned len = d->len, status = d->status;

	/* No frame that this kernel takes needs two buffers. */
	if (!(status & END_OF_PACKET) || d->errors)
		len = 0;
	netif_receive(&c->netif, frame, len);
	d->status = 0;
}

static void interrupt(void *opaque)
{
	struct card *c = opaque;
	struct ring *r = &c->rx;

	if (!mmio_read32(c->regs, ICR))
		return; /* another's on this line */
	for (unsigned i = 0; i < NSLOTS && r->slot[r->at].status & DONE; i++) {
		take_frame(c, &r->slot[r->at], r->buffer[r->at]);
		mmio_write32(c->regs, RX + RING_TAIL, r->at);
		r->at = (r->at + 1) % NSLOTS;
	}
}

static bool transmit(struct port *p, const void *frame, unsigned len)
{
	struct card *c = CONTAINER(p, struct card, netif.port);
	struct ring *r = &c->tx;
	unsigned next = (r->at + 1) % NSLOTS;

	/* One slot stays free: a full ring would look like an empty one. */
	if (!(r->slot[next].status & DONE))
		return false;
	memcpy(r->buffer[r->at], frame, len);
	r->slot[r->at].len = (uint16_t)len;
	r->slot[r->at].command = CMD_SEND;
	r->slot[r->at].status = 0;
	r->at = next;
	mmio_write32(c->regs, TX + RING_TAIL, next);
	return true;
}

static bool has_link(struct netif *n)
{
	return mmio_read32(CONTAINER(n, struct card, netif)->regs, STATUS) & STATUS_LINK;
}

static int make_ring(struct card *c, struct pci_device *pci, struct ring *r, unsigned base,
		     uint8_t status)
{
	struct descriptor *d = pci_alloc(pci, NSLOTS * sizeof(*d));

	r->buffer = pci_alloc(pci, NSLOTS * sizeof(*r->buffer));
	if (!d || !r->buffer)
		return -ENOMEM;
	for (unsigned i = 0; i < NSLOTS; i++)
		d[i] = (struct descriptor){.phys = virt_to_phys(r->buffer[i]), .status = status};
	r->slot = d;
	mmio_write64(c->regs, base + RING_BASE, virt_to_phys(d));
	mmio_write32(c->regs, base + RING_LENGTH, NSLOTS * sizeof(*d));
	mmio_write32(c->regs, base + RING_HEAD, 0);
	mmio_write32(c->regs, base + RING_TAIL, 0);
	return 0;
}

static void reset(struct card *c)
{
	mmio_write32(c->regs, IMC, ~0u);
	mmio_write32(c->regs, CTRL, mmio_read32(c->regs, CTRL) | CTRL_RESET);
	delay_us(10000);
	mmio_write32(c->regs, IMC, ~0u);
	mmio_read32(c->regs, ICR);
	mmio_write32(c->regs, CTRL, (mmio_read32(c->regs, CTRL) | CTRL_SET_LINK_UP) & ~CTRL_CLEAR);
	for (unsigned i = 0; i < 6; i++)
		c->netif.mac[i] = (uint8_t)(mmio_read32(c->regs, RAL + i / 4 * 4) >> i % 4 * 8);
}

int e1000_probe(struct pci_device *d)
{
	struct card *c = pci_alloc(d, sizeof(*c));
	int rc;

	if (!c || !(c->regs = pci_map(d, 0, 0, REGISTERS)))
		return c ? -ENODEV : -ENOMEM;
	pci_enable(d);
	d->msix = 0; /* the 82574's wants causes to be spread; MSI does not */
	reset(c);
	rc = make_ring(c, d, &c->rx, RX, 0);
	if (!rc)
		rc = make_ring(c, d, &c->tx, TX, DONE);
	if (!rc)
		rc = pci_irq(d, 0, interrupt, c);
	c->netif.has_link = has_link;
	c->netif.port.send = transmit;
	if (!rc)
		rc = netif_add_uplink(&c->netif);
	if (rc)
		return rc;
	mmio_write32(c->regs, TIPG, TIPG_VALUE);
	mmio_write32(c->regs, TCTL, TCTL_VALUE);
	mmio_write32(c->regs, RCTL, RCTL_VALUE);
	mmio_write32(c->regs, RX + RING_TAIL, NSLOTS - 1);
	mmio_write32(c->regs, IMS, INT_RECEIVE);
	return 0;
}
