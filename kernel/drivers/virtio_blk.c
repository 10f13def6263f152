/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio disks (OASIS virtio 1.2, 5.2). */
#include <linux/virtio_blk.h>

#include "kernel/drivers/block.h"
#include "kernel/drivers/drivers.h"
#include "kernel/drivers/virtio.h"
#include "kernel/mm/layout.h"

#define F(name)       (1UL << VIRTIO_BLK_F_##name)
#define CONFIG(field) offsetof(struct virtio_blk_config, field)

#define FRAME_BUFFERS 3u /* of a request: its frame, the data, the frame's status */

/* What a request has besides the data; one for each slot. */
struct frame {
	struct virtio_blk_outhdr head;
	uint8_t status;
	uint8_t pad[15];
};

struct disk {
	struct blockdev dev;
	struct virtio virtio;
	struct virtq queue;
	struct frame *frames;
};

static void start(struct blockdev *d, unsigned slot, const struct block_request *r)
{
	static const uint32_t types[BLOCK_OPS] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
						  VIRTIO_BLK_T_FLUSH};
	struct disk *disk = d->driver;
	struct frame *f = &disk->frames[slot];
	struct virtq_buffer b[FRAME_BUFFERS] = {
		{virt_to_phys(f), offsetof(struct frame, status), false}};
	unsigned n = 1;
	int rc;

	*f = (struct frame){
		.head = {.type = types[r->op], .sector = r->sector * (d->sector_size / 512)}};
	f->status = 0xff;
	if (r->sectors)
		b[n++] = (struct virtq_buffer){r->phys, r->sectors * d->sector_size,
					       r->op == BLOCK_READ};
	b[n++] = (struct virtq_buffer){b[0].phys + b[0].len, 1, true};
	rc = virtq_add(&disk->queue, b, n, f);
	if (rc)
		block_done(d, slot, rc);
	else
		virtq_kick(&disk->queue);
}

static void finish(struct blockdev *d)
{
	struct disk *disk = d->driver;
	const struct frame *f;
	uint32_t written;

	while ((f = virtq_take(&disk->queue, &written)))
		block_done(d, (unsigned)(f - disk->frames), f->status ? -EIO : 0);
}

static const char *failed(struct blockdev *d)
{
	struct disk *disk = d->driver;

	return virtq_failed(&disk->queue) ? "the device has failed" : NULL;
}

int virtio_blk_probe(struct pci_device *p)
{
	struct disk *disk = pci_alloc(p, sizeof(*disk));
	struct frame *frames = pci_alloc(p, BLOCK_SLOTS * sizeof(*frames));
	struct blockdev *d = &disk->dev;
	struct virtio *v = &disk->virtio;
	int rc;

	if (!disk || !frames)
		return -ENOMEM;
	rc = virtio_start(v, p, F(RO) | F(BLK_SIZE) | F(FLUSH));
	if (rc || v->config_len < CONFIG(physical_block_exp))
		return rc ? rc : -ENODEV;
	disk->frames = frames;
	*d = (struct blockdev){
		.major = 254,
		.sector_size =
			v->features & F(BLK_SIZE) ? mmio_read32(v->config, CONFIG(blk_size)) : 512,
		.read_only = v->features & F(RO),
		.cached = v->features & F(FLUSH),
		.start = start,
		.finish = finish,
		.failed = failed,
		.driver = disk,
	};
	rc = virtq_start(&disk->queue, v, 0, 64, block_interrupt, d);
	d->nslots = MIN(disk->queue.size / FRAME_BUFFERS, BLOCK_SLOTS);
	if (rc || !d->nslots)
		return rc ? rc : -ENODEV;
	virtio_ready(v);
	d->sectors = mmio_read64(v->config, CONFIG(capacity)) / MAX(d->sector_size / 512, 1u);
	return block_register(d, "vd");
}
