/* SPDX-License-Identifier: Apache-2.0 */
/* Admin commands (chapter 5): queues, identification, features, logs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "vmm/device/nvme/nvme.h"

enum {
	ADMIN_DELETE_SQ = 0x00,
	ADMIN_CREATE_SQ = 0x01,
	ADMIN_GET_LOG = 0x02,
	ADMIN_DELETE_CQ = 0x04,
	ADMIN_CREATE_CQ = 0x05,
	ADMIN_IDENTIFY = 0x06,
	ADMIN_ABORT = 0x08,
	ADMIN_SET_FEATURES = 0x09,
	ADMIN_GET_FEATURES = 0x0a,
	ADMIN_ASYNC_EVENT = 0x0c,
};

#define CONTIGUOUS 1u
#define WITH_IRQ   2u

/* ---- queues (5.3 to 5.6) ------------------------------------------------------------------------
 */

static void create_cq(struct nvme_request *r)
{
	struct nvme_hw *h = &r->n->hw;
	uint32_t q = r->cmd.dw10 & 0xffff, size = (r->cmd.dw10 >> 16) + 1;
	uint32_t vector = r->cmd.dw11 >> 16;
	uint16_t status = NVME_OK;

	if (!q || q >= NVME_QUEUES || h->cq_size[q])
		status = NVME_BAD_QID;
	else if (size < 2 || size > NVME_ENTRIES)
		status = NVME_BAD_SIZE;
	else if (vector >= NVME_QUEUES)
		status = NVME_BAD_VECTOR;
	else if (!(r->cmd.dw11 & CONTIGUOUS) || r->cmd.prp[0] % NVME_PAGE)
		status = NVME_BAD_FIELD;
	if (!status) {
		h->cq_base[q] = r->cmd.prp[0];
		h->cq_size[q] = size;
		h->cq_head[q] = h->cq_tail[q] = 0;
		h->cq_phase[q] = 1;
		h->cq_vector[q] = vector;
		h->cq_irq[q] = !!(r->cmd.dw11 & WITH_IRQ);
	}
	nvme_complete(r, status, 0);
}

static void create_sq(struct nvme_request *r)
{
	struct nvme_hw *h = &r->n->hw;
	uint32_t q = r->cmd.dw10 & 0xffff, size = (r->cmd.dw10 >> 16) + 1, cq = r->cmd.dw11 >> 16;
	uint16_t status = NVME_OK;

	if (!q || q >= NVME_QUEUES || h->sq_size[q])
		status = NVME_BAD_QID;
	else if (!cq || cq >= NVME_QUEUES || !h->cq_size[cq])
		status = NVME_BAD_CQ;
	else if (size < 2 || size > NVME_ENTRIES)
		status = NVME_BAD_SIZE;
	else if (!(r->cmd.dw11 & CONTIGUOUS) || r->cmd.prp[0] % NVME_PAGE)
		status = NVME_BAD_FIELD;
	if (!status) {
		h->sq_base[q] = r->cmd.prp[0];
		h->sq_size[q] = size;
		h->sq_head[q] = h->sq_tail[q] = 0;
		h->sq_cq[q] = cq;
	}
	nvme_complete(r, status, 0);
}

/* Its commands end first. */
static void delete_sq(struct nvme_request *r)
{
	struct nvme_hw *h = &r->n->hw;
	uint32_t q = r->cmd.dw10 & 0xffff;

	if (!q || q >= NVME_QUEUES || !h->sq_size[q]) {
		nvme_complete(r, NVME_BAD_QID, 0);
		return;
	}
	h->sq_tail[q] = h->sq_head[q];
	disk_drain(r->n->disk);
	h->sq_size[q] = 0;
	nvme_complete(r, NVME_OK, 0);
}

static void delete_cq(struct nvme_request *r)
{
	struct nvme_hw *h = &r->n->hw;
	uint32_t q = r->cmd.dw10 & 0xffff;
	uint16_t status = !q || q >= NVME_QUEUES || !h->cq_size[q] ? NVME_BAD_QID : NVME_OK;

	for (unsigned s = 1; s < NVME_QUEUES && !status; s++)
		if (h->sq_size[s] && h->sq_cq[s] == q)
			status = NVME_QUEUE_IN_USE;
	if (!status)
		h->cq_size[q] = 0;
	nvme_complete(r, status, 0);
}

/* ---- identification (5.15) ----------------------------------------------------------------------
 */

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put_text(uint8_t *p, const char *text, unsigned len)
{
	while (len--)
		*p++ = (uint8_t)(*text ? *text++ : ' ');
}

static void identify_controller(struct nvme_request *r, uint8_t *d)
{
	const struct nvme *n = r->n;

	put16(d, 0x1b36);
	put16(d + 2, 0x1af4);
	put_text(d + 4, n->serial, 20);
	put_text(d + 24, "Baton NVMe disk", 40);
	put_text(d + 64, "1.0", 8);
	d[72] = 6; /* arbitration burst */
	d[77] = NVME_MDTS;
	put16(d + 82, 1); /* version 1.4 */
	d[81] = 4;
	d[111] = 1; /* an I/O controller */
	d[258] = 3; /* abort limit */
	d[259] = NVME_EVENTS - 1;
	d[260] = 0x03;       /* one firmware slot, read only */
	put16(d + 266, 343); /* temperatures: warning, critical (kelvin) */
	put16(d + 268, 373);
	d[512] = 0x66;          /* submission queue entries of 64 bytes */
	d[513] = 0x44;          /* completion queue entries of 16 */
	d[516] = 1;             /* namespaces */
	put16(d + 520, 0x000c); /* data set management, write zeroes */
	d[525] = 1;             /* a volatile write cache */
	snprintf((char *)d + 768, 256, "nqn.2026-01.org.baton:%s", n->serial);
	put16(d + 2048, 2500); /* the only power state: 25 W */
}

static void identify_namespace(struct nvme_request *r, uint8_t *d)
{
	uint64_t blocks = r->n->disk->size / NVME_BLOCK;

	if (r->cmd.nsid != NVME_NSID)
		return; /* zeroes: inactive */
	memcpy(d, &blocks, 8);
	memcpy(d + 8, &blocks, 8);
	memcpy(d + 16, &blocks, 8);
	d[99] = r->n->disk->readonly; /* write protected */
	d[130] = 9;                   /* format 0: blocks of 2^9 bytes */
}

static void identify_list(struct nvme_request *r, uint8_t *d)
{
	if (r->cmd.nsid < NVME_NSID)
		d[0] = NVME_NSID;
}

/* The name of the namespace: a UUID made from the serial number (type 3, 16 bytes). */
static void identify_names(struct nvme_request *r, uint8_t *d)
{
	d[0] = 3;
	d[1] = 16;
	put_text(d + 4, r->n->serial, 16);
	d[4 + 6] = (d[4 + 6] & 0x0f) | 0x80; /* version 8: of our own making */
	d[4 + 8] = (d[4 + 8] & 0x3f) | 0x80;
}

static void identify(struct nvme_request *r)
{
	static void (*const pages[])(struct nvme_request * r, uint8_t * d) = {
		identify_namespace, identify_controller, identify_list, identify_names};
	uint32_t page = r->cmd.dw10 & 0xff;
	uint8_t d[NVME_PAGE] = {0};

	if (page >= sizeof(pages) / sizeof(pages[0])) {
		nvme_complete(r, NVME_BAD_FIELD, 0);
		return;
	}
	if ((page == 0 || page == 3) && (!r->cmd.nsid || r->cmd.nsid > NVME_NSID)) {
		nvme_complete(r, NVME_BAD_NS, 0);
		return;
	}
	pages[page](r, d);
	nvme_reply(r, d, sizeof(d));
}

/* ---- features and logs (5.14, 5.21) -------------------------------------------------------------
 */

enum {
	FEATURE_WRITE_CACHE = 0x06,
	FEATURE_QUEUES = 0x07,
	FEATURE_LAST = 0x0b,
};

/* What is there cannot be changed: a set is answered with what holds. */
static uint32_t feature(unsigned id)
{
	if (id == FEATURE_QUEUES)
		return (NVME_IO_QUEUES - 1) | (NVME_IO_QUEUES - 1) << 16;
	return id == FEATURE_WRITE_CACHE;
}

static void features(struct nvme_request *r)
{
	unsigned id = r->cmd.dw10 & 0xff;

	if (!id || id > FEATURE_LAST)
		nvme_complete(r, NVME_BAD_FIELD, 0);
	else
		nvme_complete(r, NVME_OK, feature(id));
}

enum {
	LOG_ERRORS = 1,
	LOG_HEALTH,
	LOG_FIRMWARE
};

static void get_log(struct nvme_request *r)
{
	uint64_t len = ((r->cmd.dw10 >> 16) + 1 + ((uint64_t)(r->cmd.dw11 & 0xffff) << 16)) * 4;
	uint64_t offset = r->cmd.dw12 | (uint64_t)r->cmd.dw13 << 32;
	uint8_t log[NVME_PAGE * 2] = {0};
	uint32_t id = r->cmd.dw10 & 0xff;

	if (id < LOG_ERRORS || id > LOG_FIRMWARE) {
		nvme_complete(r, NVME_BAD_LOG, 0);
		return;
	}
	if (len > NVME_PAGE || offset > NVME_PAGE) {
		nvme_complete(r, NVME_BAD_FIELD, 0);
		return;
	}
	if (id == LOG_HEALTH) {
		put16(log + 1, 310); /* kelvin */
		log[3] = 100;        /* spare left, per cent, and what is too little */
		log[4] = 10;
	} else if (id == LOG_FIRMWARE) {
		log[0] = 1;
		put_text(log + 8, "1.0", 8);
	}
	nvme_reply(r, log + offset, len);
}

/* ---- the rest -----------------------------------------------------------------------------------
 */

/* Nothing ever waits long enough to be found. */
static void abort_command(struct nvme_request *r)
{
	nvme_complete(r, NVME_OK, 1);
}

/* Kept for an event that never comes: the request's entry is given back without a completion. */
static void async_event(struct nvme_request *r)
{
	struct nvme *n = r->n;

	if (n->hw.events == NVME_EVENTS) {
		nvme_complete(r, NVME_TOO_MANY, 0);
		return;
	}
	n->hw.events++;
	n->in_work[0]--;
	r->next = n->free;
	n->free = r;
}

static const struct {
	uint8_t opcode;
	void (*run)(struct nvme_request *r);
} commands[] = {
	{ADMIN_DELETE_SQ, delete_sq},   {ADMIN_CREATE_SQ, create_sq},
	{ADMIN_GET_LOG, get_log},       {ADMIN_DELETE_CQ, delete_cq},
	{ADMIN_CREATE_CQ, create_cq},   {ADMIN_IDENTIFY, identify},
	{ADMIN_ABORT, abort_command},   {ADMIN_SET_FEATURES, features},
	{ADMIN_GET_FEATURES, features}, {ADMIN_ASYNC_EVENT, async_event},
};

void nvme_admin(struct nvme_request *r)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].opcode == r->cmd.opcode) {
			commands[i].run(r);
			return;
		}
	}
	nvme_complete(r, NVME_BAD_OPCODE, 0);
}
