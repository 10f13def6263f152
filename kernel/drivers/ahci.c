/* SPDX-License-Identifier: Apache-2.0 */
/* SATA disks behind an AHCI controller (Serial ATA AHCI 1.3.1; ATA8-ACS for the commands). */
#include "kernel/drivers/ahci.h"

#include "kernel/drivers/block.h"
#include "kernel/drivers/drivers.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/sys/errno.h"

#define LINK_MS  100   /* a link comes up in 10 */
#define READY_MS 10000 /* a disk that spins up */
#define STOP_MS  500

/* In two pages: the list, then what the disk sends, then the tables. */
#define FIS_OFFSET   0x400
#define TABLE_OFFSET PAGE_SIZE

struct port {
	struct blockdev dev;
	volatile void *regs;
	uint32_t issued; /* slots */
	struct command *list;
	struct table *tables;
};

struct hba {
	volatile void *regs;
	struct port *port[32];
};

/* ---- requests -------------------------------------------------------------------------------- */

static void start(struct blockdev *d, unsigned slot, const struct block_request *r)
{
	static const uint8_t commands[BLOCK_OPS] = {0x25, 0x35, 0xea, 0xec}; /* with 48-bit LBA */
	struct port *p = d->driver;
	struct table *t = &p->tables[slot];

	*t = (struct table){.type = FIS_TO_DEVICE,
			    .flags = FIS_COMMAND,
			    .command = commands[r->op],
			    .device = DEVICE_LBA,
			    .lba_low = r->sector & 0xffffff,
			    .lba_high = r->sector >> 24 & 0xffffff,
			    .count = (uint16_t)r->sectors,
			    .phys = r->phys,
			    .last = r->sectors * d->sector_size - 1};
	p->list[slot] = (struct command){
		.flags = COMMAND_FIS_WORDS | (r->op == BLOCK_WRITE ? COMMAND_WRITE : 0) |
			 (r->sectors ? COMMAND_ONE_PIECE : 0),
		.table = virt_to_phys(t),
	};
	p->issued |= 1u << slot;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	mmio_write32(p->regs, PX_CI, 1u << slot);
}

static void set_command(struct port *p, uint32_t bits)
{
	mmio_write32(p->regs, PX_CMD, mmio_read32(p->regs, PX_CMD) | bits);
}

static bool stop(struct port *p, uint32_t bits, uint32_t running)
{
	mmio_write32(p->regs, PX_CMD, mmio_read32(p->regs, PX_CMD) & ~bits);
	return mmio_wait(p->regs, PX_CMD, running, 0, STOP_MS);
}

/* The port has stopped at a command that failed (6.2.2): the others are begun again. */
static void recover(struct port *p)
{
	unsigned failed = CMD_CURRENT(mmio_read32(p->regs, PX_CMD));
	bool stopped = stop(p, CMD_START, CMD_RUNNING);

	mmio_write32(p->regs, PX_SERR, ~0u);
	mmio_write32(p->regs, PX_IS, ~0u);
	for (unsigned slot = 0; slot < p->dev.nslots; slot++) {
		if (p->issued & 1u << slot && (slot == failed || !stopped)) {
			p->issued &= ~(1u << slot);
			block_done(&p->dev, slot, -EIO);
		}
	}
	if (!stopped)
		return;
	set_command(p, CMD_START);
	mmio_write32(p->regs, PX_CI, p->issued);
}

static void finish(struct blockdev *d)
{
	struct port *p = d->driver;
	uint32_t why = mmio_read32(p->regs, PX_IS), done;

	mmio_write32(p->regs, PX_IS, why);
	done = p->issued & ~mmio_read32(p->regs, PX_CI);
	p->issued &= ~done;
	for (; done; done &= done - 1)
		block_done(d, (unsigned)__builtin_ctz(done), 0);
	if (why & IRQ_ERRORS)
		recover(p);
}

static void interrupt(void *opaque)
{
	struct hba *h = opaque;
	uint32_t ports = mmio_read32(h->regs, IS);

	for (unsigned i = 0; i < 32; i++) {
		if (ports & 1u << i && h->port[i])
			block_interrupt(&h->port[i]->dev);
	}
	mmio_write32(h->regs, IS, ports);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* False: no disk, or it is not ready. All ports got their power before `deadline`. */
static bool start_port(struct port *p, uint64_t deadline)
{
	uint64_t phys = virt_to_phys(p->list);

	while ((mmio_read32(p->regs, PX_SSTS) & SSTS_MASK) != SSTS_LINK) {
		if (now_ns() > deadline)
			return false;
	}
	if (!stop(p, CMD_START, CMD_RUNNING) || !stop(p, CMD_RECEIVE, CMD_RECEIVING))
		return false;
	mmio_write64(p->regs, PX_CLB, phys);
	mmio_write64(p->regs, PX_FB, phys + FIS_OFFSET);
	mmio_write32(p->regs, PX_SERR, ~0u);
	set_command(p, CMD_RECEIVE);
	if (!mmio_wait(p->regs, PX_TFD, TFD_BUSY, 0, READY_MS) ||
	    mmio_read32(p->regs, PX_SIG) != SIG_DISK)
		return false;
	mmio_write32(p->regs, PX_IS, ~0u);
	mmio_write32(p->regs, PX_IE, IRQ_ERRORS | IRQ_DONE);
	set_command(p, CMD_START);
	return true;
}

static int identify(struct blockdev *d)
{
	uint64_t phys = page_alloc_zero(0);
	const uint16_t *w = phys_to_virt(phys);
	int rc = phys ? block_do(d, BLOCK_IDENTIFY, 0, 1, phys) : -ENOMEM;

	if (d->dead)
		return rc;
	if (!rc && !(w[83] & 1 << 10))
		rc = -EOPNOTSUPP; /* without 48-bit commands: older than AHCI */
	if (!rc) {
		d->sectors = (uint64_t)w[103] << 48 | (uint64_t)w[102] << 32 |
			     (uint64_t)w[101] << 16 | w[100];
		if ((w[106] & 0xd000) == 0x5000)
			d->sector_size = 2 * ((uint32_t)w[118] << 16 | w[117]);
	}
	page_put(phys);
	return rc;
}

/* NULL without memory. */
static struct port *new_port(struct hba *h, unsigned i, unsigned nslots)
{
	struct port *p = kzalloc(sizeof(*p));
	uint64_t phys = page_alloc_zero(1);

	if (!p || !phys) {
		kfree(p);
		return NULL;
	}
	p->regs = (volatile char *)h->regs + PORTS + i * PORT_SIZE;
	p->list = phys_to_virt(phys);
	p->tables = phys_to_virt(phys + TABLE_OFFSET);
	p->dev = (struct blockdev){.major = 8,
				   .sector_size = 512,
				   .cached = true,
				   .nslots = MIN(nslots, BLOCK_SLOTS),
				   .start = start,
				   .finish = finish,
				   .driver = p};
	waitq_init(&p->dev.changed);
	set_command(p, CMD_POWER);
	return p;
}

static void start_ports(struct hba *h, uint32_t ports, unsigned nslots)
{
	struct port *p[32];
	uint64_t deadline;

	for (uint32_t left = ports; left; left &= left - 1)
		p[__builtin_ctz(left)] = new_port(h, (unsigned)__builtin_ctz(left), nslots);
	deadline = now_ns() + LINK_MS * 1000000UL;
	for (; ports; ports &= ports - 1) {
		unsigned i = (unsigned)__builtin_ctz(ports);

		if (!p[i])
			continue;
		if (!start_port(p[i], deadline)) {
			if (stop(p[i], CMD_RECEIVE,
				 CMD_RECEIVING)) /* or it may still write there */
				page_put(virt_to_phys(p[i]->list));
			kfree(p[i]);
			continue;
		}
		h->port[i] = p[i];
		if (!identify(&p[i]->dev))
			block_register(&p[i]->dev, "sd");
	}
}

int ahci_probe(struct pci_device *pci)
{
	struct hba *h = kzalloc(sizeof(*h));
	uint32_t cap, ports;
	int rc;

	if (!h)
		return -ENOMEM;
	pci_enable(pci);
	h->regs = pci_map(pci, 5, 0, PORTS);
	if (!h->regs)
		return -ENODEV;
	mmio_write32(h->regs, GHC, GHC_ENABLE | GHC_RESET);
	if (!mmio_wait(h->regs, GHC, GHC_RESET, 0, 1000))
		return -ETIMEDOUT;
	mmio_write32(h->regs, GHC, GHC_ENABLE);
	cap = mmio_read32(h->regs, CAP);
	ports = mmio_read32(h->regs, PI);
	if (!(cap & CAP_64BIT) || !ports ||
	    !pci_map(pci, 5, PORTS, (32 - (unsigned)__builtin_clz(ports)) * PORT_SIZE))
		return -ENODEV;
	rc = pci_irq(pci, 0, interrupt, h);
	if (rc)
		return rc;
	mmio_write32(h->regs, GHC, GHC_ENABLE | GHC_IRQ);
	start_ports(h, ports, (cap >> 8 & 31) + 1);
	return 0;
}
