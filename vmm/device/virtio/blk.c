/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio block device. Requests go to the disk with the guest's own buffers and may complete in any
 * order; one interrupt tells of a whole batch. (Virtio 1.2 section 5.2.)
 */
#include "vmm/device/virtio/models.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "vmm/backend/disk.h"
#include "vmm/device/virtio/virtio.h"

#define QUEUE_SIZE 256
#define SECTOR     512u
#define SEG_MAX    128
#define NOPS       (DISK_WRITE_ZEROES + 1)
#define ID_LEN     20

#define F_SEG_MAX      (1ull << 2)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13
};
enum {
	S_OK = 0,
	S_IOERR = 1,
	S_UNSUPP = 2
};

#define MAX_DISCARD 0x400000u /* sectors: 2 GiB */
#define MAX_ZEROES  0x10000u  /* sectors: 32 MiB, which may have to be written out */
#define RANGE_UNMAP 1u

struct request_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

/* Section 5.2.4. */
struct blk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_exp, alignment;
	uint16_t min_io;
	uint32_t opt_io;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_alignment;
	uint32_t max_wz_sectors, max_wz_seg;
	uint8_t wz_may_unmap, unused1[3];
} __attribute__((packed));

_Static_assert(sizeof(struct blk_config) == 60, "layout of section 5.2.4");

struct blk_request {
	struct virtq_elem el;
	struct disk_req io;
	struct blk *blk;
	struct blk_request *next; /* free list */
};

struct blk_hw {
	struct virtio_hw v;
};

struct blk {
	struct virtio_dev v;
	struct blk_hw hw;
	struct disk *disk;
	struct blk_request *requests; /* QUEUE_SIZE of them: never more are in flight */
	struct blk_request *free;     /* most recently used first: few are ever touched */
	unsigned fresh;               /* index of the first that was never used */
	char serial[ID_LEN + 1];
	uint64_t done[NOPS], bytes[NOPS], io_errors; /* requests completed, by enum disk_op */
};

static void config_read(struct virtio_dev *v, uint8_t *config)
{
	const struct blk *b = (const struct blk *)v;
	struct blk_config c = {
		.capacity = b->disk->size / SECTOR,
		.seg_max = SEG_MAX,
		.blk_size = SECTOR,
		.max_discard_sectors = MAX_DISCARD,
		.max_discard_seg = 1,
		.discard_alignment = 8,
		.max_wz_sectors = MAX_ZEROES,
		.max_wz_seg = 1,
		.wz_may_unmap = 1,
	};

	memcpy(config, &c, sizeof(c));
}

static struct virtqueue *queue(struct blk *b)
{
	return &b->v.q[0];
}

static void put_request(struct blk_request *r)
{
	r->next = r->blk->free;
	r->blk->free = r;
}

/* The last byte the device may write takes the status (section 5.2.6). */
static void finish(struct blk_request *r, uint8_t status, uint64_t written)
{
	struct blk *b = r->blk;
	struct virtq_elem *el = &r->el;
	unsigned last = el->nout + el->nin - 1;
	gpa_t at = el->gpa[last] + el->len[last] - 1;

	mem_write(b->v.env.mem, at, &status, 1);
	virtq_push(queue(b), el, (uint32_t)written + 1);
	put_request(r);
}

static void io_done(struct disk_req *io, int rc)
{
	struct blk_request *r = io->opaque;
	struct blk *b = r->blk;

	b->done[io->op]++;
	b->bytes[io->op] += io->len;
	b->io_errors += rc != 0;
	if (rc)
		finish(r, rc == -EOPNOTSUPP ? S_UNSUPP : S_IOERR, 0);
	else
		finish(r, S_OK, io->op == DISK_READ ? io->len : 0);
}

static void batch_done(void *opaque)
{
	struct blk *b = opaque;

	virtq_signal(queue(b));
}

static void submit(struct blk_request *r, enum disk_op op, uint64_t offset, uint64_t len)
{
	r->io.op = op;
	r->io.offset = offset;
	r->io.len = len;
	disk_submit(r->blk->disk, &r->io);
}

static void refuse(struct blk_request *r, uint8_t status, const char *why)
{
	log_guest_error(&r->blk->v.guest_errors, "virtio-blk: request refused: %s", why);
	finish(r, status, 0);
}

static bool sectors_ok(const struct blk *b, uint64_t sector, uint64_t len)
{
	return len % SECTOR == 0 && sector <= b->disk->size / SECTOR &&
	       range_ok(sector * SECTOR, len, b->disk->size);
}

static void read_or_write(struct blk_request *r, const struct request_header *h)
{
	struct blk *b = r->blk;
	struct virtq_elem *el = &r->el;
	bool write = h->type == T_OUT;
	uint64_t len = write ? el->out_len - sizeof(*h) : el->in_len - 1;

	if (write && b->disk->readonly) {
		refuse(r, S_IOERR, "write to a read-only disk");
		return;
	}
	if (!sectors_ok(b, h->sector, len)) {
		refuse(r, S_IOERR, "outside the disk, or not in whole sectors");
		return;
	}
	if (write) {
		r->io.niov = el->nout;
		r->io.iov = iov_skip(el->iov, &r->io.niov, sizeof(*h));
	} else {
		r->io.niov = el->nin;
		r->io.iov = virtq_in(el);
		r->io.iov[el->nin - 1].iov_len--; /* the status byte */
	}
	submit(r, write ? DISK_WRITE : DISK_READ, h->sector * SECTOR, len);
}

static void flush(struct blk_request *r, const struct request_header *h)
{
	(void)h;
	submit(r, DISK_FLUSH, 0, 0);
}

static void get_id(struct blk_request *r, const struct request_header *h)
{
	uint64_t room = r->el.in_len - 1;
	char id[ID_LEN] = {0};

	(void)h;
	memcpy(id, r->blk->serial, strlen(r->blk->serial));
	if (room > sizeof(id))
		room = sizeof(id);
	finish(r, S_OK, iov_write(virtq_in(&r->el), r->el.nin, 0, id, room));
}

/* Sections 5.2.6.1 and 5.2.6.2: one range a request, as the configuration says. */
static void discard_or_zero(struct blk_request *r, const struct request_header *h)
{
	struct blk *b = r->blk;
	bool zero = h->type == T_WRITE_ZEROES;
	struct range range;

	if (b->disk->readonly) {
		refuse(r, S_IOERR, "discard on a read-only disk");
		return;
	}
	if (r->el.out_len != sizeof(*h) + sizeof(range)) {
		refuse(r, S_UNSUPP, "discard of more than one range");
		return;
	}
	iov_read(r->el.iov, r->el.nout, sizeof(*h), &range, sizeof(range));
	if (range.flags & ~(zero ? RANGE_UNMAP : 0u)) {
		refuse(r, S_UNSUPP, "discard with unknown flags");
		return;
	}
	if (range.sectors > (zero ? MAX_ZEROES : MAX_DISCARD) ||
	    !sectors_ok(b, range.sector, (uint64_t)range.sectors * SECTOR)) {
		refuse(r, S_IOERR, "discard outside the disk");
		return;
	}
	submit(r, zero ? DISK_WRITE_ZEROES : DISK_DISCARD, range.sector * SECTOR,
	       (uint64_t)range.sectors * SECTOR);
}

static const struct {
	uint32_t type;
	void (*run)(struct blk_request *r, const struct request_header *h);
} commands[] = {
	{T_IN, read_or_write}, {T_OUT, read_or_write},       {T_FLUSH, flush},
	{T_GET_ID, get_id},    {T_DISCARD, discard_or_zero}, {T_WRITE_ZEROES, discard_or_zero},
};

static void start(struct blk_request *r)
{
	struct request_header h;

	iov_read(r->el.iov, r->el.nout, 0, &h, sizeof(h));
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].type == h.type) {
			commands[i].run(r, &h);
			return;
		}
	}
	finish(r, S_UNSUPP, 0);
}

static struct blk_request *get_request(struct blk *b)
{
	struct blk_request *r = b->free;

	if (r) {
		b->free = r->next;
	} else if (b->fresh < QUEUE_SIZE) {
		r = &b->requests[b->fresh++];
		r->blk = b;
		r->io.opaque = r;
		r->io.done = io_done;
	}
	return r;
}

static bool take(struct blk *b, struct blk_request *r)
{
	const struct virtq_elem *el = &r->el;

	if (!virtq_pop(queue(b), &r->el))
		return false;
	if (el->out_len >= sizeof(struct request_header) && el->in_len &&
	    el->len[el->nout + el->nin - 1])
		return true;
	virtio_broken(&b->v, "request without room for header or status");
	return false;
}

/* One look at the queue takes at most what it can hold, so that a guest cannot keep us here. */
static void notify(struct virtio_dev *v, unsigned index)
{
	struct blk *b = (struct blk *)v;
	unsigned budget = QUEUE_SIZE;
	struct blk_request *r = NULL;

	for (; budget && (r = get_request(b)); budget--) {
		if (!take(b, r)) {
			put_request(r);
			break;
		}
		start(r);
	}
	disk_kick(b->disk);
	virtq_signal(queue(b));
	if (!budget || !r)
		virtio_requeue(v, index);
}

static void reset(struct virtio_dev *v)
{
	disk_drain(((struct blk *)v)->disk);
}

static const struct virtio_type type = {
	.name = "virtio-blk",
	.id = 2,
	.class_code = 0x010000, /* SCSI controller: mass storage of no particular kind */
	.nqueues = 1,
	.queue_size = {QUEUE_SIZE},
	.config_size = sizeof(struct blk_config),
	.config_read = config_read,
	.notify = notify,
	.reset = reset,
};

void virtio_blk_grown(struct device *d)
{
	virtio_config_changed((struct virtio_dev *)d);
}

static void blk_destroy(struct device *d)
{
	struct blk *b = (struct blk *)d;

	virtio_unplug(&b->v);
	b->disk->batch_done = NULL;
	free(b->requests);
	free(b);
}

static int blk_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct disk *disk = conf->backend;
	struct blk *b;
	int rc;

	if (!disk)
		return err_set(e, -EINVAL, "virtio-blk: it needs a disk; use --disk FILE");
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, -ENOMEM, "virtio-blk: out of memory");
	b->requests = calloc(QUEUE_SIZE, sizeof(*b->requests));
	if (!b->requests) {
		free(b);
		return err_set(e, -ENOMEM, "virtio-blk: out of memory");
	}
	b->disk = disk;
	disk->batch_done = batch_done;
	disk->batch_opaque = b;
	strncpy(b->serial, device_conf_str(conf, "serial", disk->id), ID_LEN);
	b->v.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH;
	b->v.features |= disk->readonly ? F_RO : F_WRITE_ZEROES;
	if (disk->can_discard && !disk->readonly)
		b->v.features |= F_DISCARD;
	rc = virtio_plug(&b->v, &type, &b->hw.v, env, e);
	if (rc) {
		blk_destroy(&b->v.dev);
		return rc;
	}
	b->v.dev.ops = &virtio_blk_ops;
	*out = &b->v.dev;
	return 0;
}

/* A save must not miss requests that are on their way: they are finished first. */
static void *blk_hw(struct device *d)
{
	struct blk *b = (struct blk *)d;

	disk_drain(b->disk);
	return &b->hw;
}

static int blk_loaded(struct device *d, struct err *e)
{
	return virtio_device_loaded((struct virtio_dev *)d, e);
}

static void blk_stats(struct device *d, stat_fn *fn, void *opaque)
{
	static const char *const names[] = {
		[DISK_READ] = "reads",
		[DISK_WRITE] = "writes",
		[DISK_FLUSH] = "flushes",
		[DISK_DISCARD] = "discards",
		[DISK_WRITE_ZEROES] = "write_zeroes",
	};
	const struct blk *b = (const struct blk *)d;

	virtio_device_stats(d, fn, opaque);
	for (unsigned i = 0; i < NOPS; i++)
		fn(opaque, names[i], b->done[i]);
	fn(opaque, "read_bytes", b->bytes[DISK_READ]);
	fn(opaque, "written_bytes", b->bytes[DISK_WRITE]);
	fn(opaque, "io_errors", b->io_errors);
}

static void blk_boot_path(struct device *d, unsigned unit, char *path, size_t len)
{
	(void)unit;
	snprintf(path, len, "/pci@i0cf8/scsi@%x/disk@0,0",
		 virtio_pci_function((struct virtio_dev *)d)->slot);
}

static const struct state_field fields[] = {
	VIRTIO_STATE(struct blk_hw, v),
	ST_END,
};

static const struct state_desc state = {"virtio-blk", 1, sizeof(struct blk_hw), fields};

const struct device_ops virtio_blk_ops = {
	.name = "virtio-blk",
	.help = "disk [serial=TEXT]; made by --disk",
	.create = blk_create,
	.reset = virtio_device_reset,
	.destroy = blk_destroy,
	.state = &state,
	.hw = blk_hw,
	.loaded = blk_loaded,
	.stats = blk_stats,
	.boot_path = blk_boot_path,
};
