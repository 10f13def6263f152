/* SPDX-License-Identifier: Apache-2.0 */
/* SATA disks behind an AHCI controller (Serial ATA AHCI 1.3.1; ATA8-ACS for the commands). */
#include "kernel/drivers/ahci.h"

#include "kernel/drivers/block.h"
#include "kernel/drivers/drivers.h"
#include "kernel/mm/page.h"

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
	struct pci_device *pci;
	volatile void *regs;
	struct port *port[32];
};

static volatile void *port_regs(struct hba *h, unsigned i)
{
	return (volatile char *)h->regs + PORTS + i * PORT_SIZE;
}

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

static void set_command(volatile void *regs, uint32_t bits)
{
	mmio_write32(regs, PX_CMD, mmio_read32(regs, PX_CMD) | bits);
}

static bool stop(volatile void *regs, uint32_t bits, uint32_t running)
{
	mmio_write32(regs, PX_CMD, mmio_read32(regs, PX_CMD) & ~bits);
	return mmio_wait(regs, PX_CMD, running, 0, STOP_MS);
}

static void end(struct port *p, uint32_t slots, int result)
{
	slots &= p->issued;
	p->issued &= ~slots;
	for (; slots; slots &= slots - 1)
		block_done(&p->dev, (unsigned)__builtin_ctz(slots), result);
}

/* The port has stopped at a command that failed (6.2.2): the others are begun again. */
static void recover(struct port *p, uint32_t failed)
{
	if (!stop(p->regs, CMD_START, CMD_RUNNING)) {
		block_dead(&p->dev, "it does not stop after an error");
		return;
	}
	mmio_write32(p->regs, PX_SERR, ~0u);
	mmio_write32(p->regs, PX_IS, ~0u);
	end(p, failed & p->issued ? failed : ~0u, -EIO);
	set_command(p->regs, CMD_START);
	mmio_write32(p->regs, PX_CI, p->issued);
}

static void finish(struct blockdev *d)
{
	struct port *p = d->driver;
	uint32_t why = mmio_read32(p->regs, PX_IS), left, failed;

	mmio_write32(p->regs, PX_IS, why);
	left = mmio_read32(p->regs, PX_CI);
	why |= mmio_read32(p->regs, PX_IS); /* a failure since then, whose bit is not in `left` */
	failed = why & IRQ_ERRORS ? 1u << CMD_CURRENT(mmio_read32(p->regs, PX_CMD)) : 0;
	end(p, ~(left | failed), 0);
	if (failed)
		recover(p, failed);
}

static bool has_link(volatile void *regs)
{
	return (mmio_read32(regs, PX_SSTS) & SSTS_MASK) == SSTS_LINK;
}

static const char *failed(struct blockdev *d)
{
	const struct port *p = d->driver;

	return has_link(p->regs) ? NULL : "its cable is out";
}

static void interrupt(void *opaque)
{
	struct hba *h = opaque;
	uint32_t ports = mmio_read32(h->regs, IS);

	for (unsigned i = 0; i < 32; i++) {
		struct port *p = ports & 1u << i ? h->port[i] : NULL;

		if (p && p->dev.dead)
			mmio_write32(p->regs, PX_IE, 0); /* nobody clears its cause any more */
		else if (p)
			block_interrupt(&p->dev);
	}
	mmio_write32(h->regs, IS, ports);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* -ENODEV: it is no disk. */
static int start_port(struct port *p)
{
	uint64_t phys = virt_to_phys(p->list);

	if (!stop(p->regs, CMD_START, CMD_RUNNING) || !stop(p->regs, CMD_RECEIVE, CMD_RECEIVING))
		return -EIO;
	mmio_write64(p->regs, PX_CLB, phys);
	mmio_write64(p->regs, PX_FB, phys + FIS_OFFSET);
	mmio_write32(p->regs, PX_SERR, ~0u);
	set_command(p->regs, CMD_RECEIVE);
	if (!mmio_wait(p->regs, PX_TFD, TFD_BUSY, 0, READY_MS))
		return -ETIMEDOUT;
	if (mmio_read32(p->regs, PX_SIG) != SIG_DISK)
		return -ENODEV;
	mmio_write32(p->regs, PX_IS, ~0u);
	mmio_write32(p->regs, PX_IE, IRQ_ERRORS | IRQ_DONE);
	set_command(p->regs, CMD_START);
	return 0;
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

/* -ENODEV: there is no disk. */
static int add_disk(struct hba *h, unsigned i, unsigned nslots)
{
	struct port *p = pci_alloc(h->pci, sizeof(*p));
	int rc;

	if (!p || !(p->list = pci_alloc(h->pci, 2 * PAGE_SIZE)))
		return -ENOMEM;
	p->regs = port_regs(h, i);
	p->tables = (void *)((char *)p->list + TABLE_OFFSET);
	p->dev = (struct blockdev){.major = 8,
				   .sector_size = 512,
				   .cached = true,
				   .nslots = MIN(nslots, BLOCK_SLOTS),
				   .start = start,
				   .finish = finish,
				   .failed = failed,
				   .driver = p};
	snprintf(p->dev.name, sizeof(p->dev.name), "SATA port %u", i);
	rc = start_port(p);
	if (rc)
		return rc;
	h->port[i] = p;
	rc = identify(&p->dev);
	return rc ? rc : block_register(&p->dev, "sd");
}

static void start_ports(struct hba *h, uint32_t ports, unsigned nslots)
{
	for (unsigned i = 0; i < 32; i++) {
		if (ports & 1u << i)
			set_command(port_regs(h, i), CMD_POWER);
	}
	delay_us(LINK_MS * 1000);
	for (unsigned i = 0; i < 32; i++) {
		bool linked = ports & 1u << i && has_link(port_regs(h, i));
		int rc = linked ? add_disk(h, i, nslots) : -ENODEV;

		if (rc != -ENODEV && rc)
			klog("SATA port %u: its disk is not used (error %d)", i, -rc);
	}
}

int ahci_probe(struct pci_device *pci)
{
	struct hba *h = pci_alloc(pci, sizeof(*h));
	uint32_t cap, ports;
	int rc;

	pci_enable(pci);
	if (!h || !(h->regs = pci_map(pci, 5, 0, PORTS)))
		return h ? -ENODEV : -ENOMEM;
	h->pci = pci;
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
