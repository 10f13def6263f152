/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe disks (NVM Express 1.4). Each namespace is a disk with a pair of queues of its own; all
 * share one interrupt.
 */
#include "kernel/drivers/nvme.h"

#include "kernel/drivers/block.h"
#include "kernel/drivers/drivers.h"
#include "kernel/drivers/pci.h"
#include "kernel/mm/layout.h"

#define MAX_NAMESPACES 8
#define ENTRIES        32u /* of a queue; more than slots */
#define ADMIN_TIMEOUT  (5 * NSEC_PER_SEC)

/* In four pages: commands, completions, lists of pages for each slot, data of admin commands. */
#define CQ_OFFSET    PAGE_SIZE
#define LISTS_OFFSET (2 * PAGE_SIZE)
#define DATA_OFFSET  (3 * PAGE_SIZE)
#define QUEUE_BYTES  (4 * PAGE_SIZE)

struct queue {
	struct nvme *ctrl;
	struct command *commands; /* in the first of the pages */
	uint64_t phys;            /* of them */
	volatile struct completion *completions;
	unsigned id, tail, head;
	unsigned phase; /* of the next completion */
};

struct namespace
{
	struct blockdev dev;
	struct queue queue;
	uint32_t id;
};

struct nvme {
	struct pci_device *pci;
	volatile void *regs;
	unsigned stride;   /* between bells */
	uint16_t commands; /* made so far by admin(): their IDs */
	bool failed;       /* an admin command is without an answer, and may still write its data */
	unsigned index;
	bool cached; /* it has a volatile cache */
	struct queue admin;
	struct namespace *ns[MAX_NAMESPACES];
	unsigned nns;
};

/* ---- queues ---------------------------------------------------------------------------------- */

static int queue_init(struct queue *q, struct nvme *n, unsigned id)
{
	char *mem = pci_alloc(n->pci, QUEUE_BYTES);

	if (!mem)
		return -ENOMEM;
	*q = (struct queue){.ctrl = n, .id = id, .phase = 1, .phys = virt_to_phys(mem)};
	q->commands = (void *)mem;
	q->completions = (void *)(mem + CQ_OFFSET);
	return 0;
}

static void ring(struct queue *q, unsigned completion, unsigned value)
{
	mmio_write32(q->ctrl->regs, BELLS + (2 * q->id + completion) * q->ctrl->stride, value);
}

static void submit(struct queue *q, const struct command *c)
{
	q->commands[q->tail] = *c;
	q->tail = (q->tail + 1) % ENTRIES;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ring(q, 0, q->tail);
}

/* False: nothing is done. */
static bool take(struct queue *q, struct completion *c)
{
	if ((__atomic_load_n(&q->completions[q->head].status, __ATOMIC_ACQUIRE) & 1) != q->phase)
		return false;
	*c = *(struct completion *)&q->completions[q->head];
	q->head = (q->head + 1) % ENTRIES;
	q->phase ^= !q->head;
	ring(q, 1, q->head);
	return true;
}

static bool works(struct nvme *n)
{
	return (mmio_read32(n->regs, CSTS) & (CSTS_READY | CSTS_FAILED)) == CSTS_READY;
}

/* Waits for the end without interrupts. */
static int admin(struct nvme *n, struct command c)
{
	uint64_t deadline = now_ns() + ADMIN_TIMEOUT;
	struct completion done;

	c.id = ++n->commands;
	if (!n->failed)
		submit(&n->admin, &c);
	while (!n->failed && (!take(&n->admin, &done) || done.id != c.id)) {
		n->failed = now_ns() > deadline || !works(n);
		if (n->failed)
			klog("nvme%u: no answer to command %x (status %x)", n->index, c.opcode,
			     mmio_read32(n->regs, CSTS));
		__builtin_ia32_pause();
	}
	return n->failed || done.status >> 1 ? -EIO : 0;
}

static void *identify(struct nvme *n, unsigned about, uint32_t namespace)
{
	uint64_t to = n->admin.phys + DATA_OFFSET;

	return admin(n, (struct command){.opcode = IDENTIFY,
					 .namespace = namespace,
					 .prp1 = to,
					 .arg = {about}})
		       ? NULL
		       : phys_to_virt(to);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The second page's address, or that of a list of all pages but the first. */
static uint64_t more_pages(struct queue *q, unsigned slot, uint64_t phys, uint32_t bytes)
{
	uint64_t at = q->phys + LISTS_OFFSET + slot * (PAGE_SIZE / BLOCK_SLOTS);
	uint64_t *list = phys_to_virt(at);
	unsigned n = 0;

	for (uint64_t done = PAGE_SIZE; done < bytes; done += PAGE_SIZE)
		list[n++] = phys + done;
	return n > 1 ? at : n ? list[0] : 0;
}

static void start(struct blockdev *d, unsigned slot, const struct block_request *r)
{
	static const uint8_t opcodes[BLOCK_OPS] = {2, 1, 0};
	struct namespace *ns = d->driver;
	struct command c = {.opcode = opcodes[r->op], .id = (uint16_t)slot, .namespace = ns->id};

	if (r->sectors) {
		c.prp1 = r->phys;
		c.prp2 = more_pages(&ns->queue, slot, r->phys, r->sectors * d->sector_size);
		c.arg[0] = (uint32_t)r->sector;
		c.arg[1] = (uint32_t)(r->sector >> 32);
		c.arg[2] = r->sectors - 1;
	}
	submit(&ns->queue, &c);
}

static void finish(struct blockdev *d)
{
	struct namespace *ns = d->driver;
	struct completion c;

	for (unsigned i = 0; i < ENTRIES && take(&ns->queue, &c); i++)
		block_done(d, c.id, c.status >> 1 ? -EIO : 0);
}

static const char *failed(struct blockdev *d)
{
	struct namespace *ns = d->driver;

	return works(ns->queue.ctrl) ? NULL : "the controller has failed";
}

static void interrupt(void *opaque)
{
	struct nvme *n = opaque;

	for (unsigned i = 0; i < n->nns; i++)
		block_interrupt(&n->ns[i]->dev);
}

/* ---- start ----------------------------------------------------------------------------------- */

static int create_queues(struct nvme *n, struct queue *q)
{
	uint32_t which = q->id | (ENTRIES - 1) << 16;
	int rc = admin(n, (struct command){.opcode = CREATE_CQ,
					   .prp1 = q->phys + CQ_OFFSET,
					   .arg = {which, 3}}); /* contiguous, with interrupts */

	return rc ? rc
		  : admin(n, (struct command){.opcode = CREATE_SQ,
					      .prp1 = q->phys,
					      .arg = {which, 1 | q->id << 16}});
}

static int add_namespace(struct nvme *n, uint32_t id)
{
	struct namespace *ns = pci_alloc(n->pci, sizeof(*ns));
	const uint8_t *about = identify(n, ABOUT_NAMESPACE, id);
	struct blockdev *d = &ns->dev;
	uint32_t format;
	int rc;

	if (!ns || !about)
		return ns ? -EIO : -ENOMEM;
	memcpy(&format, about + 128 + 4 * (about[26] & 15), 4);
	*d = (struct blockdev){.major = BLOCK_MAJOR_EXT,
			       .part_infix = "p",
			       .sector_size = format & 0xffff ? 0 : 1u << (format >> 16 & 31),
			       .sectors = *(const uint64_t *)about,
			       .cached = n->cached,
			       .nslots = BLOCK_SLOTS,
			       .start = start,
			       .finish = finish,
			       .failed = failed,
			       .driver = ns};
	ns->id = id;
	rc = queue_init(&ns->queue, n, n->nns + 1);
	if (!rc)
		rc = create_queues(n, &ns->queue);
	if (rc)
		return rc;
	n->ns[n->nns] = ns;
	__atomic_store_n(&n->nns, n->nns + 1, __ATOMIC_RELEASE);
	snprintf(d->name, sizeof(d->name), "nvme%un%u", n->index, id);
	return block_register(d, NULL);
}

static int wait_ready(struct nvme *n, unsigned wanted)
{
	unsigned ms = (mmio_read64(n->regs, CAP) >> 24 & 0xff) * 500 + 500;

	return mmio_wait(n->regs, CSTS, CSTS_READY, wanted, ms) ? 0 : -EIO;
}

static int start_controller(struct nvme *n)
{
	int rc;

	mmio_write32(n->regs, CC, 0);
	rc = wait_ready(n, 0);
	if (!rc)
		rc = queue_init(&n->admin, n, 0);
	if (rc)
		return rc;
	mmio_write32(n->regs, AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	mmio_write64(n->regs, ASQ, n->admin.phys);
	mmio_write64(n->regs, ACQ, n->admin.phys + CQ_OFFSET);
	mmio_write32(n->regs, CC, CC_ENABLE);
	return wait_ready(n, CSTS_READY);
}

static int add_namespaces(struct nvme *n)
{
	const uint8_t *about = identify(n, ABOUT_CONTROLLER, 0);
	uint32_t ids[MAX_NAMESPACES];
	int rc;

	/* The largest transfer is 2^about[77] pages, 0: any. */
	if (!about || (about[77] && PAGE_SIZE << MIN(about[77], 20) < BLOCK_MAX_BYTES))
		return -EIO;
	n->cached = about[525] & 1;
	rc = admin(n,
		   (struct command){.opcode = SET_FEATURES,
				    .arg = {7, (MAX_NAMESPACES - 1) << 16 | (MAX_NAMESPACES - 1)}});
	about = rc ? NULL : identify(n, ABOUT_LIST, 0);
	if (!about)
		return -EIO;
	memcpy(ids, about, sizeof(ids));
	for (unsigned i = 0; i < MAX_NAMESPACES && ids[i]; i++) {
		rc = add_namespace(n, ids[i]);
		if (rc)
			klog("nvme%u: namespace %u is not used (error %d)", n->index, ids[i], -rc);
	}
	return 0;
}

int nvme_probe(struct pci_device *p)
{
	static unsigned count;
	struct nvme *n = pci_alloc(p, sizeof(*n));
	uint64_t cap;
	int rc;

	pci_enable(p);
	if (!n || !(n->regs = pci_map(p, 0, 0, BELLS)))
		return n ? -ENODEV : -ENOMEM;
	n->pci = p;
	n->index = count++;
	cap = mmio_read64(n->regs, CAP);
	n->stride = 4u << (cap >> 32 & 15);
	/* Queues of ENTRIES, pages of 4 KiB, and room for all bells. */
	if ((cap & 0xffff) < ENTRIES - 1 || cap >> 48 & 15 ||
	    !pci_map(p, 0, BELLS, 2UL * (MAX_NAMESPACES + 1) * n->stride))
		return -EOPNOTSUPP;
	rc = start_controller(n);
	if (!rc)
		rc = pci_irq(p, 0, interrupt, n);
	return rc ? rc : add_namespaces(n);
}
