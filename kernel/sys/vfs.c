/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/vfs.h"

#include "kernel/mm/heap.h"
#include "kernel/sys/landlock.h"

#define MAX_LINKS 16 /* each is a call deeper on the kernel's stack */

struct node *root_node;
struct spinlock vfs_lock;

static uint64_t next_ino = 1;

struct node *node_new(unsigned mode)
{
	struct node *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	n->refs = 1;
	n->mode = mode;
	n->nlink = 1;
	n->ino = __atomic_fetch_add(&next_ino, 1, __ATOMIC_RELAXED);
	n->mtime_ns = now_ns() + wall_offset_ns();
	if (S_ISREG(mode)) {
		n->obj = memobj_new();
		if (!n->obj) {
			kfree(n);
			return NULL;
		}
	}
	return n;
}

struct node *node_made(unsigned mode, const struct node_ops *ops, void *data)
{
	struct node *n = node_new(mode);

	if (n) {
		n->ops = ops;
		n->data = data;
	}
	return n;
}

struct node *node_get(struct node *n)
{
	__atomic_fetch_add(&n->refs, 1, __ATOMIC_RELAXED);
	return n;
}

void node_put(struct node *n)
{
	if (!n || __atomic_sub_fetch(&n->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (n->ops && n->ops->release)
		n->ops->release(n);
	memobj_put(n->obj);
	kfree(n->target);
	kfree(n);
}

/* ---- directories ----------------------------------------------------------------------------- */

struct dirent_k *dir_find(struct node *dir, const char *name)
{
	return LIST_FIND(struct dirent_k, e, &dir->entries, link, !strcmp(e->name, name));
}

static void point(struct node *dir, struct dirent_k *e, struct node *n)
{
	e->node = node_get(n);
	n->parent = dir;
	dir->mtime_ns = now_ns() + wall_offset_ns();
}

int dir_add(struct node *dir, const char *name, struct node *n)
{
	struct dirent_k *e;

	if (!dir->nlink)
		return -ENOENT; /* it has been removed */
	if (dir_find(dir, name))
		return -EEXIST;
	e = kzalloc(sizeof(*e) + strlen(name) + 1);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, name, strlen(name) + 1);
	point(dir, e, n);
	list_add_tail(&dir->entries, &e->link);
	return 0;
}

int dir_make(struct node *dir, const char *name, struct node *n)
{
	SPIN_GUARD(&vfs_lock);
	int rc = dir_find(dir, name) ? -EEXIST : landlock_link(n, dir, dir);

	return rc ? rc : dir_add(dir, name, n);
}

static const char *name_in_parent(const struct node *n)
{
	const struct dirent_k *found =
		LIST_FIND(struct dirent_k, e, &n->parent->entries, link, e->node == n);

	return found ? found->name : NULL;
}

/* The directory's link to a node, and its reference, go. */
static void unlink_node(struct node *dir, struct node *n)
{
	dir->mtime_ns = now_ns() + wall_offset_ns();
	if (!--n->nlink || (n->parent == dir && !name_in_parent(n)))
		n->parent = NULL;
	node_put(n);
}

void dir_replace(struct node *dir, struct dirent_k *e, struct node *n)
{
	struct node *old = e->node;

	point(dir, e, n);
	unlink_node(dir, old);
}

void dir_remove(struct node *dir, struct dirent_k *e)
{
	list_del(&e->link);
	unlink_node(dir, e->node);
	kfree(e);
}

static struct node *lookup(struct node *dir, const char *name)
{
	struct dirent_k *e;
	struct node *n = NULL;

	if (dir->ops && dir->ops->lookup) {
		n = dir->ops->lookup(dir, name);
		if (n)
			return n;
	}
	SPIN_GUARD(&vfs_lock);
	if (!strcmp(name, "."))
		n = node_get(dir);
	else if (!strcmp(name, ".."))
		n = node_get(dir->parent ? dir->parent : dir);
	else if ((e = dir_find(dir, name)))
		n = node_get(e->node);
	return n;
}

/* ---- walking --------------------------------------------------------------------------------- */

int vfs_readlink(struct node *link, char *buf, size_t size)
{
	if (link->ops && link->ops->readlink)
		return link->ops->readlink(link, buf, size);
	strlcpy(buf, link->target, size);
	return 0;
}

/* Cuts the first component off *path; false at the end. */
static bool component(const char **path, char name[NAME_MAX + 1], int *rc)
{
	const char *p = *path;
	size_t n = 0;

	while (*p == '/')
		p++;
	while (p[n] && p[n] != '/')
		n++;
	if (n > NAME_MAX) {
		*rc = -ENAMETOOLONG;
		return false;
	}
	memcpy(name, p, n);
	name[n] = 0;
	*path = p + n;
	return n > 0;
}

static bool is_last(const char *rest)
{
	while (*rest == '/')
		rest++;
	return !*rest;
}

/* Walks one text; `depth` counts links. Takes over the reference to `at`. */
static int walk(struct node *at, const char *path, unsigned how, unsigned depth, struct node **out,
		char *last)
{
	char name[NAME_MAX + 1], *target;
	int rc = 0;

	if (*path == '/') {
		node_put(at);
		at = node_get(root_node);
	}
	while (component(&path, name, &rc)) {
		bool end = is_last(path), follow = !end || !(how & WALK_NOFOLLOW);
		struct node *next, *there;

		if (!S_ISDIR(at->mode)) {
			rc = -ENOTDIR;
			break;
		}
		if (end && how & WALK_PARENT) {
			strlcpy(last, name, NAME_MAX + 1);
			*out = at;
			return 0;
		}
		next = lookup(at, name);
		if (!next) {
			rc = -ENOENT;
			break;
		}
		there = follow && next->ops && next->ops->follow ? next->ops->follow(next) : NULL;
		if (there) {
			node_put(next);
			next = there;
		}
		if (!S_ISLNK(next->mode) || !follow) {
			node_put(at);
			at = next;
			continue;
		}
		target = kzalloc(PATH_MAX);
		rc = !target              ? -ENOMEM
		     : depth >= MAX_LINKS ? -ELOOP
					  : vfs_readlink(next, target, PATH_MAX);
		node_put(next);
		if (!rc)
			rc = walk(at, target, how & ~(WALK_PARENT | WALK_NOFOLLOW), depth + 1, &at,
				  last);
		else
			node_put(at);
		kfree(target);
		if (rc)
			return rc;
	}
	if (!rc && how & WALK_PARENT)
		rc = -EEXIST; /* "/" has no last component */
	if (rc) {
		node_put(at);
		return rc;
	}
	*out = at;
	return 0;
}

struct node *cwd_get(void)
{
	struct process *p = current_process();

	if (!p)
		return node_get(root_node);
	SPIN_GUARD(&p->lock);
	return node_get(p->cwd);
}

int vfs_walk(struct node *base, const char *path, unsigned how, struct node **out, char *last)
{
	if (!*path)
		return -ENOENT;
	return walk(base ? node_get(base) : cwd_get(), path, how, 0, out, last);
}

int vfs_path(const struct node *n, char *buf, size_t size)
{
	size_t at = size - 1;
	SPIN_GUARD(&vfs_lock);

	buf[at] = 0;
	for (; n->parent; n = n->parent) {
		const char *name = name_in_parent(n);
		size_t len = strlen(name);

		if (len + 1 > at)
			return -ENAMETOOLONG;
		at -= len + 1;
		buf[at] = '/';
		memcpy(buf + at + 1, name, len);
	}
	if (at == size - 1)
		buf[--at] = '/';
	memmove(buf, buf + at, size - at);
	return n == root_node ? 0 : -ENOENT; /* it has been removed */
}

/* ---- making the tree ------------------------------------------------------------------------- */

static int make_parents(const char *path, struct node **dir, char last[NAME_MAX + 1])
{
	struct node *at = node_get(root_node), *next;
	int rc = 0;

	while (component(&path, last, &rc) && !is_last(path)) {
		next = lookup(at, last);
		if (!next) {
			next = node_new(S_IFDIR | 0755);
			rc = next ? dir_add(at, last, next) : -ENOMEM;
		}
		node_put(at);
		if (rc)
			return rc;
		at = next;
	}
	*dir = at;
	return rc;
}

int vfs_put(const char *path, struct node *n)
{
	char last[NAME_MAX + 1];
	struct node *dir;
	int rc = n ? make_parents(path, &dir, last) : -ENOMEM;

	if (rc)
		return rc;
	rc = last[0] ? dir_add(dir, last, n) : 0;
	node_put(dir);
	node_put(n);
	return rc;
}

struct node *vfs_device(const char *path, unsigned mode, uint64_t rdev, const struct node_ops *ops,
			void *data)
{
	struct node *n = node_made(mode, ops, data);

	if (n)
		n->rdev = rdev;
	if (vfs_put(path, n))
		panic("cannot make %s", path);
	return n;
}

void vfs_init(void)
{
	root_node = must(node_new(S_IFDIR | 0755), "the root directory");
}
