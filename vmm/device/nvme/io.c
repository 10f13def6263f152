/* SPDX-License-Identifier: Apache-2.0 */
/* NVM commands (chapter 6): read, write, flush, write zeroes, deallocation. */
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/device/nvme/nvme.h"

enum {
	NVM_FLUSH = 0x00,
	NVM_WRITE = 0x01,
	NVM_READ = 0x02,
	NVM_WRITE_ZEROES = 0x08,
	NVM_DATASET = 0x09,
};

#define RW_FUA          (1u << 30)
#define DATASET_DISCARD 4u /* dw11 */

static void submit(struct nvme_request *r, enum disk_op op, uint64_t lba, uint64_t blocks,
		   void (*then)(struct nvme_request *r, int rc));

static void io_done(struct disk_req *io, int rc)
{
	struct nvme_request *r = io->opaque;
	struct nvme *n = r->n;

	n->io_errors += rc != 0;
	if (!rc && io->op == DISK_READ) {
		n->read_bytes += io->len;
		sg_written(&r->sg, n->env.mem);
	} else if (!rc && io->op == DISK_WRITE) {
		n->written_bytes += io->len;
	}
	r->then(r, rc);
}

static void submit(struct nvme_request *r, enum disk_op op, uint64_t lba, uint64_t blocks,
		   void (*then)(struct nvme_request *r, int rc))
{
	struct nvme *n = r->n;

	n->reads += op == DISK_READ;
	n->writes += op == DISK_WRITE;
	n->flushes += op == DISK_FLUSH;
	r->then = then;
	r->io = (struct disk_req){.op = op,
				  .offset = lba * NVME_BLOCK,
				  .len = blocks * NVME_BLOCK,
				  .done = io_done,
				  .opaque = r};
	if (op == DISK_READ || op == DISK_WRITE) {
		r->io.iov = sg_iov(&r->sg);
		r->io.niov = r->sg.n;
	}
	disk_submit(n->disk, &r->io);
}

static void was_read(struct nvme_request *r, int rc)
{
	nvme_complete(r, rc ? NVME_READ_FAULT : NVME_OK, 0);
}

static void was_written(struct nvme_request *r, int rc)
{
	nvme_complete(r, rc ? NVME_WRITE_FAULT : NVME_OK, 0);
}

/* Force unit access: on the medium before the command ends. */
static void was_written_flush(struct nvme_request *r, int rc)
{
	if (rc) {
		was_written(r, rc);
		return;
	}
	submit(r, DISK_FLUSH, 0, 0, was_written);
	disk_kick(r->n->disk);
}

static uint64_t lba_of(const struct nvme_command *c)
{
	return c->dw10 | (uint64_t)c->dw11 << 32;
}

static bool range_in(const struct nvme *n, uint64_t lba, uint64_t blocks)
{
	return range_ok(lba, blocks, n->disk->size / NVME_BLOCK);
}

static void read_or_write(struct nvme_request *r)
{
	const struct nvme_command *c = &r->cmd;
	bool write = c->opcode == NVM_WRITE;
	uint64_t blocks = (c->dw12 & 0xffff) + 1, lba = lba_of(c);
	uint16_t status = NVME_OK;

	if (!range_in(r->n, lba, blocks))
		status = NVME_BAD_LBA;
	else if (blocks * NVME_BLOCK > (uint64_t)NVME_PAGE << NVME_MDTS)
		status = NVME_BAD_FIELD;
	else if (write && r->n->disk->readonly)
		status = NVME_READ_ONLY;
	else
		status = nvme_map(r, blocks * NVME_BLOCK, !write);
	if (status)
		nvme_complete(r, status, 0);
	else if (write)
		submit(r, DISK_WRITE, lba, blocks,
		       c->dw12 & RW_FUA ? was_written_flush : was_written);
	else
		submit(r, DISK_READ, lba, blocks, was_read);
}

static void flush(struct nvme_request *r)
{
	submit(r, DISK_FLUSH, 0, 0, was_written);
}

static void write_zeroes(struct nvme_request *r)
{
	uint64_t blocks = (r->cmd.dw12 & 0xffff) + 1, lba = lba_of(&r->cmd);

	if (r->n->disk->readonly)
		nvme_complete(r, NVME_READ_ONLY, 0);
	else if (!range_in(r->n, lba, blocks))
		nvme_complete(r, NVME_BAD_LBA, 0);
	else
		submit(r, DISK_WRITE_ZEROES, lba, blocks, was_written);
}

/* Figure 359: one range after the other, so that a command has one disk request at a time. */
struct dataset_range {
	uint32_t attributes, blocks;
	uint64_t lba;
};

static void discard_next(struct nvme_request *r, int rc)
{
	struct dataset_range range;

	if (rc) {
		was_written(r, rc);
		return;
	}
	while (sg_get(&r->sg, sizeof(range) * r->done, &range, sizeof(range)) == sizeof(range)) {
		r->done++;
		if (!range_in(r->n, range.lba, range.blocks)) {
			nvme_complete(r, NVME_BAD_LBA, 0);
			return;
		}
		if (!range.blocks)
			continue;
		submit(r, DISK_DISCARD, range.lba, range.blocks, discard_next);
		disk_kick(r->n->disk);
		return;
	}
	nvme_complete(r, NVME_OK, 0);
}

static void dataset(struct nvme_request *r)
{
	uint64_t len = ((r->cmd.dw10 & 0xff) + 1) * sizeof(struct dataset_range);
	uint16_t status = r->n->disk->readonly ? NVME_READ_ONLY : nvme_map(r, len, false);

	r->done = 0;
	if (status || !(r->cmd.dw11 & DATASET_DISCARD)) /* the rest are hints */
		nvme_complete(r, status, 0);
	else
		discard_next(r, 0);
}

static const struct {
	uint8_t opcode;
	void (*run)(struct nvme_request *r);
} commands[] = {
	{NVM_READ, read_or_write},        {NVM_WRITE, read_or_write}, {NVM_FLUSH, flush},
	{NVM_WRITE_ZEROES, write_zeroes}, {NVM_DATASET, dataset},
};

static bool names_all(const struct nvme_command *c)
{
	return c->opcode == NVM_FLUSH && c->nsid == UINT32_MAX;
}

void nvme_io(struct nvme_request *r)
{
	if (r->cmd.nsid != NVME_NSID && !names_all(&r->cmd)) {
		nvme_complete(r, NVME_BAD_NS, 0);
		return;
	}
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].opcode == r->cmd.opcode) {
			commands[i].run(r);
			return;
		}
	}
	nvme_complete(r, NVME_BAD_OPCODE, 0);
}
