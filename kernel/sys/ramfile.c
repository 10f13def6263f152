/* SPDX-License-Identifier: Apache-2.0 */
/* Open files and directories of the RAM file system, and generated text files. */
#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/mm/user.h"
#include "kernel/sys/vfs.h"

/* Moves bytes between user memory and the file, page by page; what could be moved before an error.
 */
static int64_t transfer(struct memobj *o, uint64_t buf, uint64_t n, uint64_t *pos, bool write)
{
	uint64_t done = 0;
	int rc = 0;

	while (done < n && !rc) {
		uint64_t in_page = (*pos + done) & (PAGE_SIZE - 1);
		uint64_t part = MIN(PAGE_SIZE - in_page, n - done);
		uint64_t page = memobj_page(o, *pos + done, true);
		char *data = (char *)phys_to_virt(page) + in_page;

		schedule_if_due();
		if (!page) {
			rc = write ? -ENOSPC : -ENOMEM;
			break;
		}
		rc = write ? copy_from_user(data, buf + done, part)
			   : copy_to_user(buf + done, data, part);
		page_put(page);
		done += rc ? 0 : part;
	}
	*pos += done;
	return done ? (int64_t)done : rc;
}

static int64_t read_object(struct memobj *o, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return *pos >= o->size ? 0 : transfer(o, buf, MIN(n, o->size - *pos), pos, false);
}

static int64_t reg_read(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return read_object(f->node->obj, buf, n, pos);
}

static int64_t reg_write(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	struct memobj *o = f->node->obj;
	int64_t rc;

	if (f->flags & O_APPEND)
		*pos = o->size;
	if (*pos + n < n)
		return -EFBIG;
	rc = transfer(o, buf, n, pos, true);
	if (rc <= 0)
		return rc;
	o->size = MAX(o->size, *pos);
	f->node->mtime_ns = now_ns() + wall_offset_ns();
	return rc;
}

static int64_t reg_mmap(struct file *f, uint64_t addr, uint64_t len, unsigned flags,
			uint64_t offset, bool fixed)
{
	bool sealed = flags & VMA_SHARED && !(f->flags & O_ACCMODE);

	if (sealed && flags & VMA_WRITE)
		return -EACCES;
	flags |= sealed ? VMA_SEALED : 0;
	return space_map(current_process()->space, addr, len, flags, f->node->obj, offset, fixed);
}

static const struct file_ops reg_ops = {
	.name = "file",
	.read = reg_read,
	.write = reg_write,
	.mmap = reg_mmap,
};

static const struct file_ops dir_ops = {
	.name = "directory",
};

static const struct file_ops path_ops = {
	.name = "path",
};

/* ---- text that is made at the first read ----------------------------------------------------- */

static int64_t text_read(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return read_object(f->data, buf, n, pos);
}

static int64_t text_write(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	char line[64] = "";
	int rc = n < sizeof(line) ? copy_from_user(line, buf, n) : -EINVAL;

	if (!rc)
		rc = f->node->ops->store ? f->node->ops->store(f->node, line) : -EINVAL;
	return rc ? rc : (int64_t)n;
}

static void text_close(struct file *f)
{
	memobj_put(f->data);
}

static const struct file_ops text_ops = {
	.name = "text",
	.read = text_read,
	.write = text_write,
	.close = text_close,
};

static struct file *open_text(struct node *n, unsigned flags, int *rc)
{
	struct memobj *o = memobj_new();
	size_t len = 0;
	char *text = n->ops->text(n, &len);
	struct file *f = NULL;

	*rc = -ENOMEM;
	if (o && text && !memobj_fill(o, text, len))
		f = file_new(&text_ops, flags, o);
	else
		memobj_put(o);
	kfree(text);
	return f;
}

struct file *node_open(struct node *n, unsigned flags, int *rc)
{
	struct file *f = NULL;

	*rc = -ENXIO;
	if (flags & O_PATH) {
		f = file_new(&path_ops, O_PATH, NULL);
	} else if (n->ops && n->ops->open) {
		f = n->ops->open(n, flags, rc);
	} else if (n->ops && n->ops->text) {
		f = open_text(n, flags, rc);
	} else if (S_ISREG(n->mode) || S_ISDIR(n->mode)) {
		f = file_new(S_ISREG(n->mode) ? &reg_ops : &dir_ops, flags, NULL);
		*rc = -ENOMEM;
	}
	if (f && !f->node)
		f->node = node_get(n);
	return f;
}

/* ---- initramfs: cpio "newc" ------------------------------------------------------------------ */

struct cpio {
	char magic[6];
	char ino[8], mode[8], uid[8], gid[8], nlink[8], mtime[8], filesize[8], devmajor[8];
	char devminor[8], rdevmajor[8], rdevminor[8], namesize[8], check[8];
};

static uint64_t hex(const char *s)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++) {
		char c = s[i];

		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return v;
}

static int add_entry(const char *name, unsigned mode, const char *data, size_t len, uint64_t mtime)
{
	struct node *n, *there;
	int rc;

	if (!strcmp(name, "."))
		return 0;
	if (S_ISDIR(mode) && !vfs_walk(root_node, name, 0, &there, NULL)) {
		node_put(there);
		return 0;
	}
	n = node_new(mode);
	if (!n)
		return -ENOMEM;
	n->mtime_ns = mtime * NSEC_PER_SEC;
	if (S_ISLNK(mode)) {
		n->target = kzalloc(len + 1);
		if (n->target)
			memcpy(n->target, data, len);
	} else if (n->obj) {
		rc = memobj_fill(n->obj, data, len);
		if (rc)
			return rc;
	}
	return vfs_put(name, n);
}

int initramfs_unpack(const void *data, size_t len)
{
	const char *p = data, *end = p + len;

	while (p + sizeof(struct cpio) <= end) {
		const struct cpio *c = (const void *)p;
		uint64_t name_size = hex(c->namesize), size = hex(c->filesize);
		const char *name = p + sizeof(*c);
		const char *body = p + ((sizeof(*c) + name_size + 3) & ~3UL);
		int rc;

		if (memcmp(c->magic, "070701", 6) || !name_size || name_size > PATH_MAX ||
		    body > end || size > (uint64_t)(end - body) || name[name_size - 1])
			return -EINVAL;
		if (!strcmp(name, "TRAILER!!!")) { /* another archive may follow */
			for (p = body; p + 4 <= end && !*(const uint32_t *)p; p += 4)
				;
			if (end - p < (ptrdiff_t)sizeof(*c))
				return 0;
			continue;
		}
		rc = add_entry(name, (unsigned)hex(c->mode), body, size, hex(c->mtime));
		if (rc)
			return rc;
		p = body + ((size + 3) & ~3UL);
	}
	return -EINVAL;
}
