/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver: the input is a list of register accesses, writes into guest memory, doorbells
 * and saves against one of the virtio devices. Whatever it does must end within the guest.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/chardev.h"
#include "vmm/backend/disk.h"
#include "vmm/backend/netdev.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/virtio/balloon.h"
#include "vmm/device/virtio/models.h"
#include "vmm/device/virtio/virtio.h"

#define RAM       (1u << 20)
#define DISK_SIZE 65536u
#define QUEUE     16u
#define BAR_SIZE  0x8000u

struct input {
	const uint8_t *p;
	size_t left;
};

static uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < bytes && in->left; i++, in->left--)
		v |= (uint32_t)*in->p++ << i * 8;
	return v;
}

/* ---- back ends that do their work at once
 * ------------------------------------------------------------ */

static uint8_t image[DISK_SIZE];

static void disk_do(struct disk *d, struct disk_req *r)
{
	uint64_t off = r->offset;

	(void)d;
	for (unsigned i = 0; i < r->niov && (r->op == DISK_READ || r->op == DISK_WRITE); i++) {
		size_t len = r->iov[i].iov_len;

		if (r->op == DISK_READ)
			memcpy(r->iov[i].iov_base, image + off, len);
		else
			memcpy(image + off, r->iov[i].iov_base, len);
		off += len;
	}
	if (r->op == DISK_WRITE_ZEROES)
		memset(image + off, 0, r->len);
	r->done(r, 0);
}

static void disk_nothing(struct disk *d)
{
	(void)d;
}

static const struct disk_ops disk_ops = {"fuzz", disk_do, disk_nothing, disk_nothing, disk_nothing};

/* Reads every byte, so that a wrong range is found. */
static void net_send(struct netdev *n, const struct iovec *iov, unsigned niov)
{
	volatile uint8_t sum = 0;

	(void)n;
	for (unsigned i = 0; i < niov; i++)
		for (size_t k = 0; k < iov[i].iov_len; k++)
			sum = (uint8_t)(sum + ((const uint8_t *)iov[i].iov_base)[k]);
}

static void net_nothing(struct netdev *n)
{
	(void)n;
}

static const struct netdev_ops net_ops = {net_send, net_nothing, net_nothing, net_nothing};

static void chr_write(struct chardev *c, const void *data, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)data, len};

	(void)c;
	net_send(NULL, &iov, 1);
}

static void chr_nothing(struct chardev *c)
{
	(void)c;
}

static const struct chardev_ops chr_ops = {chr_write, chr_nothing, chr_nothing};

/* ---- the machine
 * --------------------------------------------------------------------------------------- */

static struct machine {
	struct bus pio, mmio;
	struct guest_memory mem;
	struct vm_clock clock;
	pthread_mutex_t lock;
	struct irq_router irq;
	struct device_env env;
	struct device *pci, *dev;
	struct disk disk;
	struct netdev net;
	struct chardev chr;
	gpa_t bar;
} m;

static void set_line(void *opaque, unsigned gsi, bool level)
{
	(void)opaque;
	(void)level;
	if (gsi >= IRQ_NGSI)
		abort();
}

static void send_msi(void *opaque, uint64_t addr, uint32_t data)
{
	(void)opaque;
	(void)addr;
	(void)data;
}

static void on_event(void *opaque, enum machine_event ev, int status)
{
	(void)opaque;
	(void)ev;
	(void)status;
}

static void on_written(void *opaque, gpa_t gpa, uint64_t len)
{
	(void)opaque;
	if (!mem_ptr(&m.mem, gpa, len, true))
		abort();
}

static void create(unsigned kind)
{
	static const struct device_ops *const models[] = {
		&virtio_blk_ops, &virtio_net_ops,     &virtio_console_ops,
		&virtio_rng_ops, &virtio_balloon_ops,
	};
	void *const backends[] = {&m.disk, &m.net, &m.chr, NULL, NULL};
	struct device_conf pci_conf = {.name = "pci-host"}, conf = {0};

	kind %= 5;
	memset(&m, 0, sizeof(m));
	bus_init(&m.pio, 0x10000);
	bus_init(&m.mmio, 1ull << 52);
	pthread_mutex_init(&m.lock, NULL);
	m.irq = (struct irq_router){set_line, send_msi, NULL};
	if (mem_init(&m.mem, RAM, NULL) || loop_create(&m.env.loop, &m.lock, NULL))
		abort();
	m.mem.written = on_written;
	m.env = (struct device_env){.pio = &m.pio,
				    .mmio = &m.mmio,
				    .mem = &m.mem,
				    .clock = &m.clock,
				    .loop = m.env.loop,
				    .irq = &m.irq,
				    .event = on_event};
	m.disk = (struct disk){.ops = &disk_ops, .size = DISK_SIZE, .can_discard = true};
	m.net.ops = &net_ops;
	m.chr.ops = &chr_ops;
	if (pci_host_ops.create(&m.pci, &m.env, &pci_conf, NULL))
		abort();
	m.env.pci = pci_host_of(m.pci);
	conf.name = models[kind]->name;
	conf.backend = backends[kind];
	if (models[kind]->create(&m.dev, &m.env, &conf, NULL))
		abort();
	m.bar = bus_read(&m.mmio, PCI_ECAM_BASE + 0x8000 + PCI_REG_BAR0, 4) & ~0xfull;
}

static void destroy(void)
{
	m.dev->ops->destroy(m.dev);
	pci_host_ops.destroy(m.pci);
	loop_destroy(m.env.loop);
	mem_fini(&m.mem);
	if (m.mmio.n || m.pio.n)
		abort();
}

static void common(unsigned reg, unsigned size, uint64_t val)
{
	bus_write(&m.mmio, m.bar + reg, size, val);
}

/* Where each queue's rings lie: 0x1000 apart, so that inputs can find them. */
static gpa_t ring(unsigned queue, unsigned part)
{
	return 0x1000ull * (1 + 3 * queue + part);
}

static void set_up(void)
{
	common(0x14, 1, 0);
	common(0x14, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		common(0x00, 4, i);
		common(0x08, 4, i);
		common(0x0c, 4, bus_read(&m.mmio, m.bar + 0x04, 4));
	}
	common(0x14, 1, 0xb);
	for (unsigned q = 0; q < VIRTIO_MAX_QUEUES; q++) {
		common(0x16, 2, q);
		common(0x18, 2, QUEUE);
		common(0x20, 8, ring(q, 0));
		common(0x28, 8, ring(q, 1));
		common(0x30, 8, ring(q, 2));
		common(0x1c, 2, 1);
	}
	common(0x14, 1, 0xf);
}

/* ---- what an input can do
 * ------------------------------------------------------------------------------ */

static void put_bytes(struct input *in)
{
	gpa_t at = take(in, 2) * 4;
	uint32_t len = take(in, 1);

	for (uint32_t i = 0; i < len && in->left; i++) {
		uint8_t b = (uint8_t)take(in, 1);

		mem_write(&m.mem, at + i, &b, 1);
	}
}

/* A descriptor whose numbers are mostly plausible. */
static void put_descriptor(struct input *in)
{
	uint32_t where = take(in, 2);
	struct vring_desc d = {take(in, 3), take(in, 2), (uint16_t)(take(in, 1) & 7),
			       (uint16_t)take(in, 1)};

	mem_write(&m.mem, ring(where >> 8 & 7, 0) + where % 32 * 16, &d, sizeof(d));
}

static void publish(struct input *in)
{
	unsigned queue = take(in, 1) % VIRTIO_MAX_QUEUES;
	uint16_t head = (uint16_t)take(in, 1), idx;
	gpa_t avail = ring(queue, 1);

	mem_read(&m.mem, avail + 2, &idx, 2);
	mem_write(&m.mem, avail + 4 + idx % QUEUE * 2, &head, 2);
	idx++;
	mem_write(&m.mem, avail + 2, &idx, 2);
	bus_write(&m.mmio, m.bar + 0x3000 + queue * 4, 2, queue);
}

static unsigned width(struct input *in)
{
	return 1u << (take(in, 1) & 3);
}

static void bar_write(struct input *in)
{
	gpa_t at = m.bar + take(in, 2) % BAR_SIZE;
	unsigned size = width(in);

	bus_write(&m.mmio, at, size, take(in, 4));
}

static void bar_read(struct input *in)
{
	gpa_t at = m.bar + take(in, 2) % BAR_SIZE;

	bus_read(&m.mmio, at, width(in));
}

static void config_write(struct input *in)
{
	gpa_t at = PCI_ECAM_BASE + 0x8000 + take(in, 2) % 0x1000;
	unsigned size = width(in);

	bus_write(&m.mmio, at, size, take(in, 4));
}

static void config_read(struct input *in)
{
	gpa_t at = PCI_ECAM_BASE + take(in, 2) % 0x10000;

	bus_read(&m.mmio, at, width(in));
}

static void from_host(struct input *in)
{
	static uint8_t data[65550];
	size_t len = take(in, 2);

	if (m.net.client.receive && len >= 14) {
		m.net.client.receive(m.net.client.opaque, data, len);
		m.net.client.batch_done(m.net.client.opaque);
	}
	if (m.chr.client.room) {
		size_t room = m.chr.client.room(m.chr.client.opaque);

		m.chr.client.input(m.chr.client.opaque, data, len < room ? len : room);
	}
	if (m.dev->ops == &virtio_balloon_ops) {
		balloon_set_target(m.dev, len << 8);
		balloon_ask_stats(m.dev);
	}
}

/* The state may be changed on its way: one byte. */
static void save_load(struct input *in)
{
	struct state_buf b = {0};
	size_t used, at = take(in, 2);
	uint8_t flip = (uint8_t)take(in, 1);

	if (state_save(m.dev->ops->state, m.dev->ops->hw(m.dev), &b))
		abort();
	if (at < b.len)
		b.data[at] ^= flip;
	m.dev->ops->reset(m.dev);
	if (!state_load(m.dev->ops->state, m.dev->ops->hw(m.dev), b.data, b.len, &used, NULL) &&
	    m.dev->ops->loaded(m.dev, NULL))
		m.dev->ops->reset(m.dev);
	free(b.data);
}

static void start_over(struct input *in)
{
	(void)in;
	set_up();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const actions[])(struct input *) = {
		put_bytes,    put_descriptor, publish,   bar_write, bar_read,
		config_write, config_read,    from_host, save_load, start_over,
	};
	struct input in = {data, size};

	create(take(&in, 1));
	set_up();
	while (in.left)
		actions[take(&in, 1) % (sizeof(actions) / sizeof(actions[0]))](&in);
	destroy();
	return 0;
}
