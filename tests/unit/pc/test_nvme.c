/* SPDX-License-Identifier: Apache-2.0 */
/* A driver's view of the NVMe controller: start, queues, data of every shape, refusals, saves. */
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
#include "vmm/device/nvme/nvme.h"

#define DISK_SIZE (4 * MIB)
#define ENTRIES   8u

#define SQ(q) (0x10000 + 0x2000 * (q))
#define CQ(q) (0x11000 + 0x2000 * (q))
#define LISTS 0x40000
#define DATA  0x100000

static struct guest g;
static struct device *nvme;
static struct disk *disk;
static gpa_t bar;
static unsigned tail[2], head[2], phase[2];
static uint32_t last_result;

static void open_disk(void)
{
	char path[] = "/tmp/baton-nvme-XXXXXX", block[512];
	int fd = mkstemp(path);
	struct err e;

	assert_true(fd >= 0);
	for (unsigned i = 0; i < DISK_SIZE / sizeof(block); i++) {
		memset(block, 'a' + i % 26, sizeof(block));
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	}
	close(fd);
	pthread_mutex_lock(&g.lock);
	if (disk_open(&(struct disk_options){.path = path, .format = "raw"}, g.loop, &disk, &e))
		fail_msg("%s", e.text);
	pthread_mutex_unlock(&g.lock);
	unlink(path);
}

static uint32_t rd(unsigned reg)
{
	return (uint32_t)guest_read(&g, bar + reg, 4);
}

static void wr(unsigned reg, uint32_t val)
{
	guest_write(&g, bar + reg, 4, val);
}

static void start_controller(void)
{
	memset(guest_ptr(&g, SQ(0)), 0, 0x4000);
	memset(tail, 0, sizeof(tail));
	memset(head, 0, sizeof(head));
	phase[0] = phase[1] = 1;
	wr(0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	guest_write(&g, bar + 0x28, 8, SQ(0));
	guest_write(&g, bar + 0x30, 8, CQ(0));
	wr(0x14, 0x00460001);
	assert_int_equal(rd(0x1c), 1);
}

static void put(unsigned q, const struct nvme_command *c)
{
	memcpy(guest_ptr(&g, SQ(q) + 64 * tail[q]), c, sizeof(*c));
	tail[q] = (tail[q] + 1) % ENTRIES;
}

/* The next completion of queue q: its status, 0xffff if none comes. */
static unsigned wait(unsigned q, uint16_t *id)
{
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t e[4];

		memcpy(e, guest_ptr(&g, CQ(q) + 16 * head[q]), sizeof(e));
		if ((e[3] >> 16 & 1) == phase[q]) {
			last_result = e[0];
			*id = (uint16_t)e[3];
			head[q] = (head[q] + 1) % ENTRIES;
			phase[q] ^= !head[q];
			wr(0x1000 + 8 * q + 4, head[q]);
			return e[3] >> 17;
		}
		usleep(1000);
	}
	return 0xffff;
}

static unsigned run(unsigned q, struct nvme_command c)
{
	static uint16_t next;
	uint16_t id = 0;
	unsigned status;

	c.id = ++next;
	put(q, &c);
	wr(0x1000 + 8 * q, tail[q]);
	status = wait(q, &id);
	assert_int_equal(id, next);
	return status;
}

static void create_queues(void)
{
	assert_int_equal(run(0, (struct nvme_command){.opcode = 5,
						      .prp = {CQ(1)},
						      .dw10 = (ENTRIES - 1) << 16 | 1,
						      .dw11 = 1 << 16 | 3}),
			 0);
	assert_int_equal(run(0, (struct nvme_command){.opcode = 1,
						      .prp = {SQ(1)},
						      .dw10 = (ENTRIES - 1) << 16 | 1,
						      .dw11 = 1 << 16 | 1}),
			 0);
}

static int setup(void **state)
{
	struct device_conf conf = {.name = "nvme"};

	(void)state;
	guest_init(&g);
	open_disk();
	conf.backend = disk;
	nvme = guest_add(&g, &nvme_ops, &conf);
	bar = guest_cfg_read(&g, 1, PCI_REG_BAR0, 4) & ~15u;
	start_controller();
	create_queues();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, nvme);
	pthread_mutex_lock(&g.lock);
	disk_close(disk);
	pthread_mutex_unlock(&g.lock);
	guest_fini(&g);
	return 0;
}

static struct nvme_command rw(uint8_t opcode, uint64_t lba, unsigned blocks, gpa_t p1, gpa_t p2)
{
	return (struct nvme_command){.opcode = opcode,
				     .nsid = 1,
				     .prp = {p1, p2},
				     .dw10 = (uint32_t)lba,
				     .dw11 = (uint32_t)(lba >> 32),
				     .dw12 = blocks - 1};
}

static void identity(void **state)
{
	struct nvme_command c = {.opcode = 6, .nsid = 1, .prp = {DATA}, .dw10 = 1};
	const uint8_t *d = guest_ptr(&g, DATA);
	uint64_t blocks;

	(void)state;
	assert_int_equal(guest_cfg_read(&g, 1, 8, 4) >> 8, 0x010802);
	assert_int_equal(rd(8), 0x10400);
	assert_int_equal(rd(0) & 0xffff, NVME_ENTRIES - 1);
	assert_int_equal(run(0, c), 0);
	assert_memory_equal(d + 24, "Baton NVMe disk ", 16);
	assert_int_equal(d[80] | d[81] << 8 | d[82] << 16, 0x10400);
	c.dw10 = 0;
	assert_int_equal(run(0, c), 0);
	memcpy(&blocks, d, 8);
	assert_int_equal(blocks, DISK_SIZE / 512);
	c.dw10 = 2;
	c.nsid = 0;
	assert_int_equal(run(0, c), 0);
	assert_int_equal(d[0], 1);
	assert_int_equal(run(0, (struct nvme_command){.opcode = 9, .dw10 = 7, .dw11 = 0xff00ff}),
			 0);
	assert_int_equal(last_result, (NVME_IO_QUEUES - 1) << 16 | (NVME_IO_QUEUES - 1));
	assert_int_equal(
		run(0, (struct nvme_command){.opcode = 2, .prp = {DATA}, .dw10 = 127 << 16 | 2}),
		0);
}

/* One page, two pages, a list, a list that goes on in the next page. */
static void data_of_every_shape(void **state)
{
	uint64_t *list = guest_ptr(&g, LISTS + 0xff0);

	(void)state;
	assert_int_equal(run(1, rw(2, 3, 1, DATA + 0x204, 0)), 0);
	assert_int_equal(*(char *)guest_ptr(&g, DATA + 0x204), 'd');
	assert_int_equal(run(1, rw(2, 0, 16, DATA, DATA + 0x5000)), 0);
	assert_int_equal(*(char *)guest_ptr(&g, DATA + 0x5000), 'a' + 8);
	assert_int_equal(run(1, rw(2, 0, 8, DATA + 0x800, DATA + 0x6000)), 0);
	assert_int_equal(*(char *)guest_ptr(&g, DATA + 0x6000), 'a' + 4);
	list[0] = DATA + 0x10000;
	list[1] = LISTS + 0x2000; /* the last of the page: three pages are left */
	memcpy(guest_ptr(&g, LISTS + 0x2000),
	       (uint64_t[]){DATA + 0x20000, DATA + 0x30000, DATA + 0x40000}, 24);
	assert_int_equal(run(1, rw(2, 0, 40, DATA, LISTS + 0xff0)), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(*(char *)guest_ptr(&g, DATA + 0x10000 * (i + 1)),
				 'a' + 8 * (i + 1) % 26);
}

static void writes_stay(void **state)
{
	(void)state;
	memset(guest_ptr(&g, DATA), 'X', 1024);
	assert_int_equal(run(1, rw(1, 100, 2, DATA, 0)), 0);
	struct nvme_command fua = rw(1, 102, 1, DATA, 0);

	fua.dw12 |= 1u << 30;
	assert_int_equal(run(1, fua), 0);
	assert_int_equal(run(1, (struct nvme_command){.opcode = 0, .nsid = 1}), 0);
	guest_save_load(&g, nvme);
	assert_int_equal(run(1, rw(2, 102, 1, DATA + 0x1000, 0)), 0);
	assert_int_equal(*(char *)guest_ptr(&g, DATA + 0x11ff), 'X');
	assert_int_equal(run(1, rw(8, 100, 1, 0, 0)), 0);
	assert_int_equal(run(1, rw(2, 100, 2, DATA + 0x1000, 0)), 0);
	assert_int_equal(*(char *)guest_ptr(&g, DATA + 0x1000), 0);
	assert_int_equal(*(char *)guest_ptr(&g, DATA + 0x1200), 'X');
	memcpy(guest_ptr(&g, DATA), (uint32_t[]){0, 8, 96, 0, 0, 0, 0, 0}, 32);
	assert_int_equal(run(1,
			     (struct nvme_command){
				     .opcode = 9, .nsid = 1, .prp = {DATA}, .dw10 = 1, .dw11 = 4}),
			 0);
}

/* Eight entries hold seven completions: the eighth command waits until the host has made room. */
static void full_completion_queue(void **state)
{
	uint16_t id;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < ENTRIES - 1; i++) {
			struct nvme_command c = rw(2, i, 1, DATA + 0x1000 * i, 0);

			put(1, &c);
		}
		wr(0x1008, tail[1]);
		if (!round)
			usleep(20000);
	}
	for (unsigned i = 0; i < 2 * (ENTRIES - 1); i++)
		assert_int_equal(wait(1, &id), 0);
}

static void interrupts(void **state)
{
	unsigned gsi = PCI_INTX_GSI(1, 0);
	struct nvme_command c = rw(2, 0, 1, DATA, 0);
	uint16_t id;

	(void)state;
	put(1, &c);
	wr(0x1008, tail[1]);
	for (unsigned i = 0; i < 1000 && !g.line[gsi]; i++)
		usleep(1000);
	assert_true(g.line[gsi]);
	wr(0x0c, 2);
	assert_false(g.line[gsi]);
	wr(0x10, 2);
	assert_true(g.line[gsi]);
	assert_int_equal(wait(1, &id), 0);
	assert_false(g.line[gsi]);
}

static void refusals(void **state)
{
	const uint64_t blocks = DISK_SIZE / 512;
	const struct {
		unsigned q, status;
		struct nvme_command c;
	} rows[] = {
		{1, NVME_BAD_LBA, rw(2, blocks, 1, DATA, 0)},
		{1, NVME_BAD_LBA, rw(1, UINT64_MAX, 1, DATA, 0)},
		{1, NVME_BAD_FIELD, rw(2, 0, 2048, DATA, LISTS)},
		{1, NVME_BAD_PRP, rw(2, 0, 1, DATA + 2, 0)},
		{1, NVME_BAD_PRP, rw(2, 0, 16, DATA, DATA + 0x800)},
		{1, NVME_BAD_DATA, rw(2, 0, 1, 1ull << 40, 0)},
		{1, NVME_BAD_PRP, rw(2, 0, 32, DATA, 1ull << 40)},
		{1, NVME_BAD_OPCODE, rw(0x7f, 0, 1, DATA, 0)},
		{1, NVME_BAD_NS, {.opcode = 2, .nsid = 2}},
		{0, NVME_BAD_OPCODE, {.opcode = 0x7f}},
		{0, NVME_BAD_QID, {.opcode = 5, .dw10 = 7 << 16, .dw11 = 1}},
		{0, NVME_BAD_QID, {.opcode = 5, .dw10 = 7 << 16 | NVME_QUEUES, .dw11 = 1}},
		{0, NVME_BAD_SIZE, {.opcode = 5, .dw10 = 2, .dw11 = 1}},
		{0, NVME_BAD_VECTOR, {.opcode = 5, .dw10 = 7 << 16 | 2, .dw11 = 99u << 16 | 1}},
		{0, NVME_BAD_CQ, {.opcode = 1, .dw10 = 7 << 16 | 2, .dw11 = 5 << 16 | 1}},
		{0, NVME_QUEUE_IN_USE, {.opcode = 4, .dw10 = 1}},
		{0, NVME_BAD_LOG, {.opcode = 2, .dw10 = 0x77}},
		{0, NVME_BAD_FIELD, {.opcode = 6, .dw10 = 0x55}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(run(rows[i].q, rows[i].c), rows[i].status);
	assert_int_equal(run(0, (struct nvme_command){.opcode = 0, .dw10 = 1}), 0);
	assert_int_equal(run(0, (struct nvme_command){.opcode = 4, .dw10 = 1}), 0);
	wr(0x1008, 3); /* of a queue that is gone */
	wr(0x1000, 99);
}

static void stop_and_start(void **state)
{
	struct nvme_command event = {.opcode = 0x0c};

	(void)state;
	for (unsigned i = 0; i < NVME_EVENTS; i++)
		put(0, &event);
	wr(0x1000, tail[0]);
	assert_int_equal(run(0, event), NVME_TOO_MANY);
	wr(0x14, 0x00460001 | 1 << 14);
	assert_int_equal(rd(0x1c), 9);
	wr(0x14, 0);
	assert_int_equal(rd(0x1c), 0);
	start_controller();
	create_queues();
	assert_int_equal(run(1, rw(2, 1, 1, DATA, 0)), 0);
	wr(0x14, 0);
	wr(0x14, 0x00460081); /* pages of 8 KiB */
	assert_int_equal(rd(0x1c) & 2, 2);
	wr(0x14, 0);
	assert_int_equal(rd(0x1c), 0);
}

static void made_up_states(void **state)
{
	struct nvme_hw *hw = nvme->ops->hw(nvme), good = *hw;
	struct err e;

	(void)state;
	hw->sq_tail[1] = ENTRIES;
	assert_int_not_equal(nvme->ops->loaded(nvme, &e), 0);
	*hw = good;
	hw->sq_cq[1] = NVME_QUEUES;
	assert_int_not_equal(nvme->ops->loaded(nvme, &e), 0);
	*hw = good;
	hw->sq_cq[1] = 5; /* a queue that is not there */
	assert_int_not_equal(nvme->ops->loaded(nvme, &e), 0);
	*hw = good;
	hw->cq_vector[1] = 99;
	assert_int_not_equal(nvme->ops->loaded(nvme, &e), 0);
	*hw = good;
	hw->cq_size[1] = UINT32_MAX;
	assert_int_not_equal(nvme->ops->loaded(nvme, &e), 0);
	*hw = good;
	hw->pci.cfg[0] ^= 1;
	assert_int_not_equal(nvme->ops->loaded(nvme, &e), 0);
	*hw = good;
	assert_int_equal(nvme->ops->loaded(nvme, &e), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),       TEST(data_of_every_shape),
		TEST(writes_stay),    TEST(full_completion_queue),
		TEST(interrupts),     TEST(refusals),
		TEST(stop_and_start), TEST(made_up_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
