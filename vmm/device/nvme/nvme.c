/* SPDX-License-Identifier: Apache-2.0 */
/* NVMe: registers (section 3.1), queues (4.1), PRP lists (4.3), interrupts (7.5). */
#include "vmm/device/nvme/nvme.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"

#define BAR       0
#define BAR_SIZE  0x4000
#define DOORBELLS 0x1000
#define MSIX      0x2000
#define PBA       0x3000

enum {
	REG_CAP = 0x00,
	REG_VS = 0x08,
	REG_INTMS = 0x0c,
	REG_INTMC = 0x10,
	REG_CC = 0x14,
	REG_CSTS = 0x1c,
	REG_AQA = 0x24,
	REG_ASQ = 0x28,
	REG_ACQ = 0x30,
};

#define CAP_VALUE                                                                       \
	((NVME_ENTRIES - 1) | 1u << 16 /* contiguous queues */ | 20u << 24 /* 10 s */ | \
	 1ull << 37 /* NVM command set */)
#define VERSION_1_4 0x00010400

#define CC_ENABLE      1u
#define CC_SHUTDOWN(c) ((c) >> 14 & 3)
#define CC_KEPT        0x00fffff1u
#define CC_SHAPE       0x00003ff0u /* command set, page size, arbitration: only 0 is there */
#define CSTS_READY     1u
#define CSTS_FATAL     2u
#define CSTS_SHUTDOWN  8u /* complete */

#define AQA_SIZES 0x0fff0fffu

/* ---- interrupts ---------------------------------------------------------------------------------
 */

/* Without MSI-X the pin is up while a queue with interrupts holds entries. */
static void update_pin(struct nvme *n)
{
	bool level = false;

	for (unsigned q = 0; q < NVME_QUEUES; q++)
		level |= n->hw.cq_size[q] && n->hw.cq_irq[q] &&
			 n->hw.cq_head[q] != n->hw.cq_tail[q] &&
			 !(n->hw.int_mask >> n->hw.cq_vector[q] & 1);
	pci_intx(&n->fn, level && !pci_msix_enabled(&n->fn));
}

static void interrupt(struct nvme *n, unsigned q)
{
	if (n->hw.cq_irq[q] && pci_msix_enabled(&n->fn))
		pci_msix_fire(&n->fn, n->hw.cq_vector[q]);
	update_pin(n);
}

/* ---- completion ---------------------------------------------------------------------------------
 */

static unsigned entries_used(const struct nvme *n, unsigned q)
{
	const struct nvme_hw *h = &n->hw;

	return (h->cq_tail[q] + h->cq_size[q] - h->cq_head[q]) % h->cq_size[q];
}

/* A command is taken only when its completion is sure to find an entry. */
static bool has_room(const struct nvme *n, unsigned q)
{
	return entries_used(n, q) + n->in_work[q] + 1 < n->hw.cq_size[q];
}

static void post(struct nvme *n, unsigned sq, uint16_t id, uint16_t status, uint32_t result)
{
	struct nvme_hw *h = &n->hw;
	unsigned q = h->sq_cq[sq];
	gpa_t at = h->cq_base[q] + 16 * h->cq_tail[q];
	uint32_t entry[3] = {result, 0, h->sq_head[sq] | sq << 16};
	uint32_t last = id | (uint32_t)h->cq_phase[q] << 16 | (uint32_t)status << 17;

	/* The phase tells the host that the rest is there. */
	mem_write(n->env.mem, at, entry, sizeof(entry));
	__atomic_thread_fence(__ATOMIC_RELEASE);
	mem_write(n->env.mem, at + sizeof(entry), &last, sizeof(last));
	if (++h->cq_tail[q] == h->cq_size[q]) {
		h->cq_tail[q] = 0;
		h->cq_phase[q] ^= 1;
	}
	interrupt(n, q);
}

static void put_request(struct nvme_request *r)
{
	r->next = r->n->free;
	r->n->free = r;
}

void nvme_complete(struct nvme_request *r, uint16_t status, uint32_t result)
{
	struct nvme *n = r->n;
	unsigned sq = r->sq;

	n->in_work[n->hw.sq_cq[sq]]--;
	put_request(r);
	if (n->hw.sq_size[sq])
		post(n, sq, r->cmd.id, status, result);
}

/* ---- data (4.3) ---------------------------------------------------------------------------------
 */

/* Walks PRP lists: the last entry of a full page of them leads to the next. */
static uint16_t map_list(struct nvme_request *r, gpa_t list, uint64_t left, bool write)
{
	const struct guest_memory *m = r->n->env.mem;

	while (left) {
		uint64_t entry, len = left < NVME_PAGE ? left : NVME_PAGE;

		if (list % 8 || !mem_read(m, list, &entry, sizeof(entry)))
			return NVME_BAD_PRP;
		if ((list + 8) % NVME_PAGE == 0 && left > NVME_PAGE) {
			if (entry % NVME_PAGE)
				return NVME_BAD_PRP;
			list = entry;
			continue;
		}
		if (entry % NVME_PAGE)
			return NVME_BAD_PRP;
		if (sg_add(&r->sg, m, entry, len, write))
			return NVME_BAD_DATA;
		left -= len;
		list += 8;
	}
	return NVME_OK;
}

uint16_t nvme_map(struct nvme_request *r, uint64_t len, bool write)
{
	const struct guest_memory *m = r->n->env.mem;
	gpa_t first = r->cmd.prp[0], second = r->cmd.prp[1];
	uint64_t head = NVME_PAGE - first % NVME_PAGE;

	sg_clear(&r->sg);
	if (r->cmd.flags >> 6)
		return NVME_BAD_FIELD; /* scatter-gather lists */
	if (head > len)
		head = len;
	if (first % 4)
		return NVME_BAD_PRP;
	if (sg_add(&r->sg, m, first, head, write))
		return NVME_BAD_DATA;
	len -= head;
	if (len > NVME_PAGE)
		return map_list(r, second, len, write);
	if (len && second % NVME_PAGE)
		return NVME_BAD_PRP;
	return sg_add(&r->sg, m, second, len, write) ? NVME_BAD_DATA : NVME_OK;
}

void nvme_reply(struct nvme_request *r, const void *data, uint64_t len)
{
	uint16_t status = nvme_map(r, len, true);

	if (!status)
		sg_put(&r->sg, r->n->env.mem, 0, data, len);
	nvme_complete(r, status, 0);
}

/* ---- submission ---------------------------------------------------------------------------------
 */

static bool take(struct nvme *n, unsigned sq, struct nvme_request *r)
{
	struct nvme_hw *h = &n->hw;

	if (!mem_read(n->env.mem, h->sq_base[sq] + 64 * h->sq_head[sq], &r->cmd, sizeof(r->cmd))) {
		log_guest_error(&n->guest_errors, "nvme: submission queue outside the RAM");
		h->csts |= CSTS_FATAL;
		return false;
	}
	h->sq_head[sq] = (h->sq_head[sq] + 1) % h->sq_size[sq];
	r->sq = sq;
	n->in_work[h->sq_cq[sq]]++;
	return true;
}

static void run_queue(struct nvme *n, unsigned sq)
{
	struct nvme_hw *h = &n->hw;
	struct nvme_request *r;

	while (h->sq_size[sq] && h->sq_head[sq] != h->sq_tail[sq] && n->free &&
	       has_room(n, h->sq_cq[sq]) && !(h->csts & CSTS_FATAL)) {
		r = n->free;
		n->free = r->next;
		if (!take(n, sq, r)) {
			put_request(r);
			return;
		}
		if (sq)
			nvme_io(r);
		else
			nvme_admin(r);
	}
}

static void run_queues(struct nvme *n)
{
	for (unsigned q = 0; q < NVME_QUEUES && (n->hw.csts & CSTS_READY); q++)
		run_queue(n, q);
	disk_kick(n->disk);
}

/* The host has filled no queue anew, but requests ended: those that waited for one come on. */
static void batch_done(void *opaque)
{
	run_queues(opaque);
}

/* ---- life of the controller (7.6) ---------------------------------------------------------------
 */

/* The commands in work end without a word: their queues are gone. */
static void forget_queues(struct nvme *n)
{
	struct nvme_hw *h = &n->hw;

	memset(h->sq_size, 0, sizeof(h->sq_size));
	disk_drain(n->disk);
	memset(h->cq_size, 0, sizeof(h->cq_size));
	memset(n->in_work, 0, sizeof(n->in_work));
	h->events = 0;
	update_pin(n);
}

static void enable(struct nvme *n)
{
	struct nvme_hw *h = &n->hw;
	uint32_t sq = (h->aqa & 0xfff) + 1, cq = (h->aqa >> 16 & 0xfff) + 1;

	if ((h->cc & CC_SHAPE) || sq < 2 || cq < 2 || h->asq % NVME_PAGE || h->acq % NVME_PAGE) {
		h->csts = CSTS_FATAL;
		return;
	}
	h->sq_base[0] = h->asq;
	h->cq_base[0] = h->acq;
	h->sq_size[0] = sq;
	h->cq_size[0] = cq;
	h->sq_head[0] = h->sq_tail[0] = h->cq_head[0] = h->cq_tail[0] = 0;
	h->sq_cq[0] = h->cq_vector[0] = 0;
	h->cq_phase[0] = h->cq_irq[0] = 1;
	h->csts = CSTS_READY;
}

static void write_cc(struct nvme *n, uint32_t val)
{
	uint32_t old = n->hw.cc;

	n->hw.cc = val & CC_KEPT;
	if (val & ~old & CC_ENABLE) {
		enable(n);
	} else if (old & ~val & CC_ENABLE) {
		forget_queues(n);
		n->hw.csts = 0;
	}
	if (CC_SHUTDOWN(val) && !CC_SHUTDOWN(old)) {
		disk_drain(n->disk);
		n->hw.csts |= CSTS_SHUTDOWN;
	} else if (!CC_SHUTDOWN(val)) {
		n->hw.csts &= ~CSTS_SHUTDOWN;
	}
}

/* ---- registers ----------------------------------------------------------------------------------
 */

static void ring(struct nvme *n, unsigned bell, uint32_t val)
{
	struct nvme_hw *h = &n->hw;
	unsigned q = bell / 2;
	bool completion = bell & 1;

	if (q >= NVME_QUEUES || val >= (completion ? h->cq_size[q] : h->sq_size[q])) {
		log_guest_error(&n->guest_errors, "nvme: doorbell %u with %u", bell, val);
		return;
	}
	if (completion)
		h->cq_head[q] = val;
	else
		h->sq_tail[q] = val;
	run_queues(n);
	update_pin(n);
}

static void set_half(uint64_t *reg, bool high, uint32_t val)
{
	unsigned shift = high ? 32 : 0;

	*reg = (*reg & ~(0xffffffffull << shift)) | (uint64_t)val << shift;
}

static void write_register(struct nvme *n, unsigned off, uint32_t val)
{
	struct nvme_hw *h = &n->hw;

	switch (off) {
	case REG_INTMS:
		h->int_mask |= val;
		break;
	case REG_INTMC:
		h->int_mask &= ~val;
		break;
	case REG_CC:
		write_cc(n, val);
		break;
	case REG_AQA:
		h->aqa = val & AQA_SIZES;
		break;
	case REG_ASQ:
	case REG_ASQ + 4:
		set_half(&h->asq, off & 4, val);
		break;
	case REG_ACQ:
	case REG_ACQ + 4:
		set_half(&h->acq, off & 4, val);
		break;
	}
	update_pin(n);
}

static uint32_t read_register(const struct nvme *n, unsigned off)
{
	const struct nvme_hw *h = &n->hw;

	switch (off) {
	case REG_CAP:
		return (uint32_t)CAP_VALUE;
	case REG_CAP + 4:
		return (uint32_t)(CAP_VALUE >> 32);
	case REG_VS:
		return VERSION_1_4;
	case REG_INTMS:
	case REG_INTMC:
		return h->int_mask;
	case REG_CC:
		return h->cc;
	case REG_CSTS:
		return h->csts;
	case REG_AQA:
		return h->aqa;
	case REG_ASQ:
	case REG_ASQ + 4:
		return (uint32_t)(h->asq >> (off & 4) * 8);
	case REG_ACQ:
	case REG_ACQ + 4:
		return (uint32_t)(h->acq >> (off & 4) * 8);
	}
	return 0;
}

static uint64_t bar_read(void *dev, uint64_t off, unsigned size)
{
	struct nvme *n = dev;

	if (off >= PBA)
		return pci_msix_pba_read(&n->fn, off - PBA, size);
	if (off >= MSIX)
		return pci_msix_table_read(&n->fn, off - MSIX, size);
	return off < DOORBELLS ? read_register(n, (unsigned)off) : 0;
}

static void bar_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct nvme *n = dev;

	if (off >= PBA)
		return;
	if (off >= MSIX)
		pci_msix_table_write(&n->fn, off - MSIX, size, (uint32_t)val);
	else if (off >= DOORBELLS)
		ring(n, (unsigned)(off - DOORBELLS) / 4, (uint32_t)val & 0xffff);
	else
		write_register(n, (unsigned)off, (uint32_t)val);
}

static const struct io_ops bar_io = {bar_read, bar_write, 4};

/* ---- life of the device -------------------------------------------------------------------------
 */

static void nvme_reset(struct device *d)
{
	struct nvme *n = (struct nvme *)d;

	forget_queues(n);
	memset(&n->hw, 0, sizeof(n->hw));
	pci_reset(&n->fn);
}

static void nvme_destroy(struct device *d)
{
	struct nvme *n = (struct nvme *)d;

	disk_drain(n->disk);
	n->disk->batch_done = NULL;
	pci_detach(&n->fn);
	for (unsigned i = 0; n->requests && i < NVME_REQUESTS; i++)
		sg_free(&n->requests[i].sg);
	free(n->requests);
	free(n);
}

static int make_requests(struct nvme *n, struct err *e)
{
	n->requests = calloc(NVME_REQUESTS, sizeof(*n->requests));
	if (!n->requests)
		return err_set(e, -ENOMEM, "nvme: out of memory");
	for (unsigned i = NVME_REQUESTS; i-- > 0;) {
		n->requests[i].n = n;
		put_request(&n->requests[i]);
	}
	return 0;
}

static int plug(struct nvme *n, struct err *e)
{
	static const struct pci_id id = {
		.vendor = 0x1b36,
		.device = 0x0010,
		.subvendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 2,
		.class_code = 0x010802,
		.intx = true,
	};
	int rc;

	n->fn = (struct pci_function){.name = "nvme"};
	rc = pci_attach(n->env.pci, &n->fn, &n->hw.pci, &id, e);
	if (!rc)
		rc = pci_add_bar(&n->fn, BAR, PCI_BAR_MEM64, BAR_SIZE, &bar_io, n, e);
	if (!rc)
		rc = pci_add_msix(&n->fn, NVME_QUEUES, BAR, MSIX, PBA, e);
	return rc;
}

static int nvme_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		       struct err *e)
{
	struct nvme *n;

	if (!conf->backend)
		return err_set(e, -EINVAL, "nvme: it needs a disk; use --disk FILE,bus=nvme");
	n = calloc(1, sizeof(*n));
	if (!n)
		return err_set(e, -ENOMEM, "nvme: out of memory");
	n->dev.ops = &nvme_ops;
	n->env = *env;
	n->disk = conf->backend;
	n->disk->batch_done = batch_done;
	n->disk->batch_opaque = n;
	snprintf(n->serial, sizeof(n->serial), "%s", device_conf_str(conf, "serial", n->disk->id));
	if (make_requests(n, e) || plug(n, e)) {
		nvme_destroy(&n->dev);
		return e->code;
	}
	nvme_reset(&n->dev);
	*out = &n->dev;
	return 0;
}

/* A save must not miss commands that are on their way: they are finished first. */
static void *nvme_hw(struct device *d)
{
	struct nvme *n = (struct nvme *)d;

	disk_drain(n->disk);
	return &n->hw;
}

static bool queue_ok(const struct nvme_hw *h, unsigned q)
{
	if (h->sq_size[q] > NVME_ENTRIES * 4 || h->cq_size[q] > NVME_ENTRIES * 4)
		return false;
	if (h->sq_size[q] && (h->sq_head[q] >= h->sq_size[q] || h->sq_tail[q] >= h->sq_size[q] ||
			      h->sq_cq[q] >= NVME_QUEUES || !h->cq_size[h->sq_cq[q]]))
		return false;
	if (h->cq_size[q] && (h->cq_head[q] >= h->cq_size[q] || h->cq_tail[q] >= h->cq_size[q] ||
			      h->cq_vector[q] >= NVME_QUEUES || h->cq_phase[q] > 1))
		return false;
	return true;
}

static int nvme_loaded(struct device *d, struct err *e)
{
	struct nvme *n = (struct nvme *)d;
	int rc;

	for (unsigned q = 0; q < NVME_QUEUES; q++)
		if (!queue_ok(&n->hw, q))
			return err_set(e, -EINVAL, "nvme: queue %u is none it can have", q);
	if (n->hw.events > NVME_EVENTS)
		return err_set(e, -EINVAL, "nvme: events: at most %d", NVME_EVENTS);
	memset(n->in_work, 0, sizeof(n->in_work));
	rc = pci_loaded(&n->fn, e);
	if (rc)
		return rc;
	run_queues(n);
	update_pin(n);
	return 0;
}

static void nvme_stats(struct device *d, stat_fn *fn, void *opaque)
{
	const struct nvme *n = (const struct nvme *)d;

	fn(opaque, "reads", n->reads);
	fn(opaque, "writes", n->writes);
	fn(opaque, "flushes", n->flushes);
	fn(opaque, "read_bytes", n->read_bytes);
	fn(opaque, "written_bytes", n->written_bytes);
	fn(opaque, "io_errors", n->io_errors);
	fn(opaque, "guest_errors", n->guest_errors);
}

/* The identity in the path is the one that OVMF looks for, whatever the function's is. */
static void nvme_boot_path(struct device *d, unsigned unit, char *path, size_t len)
{
	(void)unit;
	snprintf(path, len, "/pci@i0cf8/pci8086,5845@%x/namespace@1,0",
		 ((struct nvme *)d)->fn.slot);
}

#define QUEUES(tag, field) ST_ARR((tag), struct nvme_hw, field)

static const struct state_field fields[] = {
	ST(1, struct nvme_hw, cc),
	ST(2, struct nvme_hw, csts),
	ST(3, struct nvme_hw, int_mask),
	ST(4, struct nvme_hw, aqa),
	ST(5, struct nvme_hw, asq),
	ST(6, struct nvme_hw, acq),
	ST(7, struct nvme_hw, events),
	QUEUES(8, sq_base),
	QUEUES(9, cq_base),
	QUEUES(10, sq_size),
	QUEUES(11, cq_size),
	QUEUES(12, sq_head),
	QUEUES(13, sq_tail),
	QUEUES(14, sq_cq),
	QUEUES(15, cq_head),
	QUEUES(16, cq_tail),
	QUEUES(17, cq_vector),
	QUEUES(18, cq_phase),
	QUEUES(19, cq_irq),
	PCI_STATE(40, struct nvme_hw, pci),
	ST_END,
};

static const struct state_desc state = {"nvme", 1, sizeof(struct nvme_hw), fields};

const struct device_ops nvme_ops = {
	.name = "nvme",
	.help = "NVMe disk [serial=TEXT]; made by --disk FILE,bus=nvme",
	.create = nvme_create,
	.reset = nvme_reset,
	.destroy = nvme_destroy,
	.state = &state,
	.hw = nvme_hw,
	.loaded = nvme_loaded,
	.stats = nvme_stats,
	.boot_path = nvme_boot_path,
};
