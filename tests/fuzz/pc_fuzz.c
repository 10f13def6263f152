/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver against one of a PC's devices: register accesses, writes into guest memory,
 * frames and discs from the host, saves with a changed byte. Disk requests end late, in their
 * order.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/disk.h"
#include "vmm/backend/netdev.h"
#include "vmm/device/ahci/ahci.h"
#include "vmm/device/e1000/e1000.h"
#include "vmm/device/fwcfg.h"
#include "vmm/device/nvme/nvme.h"
#include "vmm/device/pci/models.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/pflash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM        (1u << 20)
#define DISK_SIZE  (1u << 18)
#define FLASH      0xff000000ull
#define FLASH_SIZE 0x2000u

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

/* ---- back ends ----------------------------------------------------------------------------------
 */

#define PENDING 512

static uint8_t image[DISK_SIZE];
static struct disk_req *pending[PENDING];
static unsigned npending;

static void end_first(void)
{
	struct disk_req *r = pending[0];
	uint64_t off = r->offset;

	memmove(pending, pending + 1, --npending * sizeof(pending[0]));
	for (unsigned i = 0; i < r->niov && (r->op == DISK_READ || r->op == DISK_WRITE); i++) {
		if (r->op == DISK_READ)
			memcpy(r->iov[i].iov_base, image + off, r->iov[i].iov_len);
		else
			memcpy(image + off, r->iov[i].iov_base, r->iov[i].iov_len);
		off += r->iov[i].iov_len;
	}
	r->done(r, (r->offset >> 9) % 7 == 6 ? -5 : 0);
}

static void disk_put(struct disk *d, struct disk_req *r)
{
	(void)d;
	if (r->offset > DISK_SIZE || r->len > DISK_SIZE - r->offset || npending == PENDING)
		abort();
	pending[npending++] = r;
}

static void disk_start(struct disk *d)
{
	(void)d;
}

static void disk_finish(struct disk *d)
{
	while (npending)
		end_first();
	if (d->batch_done)
		d->batch_done(d->batch_opaque);
}

static const struct disk_ops disk_ops = {
	.name = "fuzz", .submit = disk_put, .kick = disk_start, .drain = disk_finish};

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

static const struct netdev_ops net_ops = {
	.send = net_send, .flush = net_nothing, .resume = net_nothing};

/* ---- the machine --------------------------------------------------------------------------------
 */

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
	struct ahci_setup drives;
	uint8_t rom[FLASH_SIZE], content[FLASH_SIZE];
} m;

static void set_line(void *opaque, unsigned gsi, bool level)
{
	(void)opaque, (void)level;
	if (gsi >= IRQ_NGSI)
		abort();
}

static void send_msi(void *opaque, uint64_t addr, uint32_t data)
{
	(void)opaque, (void)addr, (void)data;
}

static void on_event(void *opaque, enum machine_event ev, int status)
{
	(void)opaque, (void)ev, (void)status;
}

static void on_flash(void *opaque)
{
	(void)opaque;
}

static void init_machine(void)
{
	struct device_conf conf = {.name = "pci-host"};

	memset(&m, 0, sizeof(m));
	npending = 0;
	bus_init(&m.pio, 0x10000);
	bus_init(&m.mmio, 1ull << 52);
	pthread_mutex_init(&m.lock, NULL);
	m.irq = (struct irq_router){set_line, send_msi, NULL};
	if (mem_init(&m.mem, RAM, NULL) || loop_create(&m.env.loop, &m.lock, NULL))
		abort();
	m.env = (struct device_env){.pio = &m.pio,
				    .mmio = &m.mmio,
				    .mem = &m.mem,
				    .clock = &m.clock,
				    .loop = m.env.loop,
				    .irq = &m.irq,
				    .event = on_event};
	m.disk = (struct disk){
		.ops = &disk_ops, .size = DISK_SIZE, .can_discard = true, .id = "fuzz"};
	m.net.ops = &net_ops;
	m.drives.drive[0] = (struct ahci_drive){true, false, &m.disk};
	m.drives.drive[1] = (struct ahci_drive){true, true, &m.disk};
	if (pci_host_ops.create(&m.pci, &m.env, &conf, NULL))
		abort();
	m.env.pci = pci_host_of(m.pci);
}

static void create(unsigned kind)
{
	static const struct device_ops *const models[] = {&lpc_ops,   &ahci_ops,  &nvme_ops,
							  &e1000_ops, &fwcfg_ops, &pflash_ops};
	struct pflash_conf chip = {FLASH, m.rom, m.content, FLASH_SIZE, on_flash, NULL};
	void *const backends[] = {NULL, &m.drives, &m.disk, &m.net, NULL, &chip};
	struct device_conf conf = {0};

	kind %= sizeof(models) / sizeof(models[0]);
	conf.name = models[kind]->name;
	conf.backend = backends[kind];
	if (models[kind]->create(&m.dev, &m.env, &conf, NULL))
		abort();
	if (m.dev->ops == &fwcfg_ops && fwcfg_set_file(m.dev, "etc/file", "content", 7, NULL))
		abort();
}

static void destroy(void)
{
	m.dev->ops->destroy(m.dev);
	pci_host_ops.destroy(m.pci);
	loop_destroy(m.env.loop);
	mem_fini(&m.mem);
	if (m.mmio.n || m.pio.n || npending)
		abort();
}

/* ---- what an input can do -----------------------------------------------------------------------
 */

static unsigned width(struct input *in)
{
	return 1u << (take(in, 1) & 3);
}

/* Where the devices' registers are after a reset. */
static uint64_t mmio_at(struct input *in)
{
	static const uint64_t base[] = {0xc0000000, 0xc0000100, 0xc0001000, 0xc0002800, 0xc0003800,
					FLASH,      0xb0008000, 0xb00f8000, 0xb00fa000, 0xb0000000};

	return base[take(in, 1) % (sizeof(base) / sizeof(base[0]))] + take(in, 1) * 4;
}

static void mmio_write(struct input *in)
{
	uint64_t at = mmio_at(in);
	unsigned size = width(in);

	bus_write(&m.mmio, at, size, take(in, 4));
}

static void mmio_read(struct input *in)
{
	uint64_t at = mmio_at(in);

	bus_read(&m.mmio, at, width(in));
}

static uint64_t port_at(struct input *in)
{
	static const uint16_t base[] = {0x510, 0x514, 0xb2, 0x630, 0xc000, 0xcf8, 0xcfc, 0xc040};
	uint32_t n = take(in, 1);

	return base[n & 7] + (n >> 3);
}

static void port_write(struct input *in)
{
	uint64_t at = port_at(in);
	unsigned size = width(in);

	bus_write(&m.pio, at, size < 8 ? size : 4, take(in, 4));
}

static void port_read(struct input *in)
{
	bus_read(&m.pio, port_at(in), 4);
}

static void put_bytes(struct input *in)
{
	gpa_t at = take(in, 2) * 16;
	uint32_t len = take(in, 1);

	for (uint32_t i = 0; i < len && in->left; i++) {
		uint8_t b = (uint8_t)take(in, 1);

		mem_write(&m.mem, at + i, &b, 1);
	}
}

static void end_requests(struct input *in)
{
	for (unsigned n = take(in, 1) & 15; n && npending; n--)
		end_first();
	if (m.disk.batch_done)
		m.disk.batch_done(m.disk.batch_opaque);
}

static void from_host(struct input *in)
{
	static uint8_t frame[65550] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	size_t len = take(in, 2);

	if (m.net.client.receive && len >= 14) {
		m.net.client.receive(m.net.client.opaque, frame, len);
		m.net.client.batch_done(m.net.client.opaque);
	}
	if (m.dev->ops == &ahci_ops)
		ahci_change_disc(m.dev, len & 7, len & 8 ? &m.disk : NULL, len & 16, NULL);
}

/* The state may be changed on its way: one byte. */
static void save_load(struct input *in)
{
	struct state_buf b = {0};
	size_t used, at = take(in, 2);
	uint8_t flip = (uint8_t)take(in, 1);

	if (state_save(m.dev->ops->state, m.dev->ops->hw(m.dev), &b))
		abort();
	if (b.len)
		b.data[at % b.len] ^= flip;
	m.dev->ops->reset(m.dev);
	if (!state_load(m.dev->ops->state, m.dev->ops->hw(m.dev), b.data, b.len, &used, NULL) &&
	    m.dev->ops->loaded(m.dev, NULL))
		m.dev->ops->reset(m.dev);
	free(b.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const actions[])(struct input *) = {
		mmio_write, mmio_write, mmio_read, port_write,   port_read,
		put_bytes,  put_bytes,  from_host, end_requests, save_load,
	};
	struct input in = {data, size};

	init_machine();
	create(take(&in, 1));
	while (in.left)
		actions[take(&in, 1) % (sizeof(actions) / sizeof(actions[0]))](&in);
	destroy();
	return 0;
}
