/* SPDX-License-Identifier: Apache-2.0 */
/* Disks and partitions as files: bytes at any place, through memory of the kernel. */
#include "kernel/drivers/block.h"

#include "kernel/mm/page.h"
#include "kernel/mm/user.h"
#include "kernel/sys/vfs.h"

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Who changes a part of a sector reads it before: nobody else may write then. */
static bool try_enter(struct blockdev *d, bool alone)
{
	SPIN_GUARD(&d->lock);
	bool ok = alone ? !d->writers : d->writers >= 0;

	if (ok)
		d->writers += alone ? -1 : 1;
	return ok;
}

static void leave(struct blockdev *d, bool alone)
{
	LOCKED(&d->lock)
		d->writers += alone ? 1 : -1;
	waitq_wake(&d->changed, ~0u);
}

/* A request's share of a transfer: sectors, and where in them the bytes begin. */
struct piece {
	uint64_t sector, skip, len;
	uint32_t sectors;
};

static int read_piece(struct blockdev *d, const struct piece *p, uint64_t buf, uint64_t user)
{
	int rc = block_do(d, BLOCK_READ, p->sector, p->sectors, buf);

	return rc ? rc : copy_to_user(user, (char *)phys_to_virt(buf) + p->skip, p->len);
}

static int write_piece(struct blockdev *d, const struct piece *p, uint64_t buf, uint64_t user)
{
	bool partial = p->skip || p->len % d->sector_size;
	int rc = 0;

	WAIT_DEAF(&d->changed, NEVER, try_enter(d, partial));
	if (partial)
		rc = block_do(d, BLOCK_READ, p->sector, p->sectors, buf);
	if (!rc)
		rc = copy_from_user((char *)phys_to_virt(buf) + p->skip, user, p->len);
	if (!rc)
		rc = block_do(d, BLOCK_WRITE, p->sector, p->sectors, buf);
	leave(d, partial);
	return rc;
}

static uint64_t size_of(struct file *f)
{
	const struct block_part *p = f->node->data;

	return p->sectors * p->dev->sector_size;
}

static int64_t transfer(struct file *f, bool write, uint64_t user, uint64_t n, uint64_t *pos)
{
	const struct block_part *part = f->node->data;
	struct blockdev *d = part->dev;
	uint64_t ss = d->sector_size, size = size_of(f), room = MIN(n + 2 * ss, BLOCK_MAX_BYTES);
	uint64_t done = 0, buf;
	unsigned order = 0;
	int rc = 0;

	if (f->flags & O_DIRECT && ((*pos | n) & (ss - 1) || user & 511))
		return -EINVAL;
	if (*pos >= size || !n)
		return n && write ? -ENOSPC : 0;
	n = MIN(n, size - *pos);
	while (PAGE_SIZE << order < room)
		order++;
	while (!(buf = page_alloc(order)) && order)
		order--;
	if (!buf)
		return -ENOMEM;
	while (done < n && !rc) {
		uint64_t at = *pos + done;
		struct piece p = {.sector = part->first + at / ss, .skip = at % ss};

		p.len = MIN(n - done, (PAGE_SIZE << order) - p.skip);
		p.sectors = (uint32_t)((p.skip + p.len + ss - 1) / ss);
		rc = (write ? write_piece : read_piece)(d, &p, buf, user + done);
		done += rc ? 0 : p.len;
	}
	if (!d->dead)
		page_put(buf);
	*pos += done;
	return done ? (int64_t)done : rc;
}

static int64_t block_read(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return transfer(f, false, buf, n, pos);
}

static int64_t block_write(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return transfer(f, true, buf, n, pos);
}

static int block_sync(struct file *f)
{
	const struct block_part *p = f->node->data;

	return block_do(p->dev, BLOCK_FLUSH, 0, 0, 0);
}

/* ---- what it is ------------------------------------------------------------------------------ */

static int64_t block_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	const struct block_part *p = f->node->data;
	const struct {
		unsigned cmd, size;
		uint64_t value;
	} answers[] = {
		{BLKROGET, 4, p->dev->read_only},     {BLKGETSIZE, 8, size_of(f) / 512},
		{BLKGETSIZE64, 8, size_of(f)},        {BLKSSZGET, 4, p->dev->sector_size},
		{BLKPBSZGET, 4, p->dev->sector_size}, {BLKBSZGET, 4, PAGE_SIZE},
	};

	if (cmd == BLKFLSBUF)
		return block_sync(f);
	for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
		if (answers[i].cmd == cmd)
			return copy_to_user(arg, &answers[i].value, answers[i].size);
	}
	return cmd == BLKDISCARD || cmd == BLKZEROOUT ? -EOPNOTSUPP : -ENOTTY;
}

static const struct file_ops block_ops = {
	.name = "block device",
	.read = block_read,
	.write = block_write,
	.ioctl = block_ioctl,
	.size = size_of,
	.sync = block_sync,
};

static struct file *block_open(struct node *n, unsigned flags, int *rc)
{
	const struct block_part *p = n->data;

	*rc = p->dev->read_only && flags & O_ACCMODE ? -EACCES : -ENOMEM;
	return *rc == -EACCES ? NULL : file_new(&block_ops, flags, NULL);
}

static struct node *block_shares(struct node *n, unsigned i)
{
	const struct block_part *self = n->data;

	LIST_ITEMS(struct block_part, p, &block_parts, link)
		if (p != self && p->dev == self->dev && p->first < self->first + self->sectors &&
		    self->first < p->first + p->sectors && !i--)
			return p->node;
	return NULL;
}

void block_file(struct block_part *p)
{
	static const struct node_ops ops = {.open = block_open, .shares = block_shares};
	char path[32];

	snprintf(path, sizeof(path), "dev/%s", p->name);
	p->node = vfs_device(
		path, S_IFBLK | 0600,
		(p->minor & 0xff) | p->major << 8 | (uint64_t)(p->minor & ~0xffu) << 12, &ops, p);
}
