/* SPDX-License-Identifier: Apache-2.0 */
/* A driver's view of the SATA controller: disk commands, queues, errors, the CD-ROM's packets. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/num.h"
#include "tests/unit/virtio/guest.h"
#include "vmm/backend/disk.h"
#include "vmm/device/ahci/ahci.h"

#define DISK_SIZE (1 * MIB)
#define HARDDISK  0
#define CDROM     1

#define LIST(p)  (0x10000 + 0x1000 * (p)) /* command lists; received FISes behind them */
#define FISES(p) (LIST(p) + 0x400)
#define TABLE    0x20000
#define DATA     0x30000

static struct guest g;
static struct device *ahci;
static struct disk *disk, *disc, *other;
static gpa_t abar;

static struct disk *open_image(char fill, bool readonly)
{
	char path[] = "/tmp/baton-ahci-XXXXXX", sector[512];
	int fd = mkstemp(path);
	struct err e;
	struct disk *d;

	assert_true(fd >= 0);
	for (unsigned i = 0; i < DISK_SIZE / sizeof(sector); i++) {
		memset(sector, fill + i % 16, sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
	if (disk_open(&(struct disk_options){.path = path, .format = "raw", .readonly = readonly},
		      g.loop, &d, &e))
		fail_msg("%s", e.text);
	unlink(path);
	return d;
}

static uint32_t cfg(unsigned reg)
{
	return (uint32_t)guest_read(&g, PCI_ECAM_BASE + (31 << 15 | 2 << 12) + reg, 4);
}

static uint32_t rd(unsigned p, unsigned reg)
{
	return (uint32_t)guest_read(&g, abar + 0x100 + 0x80 * p + reg, 4);
}

static void wr(unsigned p, unsigned reg, uint32_t val)
{
	guest_write(&g, abar + 0x100 + 0x80 * p + reg, 4, val);
}

static void start_port(unsigned p)
{
	wr(p, 0x00, LIST(p));
	wr(p, 0x08, FISES(p));
	wr(p, 0x30, 0xffffffff);
	wr(p, 0x14, 0x7dc000ff);
	wr(p, 0x18, 0x11);
}

static int setup(void **state)
{
	struct ahci_setup s = {0};
	struct device_conf conf = {.name = "ahci", .backend = &s};

	(void)state;
	guest_init(&g);
	pthread_mutex_lock(&g.lock);
	disk = open_image('0', false);
	disc = open_image('a', true);
	other = open_image('A', true);
	pthread_mutex_unlock(&g.lock);
	s.drive[HARDDISK] = (struct ahci_drive){true, false, disk};
	s.drive[CDROM] = (struct ahci_drive){true, true, disc};
	ahci = guest_add(&g, &ahci_ops, &conf);
	abar = cfg(0x24) & ~15u;
	guest_write(&g, abar + 4, 4, 0x80000002);
	start_port(HARDDISK);
	start_port(CDROM);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, ahci);
	pthread_mutex_lock(&g.lock);
	disk_close(disk);
	disk_close(disc);
	disk_close(other);
	pthread_mutex_unlock(&g.lock);
	guest_fini(&g);
	return 0;
}

/* ---- commands -------------------------------------------------------------------------------- */

struct request {
	uint8_t command, feature, count, device;
	uint64_t lba;
	const uint8_t *packet; /* 12 bytes */
	bool write;
	uint32_t len; /* of the data, in two pieces */
};

static void put32(gpa_t at, uint32_t val)
{
	memcpy(guest_ptr(&g, at), &val, 4);
}

static void build(unsigned p, unsigned slot, const struct request *r)
{
	gpa_t header = LIST(p) + 32 * slot, table = TABLE + 0x200 * slot;
	uint32_t first = r->len > 512 ? 512 : r->len, pieces = r->len > 512 ? 2 : r->len ? 1 : 0;
	uint8_t *fis = guest_ptr(&g, table);

	memset(fis, 0, 0x100);
	fis[0] = 0x27;
	fis[1] = 0x80;
	fis[2] = r->command;
	fis[3] = r->feature;
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(r->lba >> 8 * i);
		fis[8 + i] = (uint8_t)(r->lba >> 8 * (i + 3));
	}
	fis[7] = r->device ? r->device : 0x40;
	fis[12] = r->count;
	if (r->packet)
		memcpy(fis + 0x40, r->packet, 12);
	put32(table + 0x80, DATA);
	put32(table + 0x84, 0);
	put32(table + 0x8c, first - 1);
	put32(table + 0x90, DATA + 0x1000);
	put32(table + 0x94, 0);
	put32(table + 0x9c, r->len - first - 1);
	put32(header, pieces << 16 | (r->write ? 0x40 : 0) | (r->packet ? 0x20 : 0) | 5);
	put32(header + 4, 0xdeadbeef);
	put32(header + 8, (uint32_t)table);
	put32(header + 12, 0);
}

/* Waits until the bits of `reg` are clear; the disk answers on the loop's thread. */
static void wait_clear(unsigned p, unsigned reg, uint32_t bits)
{
	for (unsigned i = 0; i < 5000 && (rd(p, reg) & bits); i++)
		usleep(1000);
	assert_int_equal(rd(p, reg) & bits, 0);
}

/* Runs one request in slot 3; returns the task file. */
static uint32_t run(unsigned p, const struct request *r)
{
	build(p, 3, r);
	wr(p, 0x10, 0xffffffff);
	wr(p, 0x38, 1 << 3);
	for (unsigned i = 0; i < 5000 && (rd(p, 0x38) & 8) && !(rd(p, 0x10) & 1u << 30); i++)
		usleep(1000);
	return rd(p, 0x20);
}

static uint32_t moved(unsigned p)
{
	uint32_t n;

	memcpy(&n, guest_ptr(&g, LIST(p) + 32 * 3 + 4), 4);
	return n;
}

static const uint8_t *data(unsigned off)
{
	return guest_ptr(&g, off < 512 ? DATA + off : DATA + 0x1000 + off - 512);
}

/* After an error the driver stops the port and starts it again. */
static void restart(unsigned p)
{
	wr(p, 0x18, 0x10);
	assert_int_equal(rd(p, 0x38), 0);
	wr(p, 0x18, 0x11);
}

/* ---- the disk -------------------------------------------------------------------------------- */

static void registers(void **state)
{
	(void)state;
	assert_int_equal(cfg(0), 0x29228086);
	assert_int_equal(cfg(8) >> 8, 0x010601);
	assert_int_equal(guest_read(&g, abar + 0x0c, 4), 3);
	assert_int_equal(guest_read(&g, abar + 0x10, 4), 0x10300);
	assert_int_equal(rd(HARDDISK, 0x28), 0x133);
	assert_int_equal(rd(HARDDISK, 0x24), 0x00000101);
	assert_int_equal(rd(CDROM, 0x24), 0xeb140101);
	assert_int_equal(rd(2, 0x28), 0);
	assert_int_equal(rd(HARDDISK, 0x18) & 0xc011, 0xc011);
}

static void identify(void **state)
{
	struct request r = {.command = 0xec, .len = 512};
	uint64_t sectors;

	(void)state;
	assert_int_equal(run(HARDDISK, &r), 0x50);
	assert_int_equal(moved(HARDDISK), 512);
	assert_memory_equal(data(54), "ABOT NAHDRIDKS", 14);
	memcpy(&sectors, data(200), 8);
	assert_int_equal(sectors, DISK_SIZE / 512);
	assert_true(g.line[PCI_INTX_GSI(31, 0)]);
	wr(HARDDISK, 0x10, 0xffffffff);
	guest_write(&g, abar + 8, 4, 0xffffffff);
	assert_false(g.line[PCI_INTX_GSI(31, 0)]);
}

static void reads_and_writes(void **state)
{
	struct request rd48 = {.command = 0x25, .count = 2, .lba = 5, .len = 1024};
	struct request wr48 = {.command = 0x35, .count = 2, .lba = 5, .len = 1024, .write = true};

	(void)state;
	assert_int_equal(run(HARDDISK, &rd48), 0x50);
	assert_int_equal(data(0)[0], '5');
	assert_int_equal(data(1023)[0], '6');
	memset(guest_ptr(&g, DATA), 'x', 512);
	memset(guest_ptr(&g, DATA + 0x1000), 'y', 512);
	assert_int_equal(run(HARDDISK, &wr48), 0x50);
	assert_int_equal(run(HARDDISK, &(struct request){.command = 0xea}), 0x50);
	guest_save_load(&g, ahci);
	memset(guest_ptr(&g, DATA), 0, 512);
	rd48.command = 0xc8; /* 28 bits */
	assert_int_equal(run(HARDDISK, &rd48), 0x50);
	assert_int_equal(data(0)[0], 'x');
	assert_int_equal(data(512)[0], 'y');
}

/* A piece for each sector: more than one system call takes. */
static void many_pieces(void **state)
{
	const unsigned n = DISK_SIZE / 512, table = 0x80000, at = 0x100000;
	struct request r = {.command = 0x25};

	(void)state;
	build(HARDDISK, 3, &r);
	memcpy(guest_ptr(&g, table), guest_ptr(&g, TABLE + 0x200 * 3), 0x40);
	*(uint8_t *)guest_ptr(&g, table + 13) = n >> 8;
	for (unsigned i = 0; i < n; i++) {
		put32(table + 0x80 + 16 * i, at + 1024 * i);
		put32(table + 0x84 + 16 * i, 0);
		put32(table + 0x8c + 16 * i, 511);
	}
	put32(LIST(HARDDISK) + 32 * 3, n << 16 | 5);
	put32(LIST(HARDDISK) + 32 * 3 + 8, table);
	wr(HARDDISK, 0x38, 1 << 3);
	wait_clear(HARDDISK, 0x38, 1 << 3);
	assert_int_equal(rd(HARDDISK, 0x20), 0x50);
	assert_int_equal(moved(HARDDISK), DISK_SIZE);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(*(uint8_t *)guest_ptr(&g, at + 1024 * i), '0' + i % 16);
}

static void queued_commands(void **state)
{
	struct request a = {.command = 0x60, .feature = 1, .count = 3 << 3, .lba = 7, .len = 512};
	struct request b = {.command = 0x60, .feature = 1, .count = 9 << 3, .lba = 8, .len = 512};

	(void)state;
	build(HARDDISK, 3, &a);
	build(HARDDISK, 9, &b);
	put32(TABLE + 0x200 * 9 + 0x80, DATA + 0x2000);
	wr(HARDDISK, 0x34, 1 << 3 | 1 << 9);
	wr(HARDDISK, 0x38, 1 << 3 | 1 << 9);
	wait_clear(HARDDISK, 0x34, UINT32_MAX);
	assert_int_equal(rd(HARDDISK, 0x38), 0);
	assert_int_equal(rd(HARDDISK, 0x10) & 8, 8);
	assert_int_equal(*(uint8_t *)guest_ptr(&g, DATA), '7');
	assert_int_equal(*(uint8_t *)guest_ptr(&g, DATA + 0x2000), '8');
	assert_int_equal(*(uint8_t *)guest_ptr(&g, FISES(HARDDISK) + 0x58), 0xa1);
}

/* A queued command that fails halts the port and leaves its tag in log 10h. */
static void queued_failure(void **state)
{
	struct request bad = {.command = 0x60, .feature = 1, .count = 3 << 3, .len = 512};
	struct request log = {.command = 0x2f, .count = 1, .lba = 0x10, .len = 512};

	(void)state;
	bad.lba = DISK_SIZE / 512;
	wr(HARDDISK, 0x34, 1 << 3);
	assert_int_equal(run(HARDDISK, &bad) & 0xff01, 0x1001);
	assert_int_equal(rd(HARDDISK, 0x34), 1 << 3);
	wr(HARDDISK, 0x38, 1 << 4); /* nothing runs until it is restarted */
	assert_int_equal(rd(HARDDISK, 0x38) & 1 << 4, 1 << 4);
	restart(HARDDISK);
	assert_int_equal(run(HARDDISK, &log), 0x50);
	assert_int_equal(data(0)[0], 3);
	assert_int_equal(data(3)[0], 0x10);
	assert_int_equal(data(4)[0] | data(5)[0] << 8, DISK_SIZE / 512);
}

static void refusals(void **state)
{
	static const struct {
		struct request r;
		uint8_t error;
	} rows[] = {
		{{.command = 0x25, .count = 2, .lba = DISK_SIZE / 512 - 1, .len = 1024}, 0x10},
		{{.command = 0x25, .count = 2, .lba = 0xffffffffffff, .len = 1024}, 0x10},
		{{.command = 0x25, .count = 2, .len = 512}, 0x04}, /* too little room */
		{{.command = 0x25, .count = 1, .len = 512, .write = true}, 0x04}, /* wrong way */
		{{.command = 0xa0, .len = 512}, 0x04},                            /* no CD-ROM */
		{{.command = 0xf5}, 0x04},
		{{.command = 0x2f, .count = 1, .lba = 0x30, .len = 512}, 0x04},
		{{.command = 0xc6, .count = 3}, 0x04},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(run(HARDDISK, &rows[i].r) & 0xff01, rows[i].error << 8 | 1);
		assert_int_equal(rd(HARDDISK, 0x10) >> 30 & 1, 1);
		restart(HARDDISK);
	}
	/* Data where there is no RAM matters to commands with data only. */
	build(HARDDISK, 3, &rows[3].r);
	put32(TABLE + 0x200 * 3 + 0x84, 0x10);
	wr(HARDDISK, 0x38, 1 << 3);
	assert_int_equal(rd(HARDDISK, 0x20) & 1, 1);
	restart(HARDDISK);
	build(HARDDISK, 3, &(struct request){.command = 0xe5, .len = 512});
	put32(TABLE + 0x200 * 3 + 0x84, 0x10);
	wr(HARDDISK, 0x38, 1 << 3);
	assert_int_equal(rd(HARDDISK, 0x20), 0x50);
	/* Tables and lists where there is no RAM. */
	build(HARDDISK, 3, &rows[0].r);
	put32(LIST(HARDDISK) + 32 * 3 + 12, 0x10);
	wr(HARDDISK, 0x38, 1 << 3);
	assert_int_equal(rd(HARDDISK, 0x20) & 1, 1);
	restart(HARDDISK);
	wr(HARDDISK, 0x04, 0xffffffff);
	wr(HARDDISK, 0x38, 1);
	assert_int_equal(rd(HARDDISK, 0x20) & 1, 1);
}

static void resets(void **state)
{
	(void)state;
	wr(HARDDISK, 0x2c, 1);
	wr(HARDDISK, 0x2c, 0);
	assert_int_equal(rd(HARDDISK, 0x20), 0x150);
	assert_int_equal(rd(HARDDISK, 0x30), 1u << 26);
	guest_write(&g, abar + 4, 4, 1);
	assert_int_equal(guest_read(&g, abar + 4, 4), 0x80000000);
	assert_int_equal(rd(HARDDISK, 0x18) & 0xc011, 0);
	assert_int_equal(rd(HARDDISK, 0x24), 0x00000101);
}

/* ---- the CD-ROM ------------------------------------------------------------------------------ */

static uint32_t packet(const uint8_t p[12], uint32_t len)
{
	uint32_t tfd = run(CDROM, &(struct request){.command = 0xa0, .packet = p, .len = len});

	if (tfd & 1)
		restart(CDROM);
	return tfd;
}

#define PACKET(len, ...) packet((const uint8_t[12]){__VA_ARGS__}, (len))

/* Key and additional code of the last error. */
static unsigned sense(void)
{
	assert_int_equal(PACKET(18, 0x03, 0, 0, 0, 18), 0x50);
	return (unsigned)data(2)[0] << 8 | data(12)[0];
}

static void cdrom_reads(void **state)
{
	(void)state;
	assert_int_equal(run(CDROM, &(struct request){.command = 0xa1, .len = 512}), 0x50);
	assert_int_equal(PACKET(36, 0x12, 0, 0, 0, 36), 0x50);
	assert_int_equal(data(0)[0], 5);
	assert_int_equal(PACKET(8, 0x25), 0x50);
	assert_memory_equal(data(0), "\0\0\x01\xff\0\0\x08\0", 8);
	assert_int_equal(PACKET(2048, 0x28, 0, 0, 0, 0, 3, 0, 0, 1), 0x50);
	assert_int_equal(moved(CDROM), 2048);
	assert_int_equal(data(0)[0], 'a' + 12);
	assert_int_equal(PACKET(100, 0x28, 0, 0, 0, 0, 1, 0, 0, 1), 0x50); /* a short buffer */
	assert_int_equal(moved(CDROM), 100);
	assert_int_equal(data(0)[0], 'a' + 4);
	assert_int_equal(PACKET(20, 0x43, 0, 0, 0, 0, 0, 0, 0, 20), 0x50);
	assert_int_equal(moved(CDROM), 20);
	assert_int_equal(PACKET(2048, 0x28, 0, 0, 0, 0xff, 0, 0, 0, 1) & 0xff01, 0x5401);
	assert_int_equal(sense(), 0x521);
	assert_int_equal(PACKET(64, 0xf0) & 0xff01, 0x5401);
	assert_int_equal(sense(), 0x520);
}

static int change(struct disk *d, bool force)
{
	struct err e;
	int rc;

	pthread_mutex_lock(&g.lock);
	rc = ahci_change_disc(ahci, CDROM, d, force, &e);
	pthread_mutex_unlock(&g.lock);
	return rc;
}

static void discs_change(void **state)
{
	(void)state;
	assert_int_equal(change(NULL, false), 0);
	assert_int_equal(PACKET(0, 0x00) & 0xff01, 0x2401);
	assert_int_equal(sense(), 0x23a);
	assert_int_equal(change(other, false), 0);
	guest_save_load(&g, ahci);
	start_port(CDROM);
	assert_int_equal(PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0x50);
	assert_int_equal(data(4)[0], 2); /* a new disc */
	assert_int_equal(PACKET(0, 0x00) & 0xff01, 0x6401);
	assert_int_equal(sense(), 0x628);
	assert_int_equal(PACKET(2048, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0x50);
	assert_int_equal(data(0)[0], 'A');
	/* The guest holds the tray. */
	assert_int_equal(PACKET(0, 0x1e, 0, 0, 0, 1), 0x50);
	assert_int_equal(change(disc, false), -16);
	assert_int_equal(PACKET(0, 0x1b, 0, 0, 0, 2) & 0xff01, 0x5401);
	assert_int_equal(change(disc, true), 0);
	/* The guest opens the tray itself. */
	assert_int_equal(PACKET(0, 0x00) & 0xff01, 0x6401);
	assert_int_equal(PACKET(0, 0x1b, 0, 0, 0, 2), 0x50);
	assert_int_equal(PACKET(0, 0x00) & 0xff01, 0x2401);
	assert_int_equal(change(disk, false) == 0 ? 0 : -1, 0);
	assert_int_equal(change(NULL, false), 0);
}

static void made_up_states(void **state)
{
	uint8_t *hw = ahci->ops->hw(ahci), good[4096];
	size_t size = ahci->ops->state->size;
	struct err e;

	(void)state;
	assert_true(size <= sizeof(good));
	memcpy(good, hw, size);
	for (unsigned i = 0; i < 200; i++) {
		srand(i);
		for (size_t b = 0; b < size; b++)
			hw[b] = (uint8_t)rand();
		assert_int_not_equal(ahci->ops->loaded(ahci, &e), 0); /* PCI identity at least */
		memcpy(hw, good, size);
	}
	assert_int_equal(ahci->ops->loaded(ahci, &e), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers),    TEST(identify),        TEST(reads_and_writes),
		TEST(many_pieces),  TEST(queued_commands), TEST(queued_failure),
		TEST(refusals),     TEST(resets),          TEST(cdrom_reads),
		TEST(discs_change), TEST(made_up_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
