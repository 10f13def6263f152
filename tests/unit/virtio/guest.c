/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of buses and memory, and a virtio driver over PCI. (Virtio 1.2 sections 2.7 and 4.1.)
 */
#include "guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/num.h"
#include "vmm/device/virtio/virtio.h"

static void set_line(void *opaque, unsigned gsi, bool level)
{
	struct guest *g = opaque;

	g->line[gsi] = level;
}

static void send_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct guest *g = opaque;

	g->msi_count++;
	g->msi_addr = addr;
	g->msi_last = data;
}

static void on_event(void *opaque, enum machine_event ev, int status)
{
	struct guest *g = opaque;

	(void)status;
	g->event = ev;
	g->has_event = true;
}

static int set_bell(void *opaque, int fd, gpa_t addr, unsigned size, bool add)
{
	struct guest *g = opaque;

	if (!g->has_bells)
		return -95; /* ENOTSUP */
	assert_int_equal(size, 2);
	for (unsigned i = 0; i < GUEST_MAX_BELL; i++) {
		if (g->bell[i].fd != (add ? -1 : fd) || (!add && g->bell[i].addr != addr))
			continue;
		g->bell[i].fd = add ? fd : -1;
		g->bell[i].addr = addr;
		return 0;
	}
	fail_msg("doorbell %s", add ? "too many" : "not there");
	return -1;
}

static void on_written(void *opaque, gpa_t gpa, uint64_t len)
{
	struct guest *g = opaque;

	assert_non_null(mem_ptr(&g->mem, gpa, len, true));
	g->written += len;
}

static void *run_loop(void *opaque)
{
	struct guest *g = opaque;

	loop_run(g->loop);
	return NULL;
}

void guest_init(struct guest *g)
{
	struct device_conf conf = {.name = "pci-host"};
	struct err e;

	memset(g, 0, sizeof(*g));
	bus_init(&g->pio, 0x10000);
	bus_init(&g->mmio, 1ull << 52);
	assert_int_equal(mem_init(&g->mem, GUEST_RAM, &e), 0);
	g->mem.written = on_written;
	g->mem.written_opaque = g;
	g->next_free = 0x10000;
	pthread_mutex_init(&g->lock, NULL);
	assert_int_equal(loop_create(&g->loop, &g->lock, &e), 0);
	clock_init(&g->clock, g->loop);
	g->irq = (struct irq_router){set_line, send_msi, g};
	for (unsigned i = 0; i < GUEST_MAX_BELL; i++)
		g->bell[i].fd = -1;
	g->env = (struct device_env){
		.pio = &g->pio,
		.mmio = &g->mmio,
		.mem = &g->mem,
		.clock = &g->clock,
		.loop = g->loop,
		.irq = &g->irq,
		.event = on_event,
		.ioeventfd = set_bell,
		.opaque = g,
	};
	pthread_create(&g->loop_thread, NULL, run_loop, g);
	g->pci = guest_add(g, &pci_host_ops, &conf);
	g->env.pci = pci_host_of(g->pci);
}

void guest_fini(struct guest *g)
{
	loop_stop(g->loop, 0);
	pthread_join(g->loop_thread, NULL);
	pci_host_ops.destroy(g->pci);
	assert_int_equal(g->mmio.n, 0);
	assert_int_equal(g->pio.n, 0);
	loop_destroy(g->loop);
	mem_fini(&g->mem);
}

struct device *guest_add(struct guest *g, const struct device_ops *ops, struct device_conf *conf)
{
	struct device *d = NULL;
	struct err e = {0};

	pthread_mutex_lock(&g->lock);
	if (ops->create(&d, &g->env, conf, &e))
		fail_msg("%s: %s", ops->name, e.text);
	pthread_mutex_unlock(&g->lock);
	assert_ptr_equal(d->ops, ops);
	return d;
}

void guest_remove(struct guest *g, struct device *d)
{
	pthread_mutex_lock(&g->lock);
	d->ops->destroy(d);
	pthread_mutex_unlock(&g->lock);
	for (unsigned i = 0; i < GUEST_MAX_BELL; i++)
		assert_int_equal(g->bell[i].fd, -1);
}

void guest_save_load(struct guest *g, struct device *d)
{
	struct state_buf b = {0};
	struct err e = {0};
	size_t used = 0;

	pthread_mutex_lock(&g->lock);
	assert_int_equal(state_save(d->ops->state, d->ops->hw(d), &b), 0);
	d->ops->reset(d);
	assert_int_equal(state_load(d->ops->state, d->ops->hw(d), b.data, b.len, &used, &e), 0);
	assert_int_equal(used, b.len);
	if (d->ops->loaded(d, &e))
		fail_msg("%s: %s", d->ops->name, e.text);
	pthread_mutex_unlock(&g->lock);
	free(b.data);
}

/* ---- access
 * ---------------------------------------------------------------------------------------- */

static uint64_t locked_read(struct guest *g, struct bus *b, uint64_t addr, unsigned size)
{
	uint64_t val;

	pthread_mutex_lock(&g->lock);
	val = bus_read(b, addr, size);
	pthread_mutex_unlock(&g->lock);
	return val;
}

static void locked_write(struct guest *g, struct bus *b, uint64_t addr, unsigned size, uint64_t val)
{
	pthread_mutex_lock(&g->lock);
	bus_write(b, addr, size, val);
	pthread_mutex_unlock(&g->lock);
}

uint64_t guest_read(struct guest *g, gpa_t addr, unsigned size)
{
	return locked_read(g, &g->mmio, addr, size);
}

void guest_write(struct guest *g, gpa_t addr, unsigned size, uint64_t val)
{
	for (unsigned i = 0; size == 2 && i < GUEST_MAX_BELL; i++) {
		if (g->bell[i].fd >= 0 && g->bell[i].addr == addr) {
			eventfd_write(g->bell[i].fd, 1);
			return;
		}
	}
	locked_write(g, &g->mmio, addr, size, val);
}

uint32_t guest_cfg_read(struct guest *g, unsigned slot, unsigned reg, unsigned size)
{
	return (uint32_t)guest_read(g, PCI_ECAM_BASE + slot * 0x8000 + reg, size);
}

void guest_cfg_write(struct guest *g, unsigned slot, unsigned reg, unsigned size, uint32_t val)
{
	guest_write(g, PCI_ECAM_BASE + slot * 0x8000 + reg, size, val);
}

gpa_t guest_alloc(struct guest *g, uint64_t size, uint64_t align)
{
	gpa_t at = align_up(g->next_free, align);

	g->next_free = at + size;
	assert_true(g->next_free <= GUEST_RAM);
	return at;
}

void *guest_ptr(struct guest *g, gpa_t gpa)
{
	void *p = mem_ptr(&g->mem, gpa, 1, false);

	assert_non_null(p);
	return p;
}

/* ---- the driver
 * ------------------------------------------------------------------------------------ */

static void found_structure(struct driver *d, unsigned cap)
{
	uint8_t type = (uint8_t)guest_cfg_read(d->g, d->slot, cap + 3, 1);
	gpa_t at = d->bar + guest_cfg_read(d->g, d->slot, cap + 8, 4);

	switch (type) {
	case 1:
		d->common = at;
		break;
	case 2:
		d->notify = at;
		d->notify_stride = guest_cfg_read(d->g, d->slot, cap + 16, 4);
		break;
	case 3:
		d->isr = at;
		break;
	case 4:
		d->config = at;
		break;
	case 5:
		d->window_cap = cap;
		break;
	}
}

void driver_probe(struct driver *d, struct guest *g, unsigned slot)
{
	unsigned cap, n = 0;

	memset(d, 0, sizeof(*d));
	d->g = g;
	d->slot = slot;
	assert_int_equal(guest_cfg_read(g, slot, PCI_REG_VENDOR, 2), 0x1af4);
	d->device_id = (uint16_t)(guest_cfg_read(g, slot, PCI_REG_DEVICE, 2) - 0x1040);
	assert_int_equal(guest_cfg_read(g, slot, PCI_REG_REVISION, 1), 1);
	d->bar = guest_cfg_read(g, slot, PCI_REG_BAR0, 4) & ~0xfull;
	d->bar |= (uint64_t)guest_cfg_read(g, slot, PCI_REG_BAR0 + 4, 4) << 32;
	for (cap = guest_cfg_read(g, slot, PCI_REG_CAP, 1); cap;
	     cap = guest_cfg_read(g, slot, cap + 1, 1)) {
		uint8_t id = (uint8_t)guest_cfg_read(g, slot, cap, 1);

		assert_true(++n < 16 && cap >= 0x40 && cap % 4 == 0);
		if (id == PCI_CAP_VENDOR)
			found_structure(d, cap);
		else if (id == PCI_CAP_MSIX)
			d->msix_cap = cap;
	}
	assert_true(d->common && d->isr && d->notify && d->msix_cap && d->window_cap);
}

static uint32_t common_read(struct driver *d, unsigned reg, unsigned size)
{
	return (uint32_t)guest_read(d->g, d->common + reg, size);
}

static void common_write(struct driver *d, unsigned reg, unsigned size, uint64_t val)
{
	guest_write(d->g, d->common + reg, size, val);
}

uint8_t driver_status(struct driver *d)
{
	return (uint8_t)common_read(d, 0x14, 1);
}

void driver_negotiate(struct driver *d, uint64_t want)
{
	common_write(d, 0x14, 1, 0);
	assert_int_equal(driver_status(d), 0);
	common_write(d, 0x14, 1, VIRTIO_ACKNOWLEDGE);
	common_write(d, 0x14, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	d->offered = 0;
	for (unsigned i = 0; i < 2; i++) {
		common_write(d, 0x00, 4, i);
		d->offered |= (uint64_t)common_read(d, 0x04, 4) << 32 * i;
	}
	d->features = d->offered & want;
	for (unsigned i = 0; i < 2; i++) {
		common_write(d, 0x08, 4, i);
		common_write(d, 0x0c, 4, d->features >> 32 * i);
	}
	common_write(d, 0x14, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
}

void driver_queue(struct driver *d, unsigned q, uint16_t size)
{
	struct driver_queue *dq = &d->q[q];

	common_write(d, 0x16, 2, q);
	assert_true(common_read(d, 0x18, 2) >= size);
	dq->size = size;
	dq->next_desc = dq->avail = dq->used = 0;
	dq->desc = guest_alloc(d->g, 16u * size, 16);
	dq->avail_ring = guest_alloc(d->g, 6u + 2u * size, 2);
	dq->used_ring = guest_alloc(d->g, 6u + 8u * size, 4);
	memset(guest_ptr(d->g, dq->desc), 0, 16u * size);
	memset(guest_ptr(d->g, dq->avail_ring), 0, 6u + 2u * size);
	memset(guest_ptr(d->g, dq->used_ring), 0, 6u + 8u * size);
	common_write(d, 0x18, 2, size);
	common_write(d, 0x20, 8, dq->desc); /* the bus splits it, as a driver would */
	common_write(d, 0x28, 8, dq->avail_ring);
	common_write(d, 0x30, 8, dq->used_ring);
	common_write(d, 0x1c, 2, 1);
}

void driver_ok(struct driver *d)
{
	common_write(d, 0x14, 1, driver_status(d) | VIRTIO_DRIVER_OK);
}

void driver_msix(struct driver *d, unsigned nqueues)
{
	uint32_t table = guest_cfg_read(d->g, d->slot, d->msix_cap + 4, 4) & ~7u;

	for (unsigned v = 0; v <= nqueues; v++) {
		guest_write(d->g, d->bar + table + 16 * v, 4, 0xfee00000);
		guest_write(d->g, d->bar + table + 16 * v + 4, 4, 0);
		guest_write(d->g, d->bar + table + 16 * v + 8, 4, 0x40 + v);
		guest_write(d->g, d->bar + table + 16 * v + 12, 4, 0);
	}
	guest_cfg_write(d->g, d->slot, d->msix_cap + 2, 2, 0x8000);
	common_write(d, 0x10, 2, 0);
	assert_int_equal(common_read(d, 0x10, 2), 0);
	for (unsigned q = 0; q < nqueues; q++) {
		common_write(d, 0x16, 2, q);
		common_write(d, 0x1a, 2, q + 1);
		assert_int_equal(common_read(d, 0x1a, 2), q + 1);
	}
}

void driver_start(struct driver *d, struct guest *g, unsigned slot, uint64_t want, unsigned nqueues,
		  uint16_t size)
{
	driver_probe(d, g, slot);
	driver_negotiate(d, want);
	assert_true(driver_status(d) & VIRTIO_FEATURES_OK);
	for (unsigned q = 0; q < nqueues; q++)
		driver_queue(d, q, size);
	driver_msix(d, nqueues);
	driver_ok(d);
	assert_int_equal(driver_status(d), 0xf);
}

void driver_set_desc(struct driver *d, unsigned q, unsigned i, gpa_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	struct vring_desc *t = guest_ptr(d->g, d->q[q].desc);

	t[i] = (struct vring_desc){addr, len, flags, next};
}

void driver_publish(struct driver *d, unsigned q, uint16_t head)
{
	struct driver_queue *dq = &d->q[q];
	uint16_t *avail = guest_ptr(d->g, dq->avail_ring);

	avail[2 + dq->avail % dq->size] = head;
	dq->avail++;
	__atomic_store_n(&avail[1], dq->avail, __ATOMIC_RELEASE);
}

uint16_t driver_add(struct driver *d, unsigned q, const struct seg *s, unsigned n)
{
	struct driver_queue *dq = &d->q[q];
	uint16_t head = dq->next_desc % dq->size;

	assert_true(n <= dq->size);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = (head + i) % dq->size;

		driver_set_desc(d, q, at, s[i].addr, s[i].len,
				(uint16_t)((s[i].write ? VRING_DESC_WRITE : 0) |
					   (i + 1 < n ? VRING_DESC_NEXT : 0)),
				(uint16_t)((at + 1) % dq->size));
	}
	dq->next_desc = (uint16_t)(head + n);
	driver_publish(d, q, head);
	return head;
}

uint16_t driver_add_indirect(struct driver *d, unsigned q, const struct seg *s, unsigned n)
{
	struct driver_queue *dq = &d->q[q];
	uint16_t head = dq->next_desc++ % dq->size;
	gpa_t table = guest_alloc(d->g, 16u * n, 16);
	struct vring_desc *t = guest_ptr(d->g, table);

	for (unsigned i = 0; i < n; i++)
		t[i] = (struct vring_desc){s[i].addr, s[i].len,
					   (uint16_t)((s[i].write ? VRING_DESC_WRITE : 0) |
						      (i + 1 < n ? VRING_DESC_NEXT : 0)),
					   (uint16_t)(i + 1)};
	driver_set_desc(d, q, head, table, 16u * n, VRING_DESC_INDIRECT, 0);
	driver_publish(d, q, head);
	return head;
}

void driver_kick(struct driver *d, unsigned q)
{
	guest_write(d->g, d->notify + q * d->notify_stride, 2, q);
}

bool driver_has_used(struct driver *d, unsigned q)
{
	const uint16_t *used = guest_ptr(d->g, d->q[q].used_ring);

	return __atomic_load_n(&used[1], __ATOMIC_ACQUIRE) != d->q[q].used;
}

struct vring_used_elem driver_wait(struct driver *d, unsigned q)
{
	struct driver_queue *dq = &d->q[q];
	struct vring_used_elem el;

	for (unsigned tries = 0; !driver_has_used(d, q); tries++) {
		if (tries > 50000)
			fail_msg("queue %u: no answer", q);
		usleep(100);
	}
	memcpy(&el, (uint8_t *)guest_ptr(d->g, dq->used_ring) + 4 + 8 * (dq->used % dq->size),
	       sizeof(el));
	dq->used++;
	return el;
}
