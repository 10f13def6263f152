/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways out of a virtual machine by DMA: its devices are told to move data, and to keep their rings,
 * where the guest has no RAM. Wanted are disks on virtio, AHCI and NVMe and cards of virtio and
 * e1000 kinds, with 64 MiB; those that are not there are passed over. That the host goes on is the
 * business of whoever runs it.
 */
#include "guests/lib/guest.h"
#include "guests/lib/pci.h"

#define RAM_END    0x4000000ul
#define KEPT       0x2000000ul /* 1 MiB that nobody may touch */
#define KEPT_WORDS (0x100000 / 8)
#define DATA       ((uint64_t)(uintptr_t)data)
#define SECTOR     64
#define BYTES      512u

#define RINGS_BYTES 0x4000
#define PATIENCE    200000 /* looks at what must come, of 50 us and more */
#define IMPATIENCE  200    /* at what may never */

static uint8_t rings[RINGS_BYTES] __attribute__((aligned(4096)));
static uint8_t data[2][4096] __attribute__((aligned(4096)));

enum outcome {
	NOTHING, /* no answer yet */
	DONE,
	REFUSED,
};

struct device {
	const char *name;
	uint32_t id, class; /* vendor and device, or class; the other 0 */
	bool disk;
	/* From a reset on: the rings lie at this address. */
	void (*start)(struct device *d, uint64_t rings);
	void (*move)(struct device *d, uint64_t at, bool to_memory); /* BYTES */
	enum outcome (*look)(struct device *d);
	/* Where it is; 0: it is not there. */
	unsigned slot, function;
	uint64_t base;
	uint64_t common, notify; /* virtio */
	unsigned count;          /* requests since the start */
};

static uint32_t get32(uint64_t at)
{
	return *(volatile uint32_t *)at;
}

static void put32(uint64_t at, uint32_t v)
{
	*(volatile uint32_t *)at = v;
}

static void put16(uint64_t at, uint16_t v)
{
	*(volatile uint16_t *)at = v;
}

static uint16_t get16(uint64_t at)
{
	return *(volatile uint16_t *)at;
}

static void put64(uint64_t at, uint64_t v)
{
	put32(at, (uint32_t)v);
	put32(at + 4, (uint32_t)(v >> 32));
}

static void clear_rings(void)
{
	for (unsigned i = 0; i < RINGS_BYTES / 8; i++)
		((volatile uint64_t *)rings)[i] = 0;
}

/* ---- virtio (OASIS virtio 1.2; 2.7, 4.1.4)
 * ------------------------------------------------------- */

#define DESC       0x0000
#define AVAIL      0x1000
#define USED       0x2000
#define FRAME      0x3000 /* a disk's request: header, status at 16; a card's header */
#define QUEUE_SIZE 16

static void status(struct device *d, uint8_t v)
{
	*(volatile uint8_t *)(d->common + 20) = v;
}

static void virtio_start(struct device *d, uint64_t at)
{
	status(d, 0);
	clear_rings();
	status(d, 3);
	put32(d->common + 8, 1); /* VERSION_1 and nothing else */
	put32(d->common + 12, 1);
	put32(d->common + 8, 0);
	put32(d->common + 12, 0);
	status(d, 11);
	put16(d->common + 22, d->disk ? 0 : 1);
	put16(d->common + 24, QUEUE_SIZE);
	put64(d->common + 32, at + DESC);
	put64(d->common + 40, at + AVAIL);
	put64(d->common + 48, at + USED);
	put16(d->common + 28, 1);
	status(d, 15);
	d->count = 0;
}

static void descriptor(unsigned i, uint64_t at, uint32_t len, unsigned flags)
{
	uint64_t to = (uintptr_t)rings + DESC + i * 16;

	put64(to, at);
	put32(to + 8, len);
	put32(to + 12, flags | (i + 1) << 16); /* 1: there is a next one; 2: the device writes */
}

static void virtio_move(struct device *d, uint64_t at, bool to_memory)
{
	uint64_t frame = (uintptr_t)rings + FRAME;

	put64(frame, d->disk && !to_memory); /* type */
	put64(frame + 8, d->disk ? SECTOR : 0);
	put32(frame + 16, 0xff);
	descriptor(0, frame, d->disk ? 16 : 12, 1);
	descriptor(1, at, BYTES, d->disk ? (to_memory ? 3 : 1) : 0);
	descriptor(2, frame + 16, 1, 2);
	put16((uintptr_t)rings + AVAIL + 4 + d->count++ % QUEUE_SIZE * 2, 0);
	put16((uintptr_t)rings + AVAIL + 2, (uint16_t)d->count);
	put16(d->notify, d->disk ? 0 : 1);
}

static enum outcome virtio_look(struct device *d)
{
	if (*(volatile uint8_t *)(d->common + 20) & 64) /* NEEDS_RESET */
		return REFUSED;
	if (get16((uintptr_t)rings + USED + 2) != (uint16_t)d->count)
		return NOTHING;
	return d->disk && rings[FRAME + 16] ? REFUSED : DONE;
}

/* Base addresses are moved to where they are mapped here. */
static uint64_t place(struct device *d, unsigned bar)
{
	static uint32_t next = 0xd0000000;
	unsigned reg = 0x10 + bar * 4;

	pci_write(d->slot, d->function, 4, 0);
	if ((pci_read(d->slot, d->function, reg) & 6) == 4) {
		pci_write(d->slot, d->function, reg, next);
		pci_write(d->slot, d->function, reg + 4, 0);
		next += 0x1000000;
	}
	pci_write(d->slot, d->function, 4, 6); /* memory, DMA */
	return pci_read(d->slot, d->function, reg) & ~15u;
}

static void virtio_find(struct device *d)
{
	uint32_t multiplier = 0;
	unsigned queue = d->disk ? 0 : 1, bar = 6;

	for (unsigned cap = pci_read(d->slot, d->function, 0x34) & 0xff; cap;
	     cap = pci_read(d->slot, d->function, cap) >> 8 & 0xff) {
		uint32_t head = pci_read(d->slot, d->function, cap);
		uint64_t offset = pci_read(d->slot, d->function, cap + 8);

		if ((head & 0xff) != 9 || (head >> 24 != 1 && head >> 24 != 2))
			continue;
		if (bar == 6) /* all lie in one */
			bar = pci_read(d->slot, d->function, cap + 4) & 0xff,
			d->base = place(d, bar);
		*(head >> 24 == 1 ? &d->common : &d->notify) = d->base + offset;
		if (head >> 24 == 2)
			multiplier = pci_read(d->slot, d->function, cap + 16);
	}
	put16(d->common + 22, (uint16_t)queue);
	d->notify += (uint64_t)get16(d->common + 30) * multiplier;
}

/* ---- AHCI (Serial ATA AHCI 1.3.1, 3.3, 4.2)
 * ------------------------------------------------------ */

#define TABLE 0x1000 /* behind the list and the received FIS */

static void ahci_start(struct device *d, uint64_t at)
{
	uint64_t port;

	clear_rings();
	put32(d->base + 4, 0x80000001); /* reset */
	for (unsigned i = 0; i < PATIENCE && get32(d->base + 4) & 1; i++)
		delay_us(50);
	put32(d->base + 4, 0x80000000);
	port = d->base + 0x100;
	put64(port, at);
	put64(port + 8, at + 0x400);
	put32(port + 0x30, ~0u);
	put32(port + 0x10, ~0u);
	put32(port + 0x18, 0x17); /* power, receive, start */
}

static void ahci_move(struct device *d, uint64_t at, bool to_memory)
{
	uint64_t list = (uintptr_t)rings, table = list + TABLE;

	put32(list, 5 | (to_memory ? 0 : 0x40) | 0x10000);
	put32(list + 4, 0);
	put64(list + 8, table);
	put32(table, 0x8027 | (to_memory ? 0x25u : 0x35u) << 16);
	put32(table + 4, 0x40000000 | SECTOR);
	put32(table + 8, 0);
	put32(table + 12, 1);
	put64(table + 0x80, at);
	put32(table + 0x8c, BYTES - 1);
	put32(d->base + 0x138, 1);
}

static enum outcome ahci_look(struct device *d)
{
	if (get32(d->base + 0x110) & 0x78000000 || get32(d->base + 0x120) & 1)
		return REFUSED;
	return get32(d->base + 0x138) & 1 ? NOTHING : DONE;
}

/* ---- NVMe (NVM Express 1.4, 3 to 6)
 * -------------------------------------------------------------- */

/* Admin commands, their completions, I/O commands, their completions: a page each, two entries of
 * the admin queue and 16 of the other in use. */
static unsigned admin_tail;

static void command(unsigned page, unsigned i, const uint32_t word[12])
{
	for (unsigned w = 0; w < 12; w++)
		put32((uintptr_t)rings + page * 0x1000 + i * 64 +
			      (w < 2   ? w
			       : w < 6 ? w + 4
				       : w + 4) *
				      4,
		      word[w]);
}

static void admin(struct device *d, uint32_t opcode, uint64_t at, uint32_t a, uint32_t b)
{
	uint32_t words[12] = {
		opcode | (admin_tail + 1) << 16, 0, (uint32_t)at, (uint32_t)(at >> 32), 0, 0, a, b};

	command(0, admin_tail++, words);
	put32(d->base + 0x1000, admin_tail);
	for (unsigned i = 0;
	     i < IMPATIENCE * 50 && !(get32((uintptr_t)rings + 0x1000 + admin_tail * 16 - 4) >> 16);
	     i++)
		delay_us(50);
}

static void nvme_start(struct device *d, uint64_t at)
{
	bool own = at == (uintptr_t)rings;

	put32(d->base + 0x14, 0);
	for (unsigned i = 0; i < PATIENCE && get32(d->base + 0x1c) & 1; i++)
		delay_us(50);
	clear_rings();
	admin_tail = d->count = 0;
	put32(d->base + 0x24, 0xf000f);
	put64(d->base + 0x28, (uintptr_t)rings);
	put64(d->base + 0x30, (uintptr_t)rings + 0x1000);
	put32(d->base + 0x14, 0x460001);
	for (unsigned i = 0; i < PATIENCE && !(get32(d->base + 0x1c) & 3); i++)
		delay_us(50);
	admin(d, 5, own ? at + 0x3000 : at, 0xf0001, 1);
	admin(d, 1, own ? at + 0x2000 : at, 0xf0001, 0x10001);
}

static void nvme_move(struct device *d, uint64_t at, bool to_memory)
{
	uint64_t next = (at & ~0xffful) + 0x1000;
	uint32_t words[12] = {(to_memory ? 2 : 1) | (d->count + 1) << 16,
			      1,
			      (uint32_t)at,
			      (uint32_t)(at >> 32),
			      (uint32_t)next,
			      (uint32_t)(next >> 32),
			      SECTOR};

	command(2, d->count++ % 16, words);
	put32(d->base + 0x1008, d->count % 16);
}

static enum outcome nvme_look(struct device *d)
{
	uint32_t status = get32((uintptr_t)rings + 0x3000 + (d->count - 1) % 16 * 16 + 12);

	if (get32(d->base + 0x1c) & 2)
		return REFUSED;
	if ((status & 0xffff) != d->count)
		return NOTHING;
	return status >> 17 ? REFUSED : DONE;
}

/* ---- e1000 (8254x Software Developer's Manual, 3)
 * ------------------------------------------------ */

static void e1000_start(struct device *d, uint64_t at)
{
	put32(d->base, 1u << 26); /* reset */
	delay_us(1000);
	clear_rings();
	put32(d->base, 1u << 6); /* link up */
	d->count = 0;
	put64(d->base + 0x3800, at); /* transmit ring */
	put32(d->base + 0x3808, 16 * 16);
	put32(d->base + 0x3810, 0);
	put32(d->base + 0x3818, 0);
	put64(d->base + 0x2800, at + 0x1000); /* what comes in */
	put32(d->base + 0x2808, 16 * 16);
	put32(d->base + 0x2810, 0);
	put32(d->base + 0x2818, 15);
	put32(d->base + 0x400, 2);
	put32(d->base + 0x100, 0x8002);
}

static void e1000_move(struct device *d, uint64_t at, bool to_memory)
{
	uint64_t slot = (uintptr_t)rings + d->count++ % 16 * 16;

	(void)to_memory;
	put64(slot, at);
	put32(slot + 8, BYTES | 11u << 24);
	put32(slot + 12, 0);
	for (unsigned i = 0; i < 16; i++) /* buffers for what comes are there, too */
		put64((uintptr_t)rings + 0x1000 + i * 16, at);
	put32(d->base + 0x3818, d->count % 16);
}

static enum outcome e1000_look(struct device *d)
{
	return get32((uintptr_t)rings + (d->count - 1) % 16 * 16 + 12) & 1 ? DONE : NOTHING;
}

/* ---- the devices -------------------------------------------------------------------------------
 */

static struct device devices[] = {
	{"virtio-blk", 0x10421af4, 0, true, virtio_start, virtio_move, virtio_look},
	{"ahci", 0, 0x010601, true, ahci_start, ahci_move, ahci_look},
	{"nvme", 0, 0x010802, true, nvme_start, nvme_move, nvme_look},
	{"virtio-net", 0x10411af4, 0, false, virtio_start, virtio_move, virtio_look},
	{"e1000", 0x100e8086, 0, false, e1000_start, e1000_move, e1000_look},
};
#define NDEVICES (sizeof(devices) / sizeof(devices[0]))

static void found(unsigned slot, unsigned function)
{
	uint32_t id = pci_read(slot, function, 0), class = pci_read(slot, function, 8) >> 8;

	for (struct device *d = devices; d < devices + NDEVICES; d++) {
		if (d->base || (d->id ? d->id != id : d->class != class))
			continue;
		d->slot = slot;
		d->function = function;
		if (d->id && (uint16_t)d->id == 0x1af4)
			virtio_find(d);
		else
			d->base = place(d, d->class == 0x010601 ? 5 : 0);
		return;
	}
}

static bool look_around(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++)
		if ((uint16_t)pci_read(i / 8, i % 8, 0) != 0xffff)
			found(i / 8, i % 8);
	for (unsigned i = 0; i < NDEVICES; i++) {
		n += devices[i].base != 0;
		if (devices[i].base)
			print("  %s at %u.%u\n", devices[i].name, devices[i].slot,
			      devices[i].function);
	}
	for (unsigned i = 0; i < KEPT_WORDS; i++)
		((volatile uint64_t *)KEPT)[i] = i * 0x9e3779b97f4a7c15;
	return expect("a device", n > 0, true);
}

/* ---- the attempts ------------------------------------------------------------------------------
 */

static const struct {
	const char *what;
	uint64_t at;
} targets[] = {
	{"beyond the RAM", RAM_END + 0x1000},
	{"far beyond it", 0x10000000},
	{"across its end", RAM_END - 256},
	{"the host bridge's window", 0xb0000000},
	{"the I/O APIC", 0xfec00000},
	{"the local APIC", 0xfee00000},
	{"the ROM", 0xffff0000},
	{"above 4 GiB", 0x100000000},
	{"at bit 40", 1ul << 40},
	{"at bit 51", 1ul << 51},
	{"no physical address", 1ul << 63},
	{"the last bytes of all", -512ul},
	{"across the last byte", -256ul},
};
#define NTARGETS (sizeof(targets) / sizeof(targets[0]))

static enum outcome wait(struct device *d, unsigned looks)
{
	enum outcome o = d->look(d);

	for (unsigned i = 0; i < looks && o == NOTHING; i++) {
		delay_us(50);
		o = d->look(d);
	}
	return o;
}

/* What must be as before, whatever a device was told. */
static uint64_t fingerprint(void)
{
	static const uint32_t registers[] = {0xfee00020, 0xfee00030, 0xfee000f0, 0xfec00000};
	uint64_t sum = 0;

	for (unsigned i = 0; i < KEPT_WORDS; i++)
		sum = sum * 31 + ((volatile uint64_t *)KEPT)[i];
	for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		sum = sum * 31 + get32(registers[i]);
	for (unsigned i = 0; i < NTARGETS; i++)
		if (targets[i].at == 0x10000000 || targets[i].at == 0xffff0000)
			sum = sum * 31 + get32(targets[i].at);
	return sum;
}

/* After all that it still works: what is written comes back. */
static bool works(struct device *d)
{
	bool good = true;

	d->start(d, (uintptr_t)rings);
	for (unsigned i = 0; i < BYTES; i++) {
		data[0][i] = (uint8_t)(i * 7 + d->slot);
		data[1][i] = 0;
	}
	d->move(d, DATA, false);
	good = expect("a good request is done", wait(d, PATIENCE), DONE);
	if (!d->disk || !good)
		return good;
	d->move(d, (uintptr_t)data[1], true);
	good = expect("a good request is done", wait(d, PATIENCE), DONE);
	for (unsigned i = 0; i < BYTES && good; i++)
		good = expect("what was written", data[1][i], data[0][i]);
	return good;
}

static bool all_work(void)
{
	bool good = true;

	for (struct device *d = devices; d < devices + NDEVICES; d++) {
		if (d->base && !works(d)) {
			print("  %s\n", d->name);
			good = false;
		}
	}
	return good;
}

typedef bool attempt_fn(struct device *d, uint64_t at);

static bool each(attempt_fn *attempt)
{
	uint64_t before = fingerprint();
	bool good = true;

	for (struct device *d = devices; d < devices + NDEVICES; d++) {
		for (unsigned i = 0; d->base && i < NTARGETS; i++) {
			bool one = attempt(d, targets[i].at);

			one &= expect("memory and registers are kept", fingerprint(), before);
			if (!one)
				print("  %s: %s\n", d->name, targets[i].what);
			good &= one;
		}
	}
	return good & all_work();
}

static bool data_at(struct device *d, uint64_t at)
{
	bool good = true;

	for (unsigned to_memory = 0; to_memory < (d->disk ? 2 : 1); to_memory++) {
		d->start(d, (uintptr_t)rings);
		d->move(d, at, to_memory);
		good &= expect("it is done", wait(d, IMPATIENCE) == DONE && d->disk, false);
	}
	return good;
}

static bool rings_at(struct device *d, uint64_t at)
{
	d->start(d, at & ~0xffful);
	d->move(d, DATA, true);
	return expect("it is done", wait(d, IMPATIENCE) == DONE, false);
}

/* ---- lists that do not end (virtio 1.2, 2.7.5)
 * ---------------------------------------------------- */

static bool descriptors_lie(void)
{
	static const uint32_t lies[] = {0x00000001, 0x00010001, 0xffff0001, 0x00100001, 0x00000004};
	bool good = true;

	for (struct device *d = devices; d < devices + NDEVICES; d++) {
		if (!d->base || d->start != virtio_start)
			continue;
		for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
			virtio_start(d, (uintptr_t)rings);
			virtio_move(d, DATA, false);
			wait(d, PATIENCE);
			put32((uintptr_t)rings + DESC + 16 + 12, lies[i]); /* flags, next */
			put32((uintptr_t)rings + DESC + 16 + 8, i % 2 ? ~0u : BYTES);
			put32((uintptr_t)rings + FRAME + 16, 0xff);
			put16((uintptr_t)rings + AVAIL + 6, (uint16_t)(i % 2 ? 1 : 0));
			put16((uintptr_t)rings + AVAIL + 2, (uint16_t)++d->count);
			put16(d->notify, d->disk ? 0 : 1);
			good &= expect("it is done", wait(d, IMPATIENCE) == DONE && d->disk, false);
		}
		good &= works(d);
	}
	return good;
}

static bool data_nowhere(void)
{
	return each(data_at);
}

static bool rings_nowhere(void)
{
	return each(rings_at);
}

const struct check checks[] = {
	{1, "devices that move data are found", look_around},
	{2, "they move data", all_work},
	{3, "no data to or from where there is no RAM", data_nowhere},
	{4, "no rings there", rings_nowhere},
	{5, "virtio 1.2, 2.7.5: descriptors that lie", descriptors_lie},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
