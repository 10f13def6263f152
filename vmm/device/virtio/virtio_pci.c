/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI transport of virtio, modern interface only: one 64-bit BAR with a page each for the
 * common registers, interrupt status, device configuration, doorbells and MSI-X. (Virtio 1.2
 * section 4.1.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "vmm/device/virtio/virtio.h"

#define BAR           0
#define BAR_SIZE      0x8000
#define PAGE_COMMON   0x0000
#define PAGE_ISR      0x1000
#define PAGE_DEVICE   0x2000
#define PAGE_NOTIFY   0x3000
#define PAGE_MSIX     0x4000
#define PAGE_PBA      0x5000
#define COMMON_SIZE   0x38
#define NOTIFY_STRIDE 4
#define NO_VECTOR     0xffff

/* Structure types of the vendor capability (section 4.1.4). */
enum {
	CFG_COMMON = 1,
	CFG_NOTIFY,
	CFG_ISR,
	CFG_DEVICE,
	CFG_PCI
};

#define CAP_CFG_TYPE 3
#define CAP_BAR      4
#define CAP_OFFSET   8
#define CAP_LENGTH   12
#define CAP_DATA     16 /* pci_cfg_data, or the notify multiplier */

#define ISR_QUEUE  1
#define ISR_CONFIG 2

struct virtio_transport {
	struct virtio_dev *v;
	struct pci_function fn;
	unsigned window; /* offset of the PCI configuration access capability */
	bool no_bells;   /* the engine has no ioeventfd */
	struct bell {
		struct virtio_transport *t;
		int fd;         /* -1: not in use */
		bool in_engine; /* the engine rings it, at `addr` */
		uint64_t addr;
	} bell[VIRTIO_MAX_QUEUES];
};

struct pci_function *virtio_pci_function(struct virtio_dev *v)
{
	return &v->transport->fn;
}

/* ---- interrupts --------------------------------------------------------------------------------
 */

void virtio_pci_interrupt(struct virtio_dev *v, int queue)
{
	struct virtio_transport *t = v->transport;
	bool config = queue == VIRTIO_CONFIG_IRQ;

	if (pci_msix_enabled(&t->fn)) {
		pci_msix_fire(&t->fn, config ? v->hw->config_vector : v->hw->queue_vector[queue]);
		return;
	}
	v->hw->isr |= config ? ISR_CONFIG : ISR_QUEUE;
	pci_intx(&t->fn, true);
}

static uint32_t isr_read(struct virtio_transport *t, uint64_t off, unsigned size)
{
	uint8_t isr = t->v->hw->isr;

	(void)size;
	if (off)
		return 0;
	t->v->hw->isr = 0; /* reading acknowledges */
	pci_intx(&t->fn, false);
	return isr;
}

/* ---- doorbells
 * ----------------------------------------------------------------------------------- */

static void bell_rang(void *opaque, uint32_t events)
{
	struct bell *b = opaque;
	uint64_t count;

	(void)events;
	if (read(b->fd, &count, sizeof(count)) > 0)
		virtio_notify(b->t->v, (unsigned)(b - b->t->bell));
}

static void bell_remove(struct virtio_transport *t, unsigned queue)
{
	struct bell *b = &t->bell[queue];
	const struct device_env *env = &t->v->env;

	if (b->fd < 0)
		return;
	if (b->in_engine)
		env->ioeventfd(env->opaque, b->fd, b->addr, 2, false);
	loop_unwatch(env->loop, b->fd);
	close(b->fd);
	b->fd = -1;
}

static bool ask_engine(struct virtio_transport *t, struct bell *b)
{
	const struct device_env *env = &t->v->env;

	if (!t->no_bells && env->ioeventfd(env->opaque, b->fd, b->addr, 2, true))
		t->no_bells = true;
	return !t->no_bells;
}

/* Without a bell notify_write() serves the queue on the vCPU's thread. */
static void bell_add(struct virtio_transport *t, unsigned queue)
{
	bool deferred = t->v->type->deferred >> queue & 1;
	struct bell *b = &t->bell[queue];

	if (t->no_bells && !deferred)
		return;
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->fd < 0)
		return;
	b->addr = t->fn.bar[BAR].at + PAGE_NOTIFY + queue * NOTIFY_STRIDE;
	b->in_engine = ask_engine(t, b);
	if ((!b->in_engine && !deferred) ||
	    loop_watch(t->v->env.loop, b->fd, EPOLLIN, bell_rang, b))
		bell_remove(t, queue);
}

void virtio_pci_queue_changed(struct virtio_dev *v, unsigned queue)
{
	struct virtio_transport *t = v->transport;

	bell_remove(t, queue);
	if (v->q[queue].avail && t->fn.bar[BAR].at != PCI_UNMAPPED)
		bell_add(t, queue);
}

static void moved(void *opaque, unsigned bar)
{
	struct virtio_transport *t = opaque;

	(void)bar;
	for (unsigned i = 0; i < t->v->type->nqueues; i++)
		virtio_pci_queue_changed(t->v, i);
}

static void notify_write(struct virtio_transport *t, uint64_t off, unsigned size, uint32_t val)
{
	unsigned queue = (unsigned)(off / NOTIFY_STRIDE);

	(void)size;
	(void)val;
	if (queue >= t->v->type->nqueues)
		return;
	if (t->bell[queue].fd >= 0)
		eventfd_write(t->bell[queue].fd, 1);
	else
		virtio_notify(t->v, queue);
}

/* ---- common registers (section 4.1.4.3)
 * ------------------------------------------------------------ */

enum {
	REG_DEVICE_FEATURE_SELECT = 0x00,
	REG_DEVICE_FEATURE = 0x04,
	REG_DRIVER_FEATURE_SELECT = 0x08,
	REG_DRIVER_FEATURE = 0x0c,
	REG_CONFIG_VECTOR = 0x10,
	REG_NUM_QUEUES = 0x12,
	REG_STATUS = 0x14,
	REG_GENERATION = 0x15,
	REG_QUEUE_SELECT = 0x16,
	REG_QUEUE_SIZE = 0x18,
	REG_QUEUE_VECTOR = 0x1a,
	REG_QUEUE_ENABLE = 0x1c,
	REG_QUEUE_NOTIFY_OFF = 0x1e,
	REG_QUEUE_DESC = 0x20,
	REG_QUEUE_DRIVER = 0x28,
	REG_QUEUE_DEVICE = 0x30,
};

static uint32_t feature_word(uint64_t features, uint32_t select)
{
	return select > 1 ? 0 : (uint32_t)(features >> select * 32);
}

static uint32_t half(uint64_t val, unsigned off)
{
	return (uint32_t)(val >> (off & 4) * 8);
}

static uint32_t queue_reg_read(struct virtio_dev *v, unsigned off)
{
	const struct virtio_hw *hw = v->hw;
	unsigned q = hw->queue_select;

	if (q >= v->type->nqueues)
		return 0;
	switch (off) {
	case REG_QUEUE_SIZE:
		return hw->vq.size[q];
	case REG_QUEUE_VECTOR:
		return hw->queue_vector[q];
	case REG_QUEUE_ENABLE:
		return hw->vq.enabled[q];
	case REG_QUEUE_NOTIFY_OFF:
		return q;
	case REG_QUEUE_DESC:
	case REG_QUEUE_DESC + 4:
		return half(hw->vq.desc[q], off);
	case REG_QUEUE_DRIVER:
	case REG_QUEUE_DRIVER + 4:
		return half(hw->vq.driver[q], off);
	case REG_QUEUE_DEVICE:
	case REG_QUEUE_DEVICE + 4:
		return half(hw->vq.device[q], off);
	}
	return 0;
}

static uint32_t common_reg_read(struct virtio_dev *v, unsigned off)
{
	const struct virtio_hw *hw = v->hw;

	switch (off) {
	case REG_DEVICE_FEATURE_SELECT:
		return hw->device_feature_select;
	case REG_DEVICE_FEATURE:
		return feature_word(v->features, hw->device_feature_select);
	case REG_DRIVER_FEATURE_SELECT:
		return hw->driver_feature_select;
	case REG_DRIVER_FEATURE:
		return feature_word(hw->features, hw->driver_feature_select);
	case REG_CONFIG_VECTOR:
		return hw->config_vector;
	case REG_NUM_QUEUES:
		return v->type->nqueues;
	case REG_STATUS:
		return hw->status;
	case REG_GENERATION:
		return hw->generation;
	case REG_QUEUE_SELECT:
		return hw->queue_select;
	}
	return queue_reg_read(v, off);
}

static uint32_t common_read(struct virtio_transport *t, uint64_t off, unsigned size)
{
	(void)size; /* registers are read whole or from their start */
	return off < COMMON_SIZE ? common_reg_read(t->v, (unsigned)off) : 0;
}

static uint16_t valid_vector(const struct virtio_transport *t, uint32_t val)
{
	return val < t->fn.nvectors ? (uint16_t)val : NO_VECTOR;
}

static void set_half(uint64_t *reg, unsigned off, uint32_t val)
{
	unsigned shift = (off & 4) * 8;

	*reg = (*reg & ~(0xffffffffull << shift)) | (uint64_t)val << shift;
}

static void queue_reg_write(struct virtio_transport *t, unsigned off, uint32_t val)
{
	struct virtio_hw *hw = t->v->hw;
	unsigned q = hw->queue_select;

	if (q >= t->v->type->nqueues)
		return;
	if (off == REG_QUEUE_VECTOR) {
		hw->queue_vector[q] = valid_vector(t, val);
		return;
	}
	if (hw->vq.enabled[q])
		return; /* a running queue keeps its shape */
	switch (off) {
	case REG_QUEUE_SIZE:
		hw->vq.size[q] = (uint16_t)val;
		break;
	case REG_QUEUE_ENABLE:
		if (val == 1)
			virtio_enable_queue(t->v, q);
		break;
	case REG_QUEUE_DESC:
	case REG_QUEUE_DESC + 4:
		set_half(&hw->vq.desc[q], off, val);
		break;
	case REG_QUEUE_DRIVER:
	case REG_QUEUE_DRIVER + 4:
		set_half(&hw->vq.driver[q], off, val);
		break;
	case REG_QUEUE_DEVICE:
	case REG_QUEUE_DEVICE + 4:
		set_half(&hw->vq.device[q], off, val);
		break;
	}
}

static unsigned common_reg_size(unsigned off)
{
	if (off < REG_CONFIG_VECTOR || off >= REG_QUEUE_DESC)
		return 4;
	return off == REG_STATUS || off == REG_GENERATION ? 1 : 2;
}

static void common_write(struct virtio_transport *t, uint64_t off, unsigned size, uint32_t val)
{
	struct virtio_hw *hw = t->v->hw;

	if (off >= COMMON_SIZE || size != common_reg_size((unsigned)off)) {
		log_guest_error(&t->v->guest_errors,
				"%s: write of %u bytes to common register %#llx", t->fn.name, size,
				(unsigned long long)off);
		return;
	}
	switch (off) {
	case REG_DEVICE_FEATURE_SELECT:
		hw->device_feature_select = val;
		break;
	case REG_DRIVER_FEATURE_SELECT:
		hw->driver_feature_select = val;
		break;
	case REG_DRIVER_FEATURE:
		virtio_set_features(t->v, hw->driver_feature_select, val);
		break;
	case REG_CONFIG_VECTOR:
		hw->config_vector = valid_vector(t, val);
		break;
	case REG_STATUS:
		virtio_set_status(t->v, (uint8_t)val);
		break;
	case REG_QUEUE_SELECT:
		hw->queue_select = (uint16_t)val;
		break;
	default:
		queue_reg_write(t, (unsigned)off, val);
	}
}

/* ---- the BAR
 * --------------------------------------------------------------------------------------- */

static uint32_t device_read(struct virtio_transport *t, uint64_t off, unsigned size)
{
	return virtio_config_get(t->v, off, size);
}

static void device_write(struct virtio_transport *t, uint64_t off, unsigned size, uint32_t val)
{
	virtio_config_set(t->v, off, size, val);
}

static uint32_t table_read(struct virtio_transport *t, uint64_t off, unsigned size)
{
	return pci_msix_table_read(&t->fn, off, size);
}

static void table_write(struct virtio_transport *t, uint64_t off, unsigned size, uint32_t val)
{
	pci_msix_table_write(&t->fn, off, size, val);
}

static uint32_t pba_read(struct virtio_transport *t, uint64_t off, unsigned size)
{
	return pci_msix_pba_read(&t->fn, off, size);
}

/* One row a page of the BAR; what has no function reads as zero and ignores writes. */
static const struct page {
	uint32_t (*read)(struct virtio_transport *t, uint64_t off, unsigned size);
	void (*write)(struct virtio_transport *t, uint64_t off, unsigned size, uint32_t val);
} pages[BAR_SIZE >> 12] = {
	[PAGE_COMMON >> 12] = {common_read, common_write},
	[PAGE_ISR >> 12] = {isr_read, NULL},
	[PAGE_DEVICE >> 12] = {device_read, device_write},
	[PAGE_NOTIFY >> 12] = {NULL, notify_write},
	[PAGE_MSIX >> 12] = {table_read, table_write},
	[PAGE_PBA >> 12] = {pba_read, NULL},
};

static uint64_t bar_read(void *dev, uint64_t off, unsigned size)
{
	const struct page *p = &pages[off >> 12];

	return p->read ? p->read(dev, off & 0xfff, size) : 0;
}

static void bar_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	const struct page *p = &pages[off >> 12];

	if (p->write)
		p->write(dev, off & 0xfff, size, (uint32_t)val);
}

static const struct io_ops bar_ops = {bar_read, bar_write, 1 | 2 | 4};

/* ---- capabilities
 * ------------------------------------------------------------------------------------ */

/* Section 4.1.4.9: a window in configuration space through which the BAR can be used. */
static void window_touched(void *opaque, unsigned reg, unsigned size, bool write)
{
	struct virtio_transport *t = opaque;
	uint8_t *cap = &t->fn.hw->cfg[t->window];
	uint32_t off = pci_get32(cap, CAP_OFFSET), len = pci_get32(cap, CAP_LENGTH);
	unsigned data = t->window + CAP_DATA;

	if (reg + size <= data || reg >= data + 4)
		return;
	if ((len != 1 && len != 2 && len != 4) || off % len || !range_ok(off, len, BAR_SIZE) ||
	    cap[CAP_BAR] != BAR)
		return;
	if (write)
		bar_write(t, off, len, pci_get32(cap, CAP_DATA));
	else
		pci_put32(cap, CAP_DATA, (uint32_t)bar_read(t, off, len));
}

static int add_structure(struct virtio_transport *t, uint8_t type, uint32_t page, uint32_t len,
			 struct err *e)
{
	uint8_t cap[20] = {0}, writable[20] = {0};
	unsigned size = type == CFG_NOTIFY || type == CFG_PCI ? 20 : 16;

	cap[2] = (uint8_t)size;
	cap[CAP_CFG_TYPE] = type;
	cap[CAP_BAR] = BAR;
	pci_put32(cap, CAP_OFFSET, page);
	pci_put32(cap, CAP_LENGTH, len);
	if (type == CFG_NOTIFY)
		pci_put32(cap, CAP_DATA, NOTIFY_STRIDE);
	if (type == CFG_PCI) {
		writable[CAP_BAR] = 0xff;
		memset(writable + CAP_OFFSET, 0xff, 12);
	}
	return pci_add_cap(&t->fn, PCI_CAP_VENDOR, cap, writable, size, e);
}

static int add_capabilities(struct virtio_transport *t, struct err *e)
{
	const struct virtio_type *type = t->v->type;
	int rc = pci_add_msix(&t->fn, type->nqueues + 1, BAR, PAGE_MSIX, PAGE_PBA, e);

	if (rc < 0 || (rc = add_structure(t, CFG_COMMON, PAGE_COMMON, COMMON_SIZE, e)) < 0 ||
	    (rc = add_structure(t, CFG_ISR, PAGE_ISR, 4, e)) < 0 ||
	    (type->config_size &&
	     (rc = add_structure(t, CFG_DEVICE, PAGE_DEVICE, type->config_size, e)) < 0) ||
	    (rc = add_structure(t, CFG_NOTIFY, PAGE_NOTIFY, type->nqueues * NOTIFY_STRIDE, e)) <
		    0 ||
	    (rc = add_structure(t, CFG_PCI, 0, 0, e)) < 0)
		return rc;
	t->window = (unsigned)rc;
	return 0;
}

/* ---- life
 * ---------------------------------------------------------------------------------------------- */

int virtio_pci_attach(struct virtio_dev *v, struct err *e)
{
	struct virtio_transport *t = calloc(1, sizeof(*t));
	struct pci_id id = {
		.vendor = 0x1af4,
		.device = (uint16_t)(0x1040 + v->type->id),
		.subvendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 1,
		.class_code = v->type->class_code,
		.intx = true,
	};
	int rc;

	if (!t)
		return err_set(e, -ENOMEM, "%s: out of memory", v->type->name);
	t->v = v;
	t->fn.name = v->type->name;
	t->fn.moved = moved;
	t->fn.touched = window_touched;
	t->fn.opaque = t;
	t->no_bells = !v->env.ioeventfd;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		t->bell[i] = (struct bell){.t = t, .fd = -1};
	rc = pci_attach(v->env.pci, &t->fn, &v->hw->pci, &id, e);
	if (rc)
		goto free_transport;
	rc = pci_add_bar(&t->fn, BAR, PCI_BAR_MEM64, BAR_SIZE, &bar_ops, t, e);
	if (!rc)
		rc = add_capabilities(t, e);
	if (rc)
		goto detach;
	v->transport = t;
	return 0;
detach:
	pci_detach(&t->fn);
free_transport:
	free(t);
	return rc;
}

void virtio_pci_detach(struct virtio_dev *v)
{
	struct virtio_transport *t = v->transport;

	for (unsigned i = 0; i < v->type->nqueues; i++)
		bell_remove(t, i);
	pci_detach(&t->fn);
	free(t);
	v->transport = NULL;
}

void virtio_pci_reset(struct virtio_dev *v)
{
	v->hw->config_vector = NO_VECTOR;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		v->hw->queue_vector[i] = NO_VECTOR;
	pci_intx(&v->transport->fn, false);
}

int virtio_pci_loaded(struct virtio_dev *v, struct err *e)
{
	struct virtio_transport *t = v->transport;
	int rc = pci_loaded(&t->fn, e);

	if (rc)
		return rc;
	v->hw->config_vector = valid_vector(t, v->hw->config_vector);
	for (unsigned i = 0; i < v->type->nqueues; i++) {
		v->hw->queue_vector[i] = valid_vector(t, v->hw->queue_vector[i]);
		virtio_pci_queue_changed(v, i);
	}
	pci_intx(&t->fn, v->hw->isr != 0);
	return 0;
}
