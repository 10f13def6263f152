/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on names: open, stat, make, remove. */
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/magic.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/landlock.h"

/* The node of a path in user memory; `last` as in vfs_walk(). */
static int at_path(int dirfd, uint64_t path, unsigned how, struct node **out, char *last)
{
	struct file *dir = NULL;
	char *text = kzalloc(PATH_MAX);
	int rc = text ? string_from_user(text, path, PATH_MAX) : -ENOMEM;

	if (rc >= 0 && dirfd != AT_FDCWD && text[0] != '/') {
		dir = fd_get(dirfd);
		rc = dir && dir->node ? 0 : dir ? -ENOTDIR : -EBADF;
	}
	if (rc >= 0)
		rc = vfs_walk(dir ? dir->node : NULL, text, how, out, last);
	file_put(dir);
	kfree(text);
	return rc;
}

/* ---- open ------------------------------------------------------------------------------------ */

#define O_NAMING (O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW)

static unsigned with_umask(uint64_t mode)
{
	return (unsigned)mode & 07777 & ~current_process()->umask;
}

/* Makes a node; `out`, if not NULL, receives it with a reference. */
static int make_at(int dirfd, uint64_t path, unsigned mode, uint64_t target, struct node **out)
{
	char last[NAME_MAX + 1];
	struct node *dir, *n;
	int rc = at_path(dirfd, path, WALK_PARENT, &dir, last);

	if (rc)
		return rc;
	n = node_new(mode);
	rc = n ? 0 : -ENOMEM;
	if (!rc && target) {
		n->target = kzalloc(PATH_MAX);
		rc = n->target ? string_from_user(n->target, target, PATH_MAX) : -ENOMEM;
	}
	if (!rc && dir->ops) /* what is in it is made, as in /proc */
		rc = dir->ops->mkdir && S_ISDIR(mode) ? dir->ops->mkdir(n) : -EPERM;
	if (rc >= 0)
		rc = dir_make(dir, last, n);
	if (out && !rc)
		*out = node_get(n);
	node_put(n);
	node_put(dir);
	return rc;
}

static int create_at(const uint64_t *a, unsigned flags, struct node **out)
{
	int rc = make_at((int)a[0], a[1], S_IFREG | with_umask(a[3]), 0, out);

	/* Another process was faster. */
	return rc == -EEXIST && !(flags & O_EXCL) ? at_path((int)a[0], a[1], 0, out, NULL) : rc;
}

/* 0, or -EACCES; *denied: what it may not do with the file later. */
static int may_open(struct node *n, unsigned flags, uint64_t *denied)
{
	uint64_t need = (flags & O_ACCMODE ? RIGHT(WRITE_FILE) : 0) |
			(flags & O_TRUNC ? RIGHT(TRUNCATE) : 0);
	SPIN_GUARD(&vfs_lock);

	if ((flags & O_ACCMODE) != O_WRONLY)
		need |= S_ISDIR(n->mode) ? RIGHT(READ_DIR) : RIGHT(READ_FILE);
	*denied = landlock_denied(n, ~0UL);
	return *denied & need && !(flags & O_PATH) ? -EACCES : 0;
}

int64_t sys_openat(const uint64_t *a)
{
	uint64_t denied;
	/* Who only names a file does nothing to it. */
	unsigned flags = (unsigned)a[2] & (a[2] & O_PATH ? O_NAMING : ~0u);
	struct node *n;
	struct file *f;
	unsigned how = flags & (O_NOFOLLOW | O_EXCL) ? WALK_NOFOLLOW : 0;
	int rc = at_path((int)a[0], a[1], how, &n, NULL);

	if (rc == -ENOENT && flags & O_CREAT)
		rc = create_at(a, flags, &n);
	else if (!rc && flags & O_CREAT && flags & O_EXCL)
		rc = (node_put(n), -EEXIST);
	if (rc)
		return rc;
	if (S_ISLNK(n->mode) && !(flags & O_PATH))
		rc = -ELOOP;
	else if (flags & O_DIRECTORY && !S_ISDIR(n->mode))
		rc = -ENOTDIR;
	else if (S_ISDIR(n->mode) && flags & (O_ACCMODE | O_CREAT))
		rc = -EISDIR;
	rc = rc ? rc : may_open(n, flags, &denied);
	if (!rc && flags & O_TRUNC && n->obj && flags & O_ACCMODE)
		rc = memobj_resize(n->obj, 0);
	f = rc ? NULL : node_open(n, flags, &rc);
	node_put(n);
	if (f)
		f->denied = denied;
	return f ? fd_install(f, flags & O_CLOEXEC, 0) : rc;
}

/* ---- stat ------------------------------------------------------------------------------------ */

static uint64_t node_size(const struct node *n)
{
	return n->obj ? n->obj->size : n->target ? strlen(n->target) : 0;
}

static void fill_stat(struct stat *s, const struct node *n)
{
	uint64_t sec = n->mtime_ns / NSEC_PER_SEC, ns = n->mtime_ns % NSEC_PER_SEC;

	*s = (struct stat){
		.st_dev = 1,
		.st_ino = n->ino,
		.st_nlink = n->nlink,
		.st_mode = n->mode,
		.st_uid = n->uid,
		.st_gid = n->gid,
		.st_rdev = n->rdev,
		.st_size = (int64_t)node_size(n),
		.st_blksize = 4096,
		.st_blocks = n->obj ? (int64_t)(n->obj->resident * 8) : 0,
		.st_atime = sec,
		.st_atime_nsec = ns,
		.st_mtime = sec,
		.st_mtime_nsec = ns,
		.st_ctime = sec,
		.st_ctime_nsec = ns,
	};
}

/* What has no name in the tree: pipes, sockets, eventfds. */
static void fill_anonymous(struct stat *s, const struct file *f)
{
	unsigned type = !strcmp(f->ops->name, "pipe")     ? S_IFIFO
			: !strcmp(f->ops->name, "socket") ? S_IFSOCK
							  : 0;

	*s = (struct stat){.st_dev = 2,
			   .st_ino = f->number,
			   .st_nlink = 1,
			   .st_mode = type | 0600,
			   .st_blksize = 4096};
}

static int64_t stat_fd(int fd, struct stat *s)
{
	struct file *f = fd_get(fd);

	if (!f)
		return -EBADF;
	if (f->node)
		fill_stat(s, f->node);
	else
		fill_anonymous(s, f);
	file_put(f);
	return 0;
}

static int64_t stat_at(int dirfd, uint64_t path, unsigned flags, struct stat *s)
{
	struct node *n;
	char first;
	int rc;

	if (flags & AT_EMPTY_PATH && dirfd != AT_FDCWD &&
	    (!path || (!copy_from_user(&first, path, 1) && !first)))
		return stat_fd(dirfd, s);
	rc = at_path(dirfd, path, flags & AT_SYMLINK_NOFOLLOW ? WALK_NOFOLLOW : 0, &n, NULL);
	if (rc)
		return rc;
	fill_stat(s, n);
	node_put(n);
	return 0;
}

int64_t sys_newfstatat(const uint64_t *a)
{
	struct stat s;
	int64_t rc = stat_at((int)a[0], a[1], (unsigned)a[3], &s);

	return rc ? rc : copy_to_user(a[2], &s, sizeof(s));
}

int64_t sys_statfs(const uint64_t *a)
{
	struct page_stats p = page_stats();
	struct statfs s = {.f_type = TMPFS_MAGIC,
			   .f_bsize = 4096,
			   .f_blocks = p.total,
			   .f_bfree = p.free,
			   .f_bavail = p.free,
			   .f_namelen = NAME_MAX,
			   .f_frsize = 4096};

	return copy_to_user(a[1], &s, sizeof(s));
}

/* Everything runs as root: what exists is accessible. */
int64_t sys_faccessat(const uint64_t *a)
{
	struct stat s;

	return stat_at((int)a[0], a[1], 0, &s);
}

/* ---- directories ----------------------------------------------------------------------------- */

struct dents {
	uint64_t to, left, index, skip;
	int64_t rc;
	uint64_t done;
};

static void emit(void *opaque, const char *name, unsigned mode)
{
	struct dents *d = opaque;
	struct {
		uint64_t ino, off;
		uint16_t reclen;
		uint8_t type;
		char name[NAME_MAX + 1 + 7]; /* up to a multiple of 8 */
	} __attribute__((packed)) e;
	size_t len = (19 + strlen(name) + 1 + 7) & ~7UL;

	if (d->rc || d->index++ < d->skip)
		return;
	if (len > d->left) {
		d->rc = d->done ? 1 : -EINVAL;
		return;
	}
	memset(&e, 0, sizeof(e));
	e.ino = d->index;
	e.off = d->index;
	e.reclen = (uint16_t)len;
	e.type = (uint8_t)(mode >> 12);
	strlcpy(e.name, name, sizeof(e.name));
	d->rc = copy_to_user(d->to + d->done, &e, len);
	if (d->rc)
		return;
	d->done += len;
	d->left -= len;
	d->skip = d->index;
}

static void list_dir(struct node *dir, struct dents *d)
{
	emit(d, ".", S_IFDIR);
	emit(d, "..", S_IFDIR);
	LOCKED(&vfs_lock) {
		LIST_ITEMS(struct dirent_k, e, &dir->entries, link)
			emit(d, e->name, e->node->mode);
	}
	if (dir->ops && dir->ops->list)
		dir->ops->list(dir, emit, d);
}

int64_t sys_getdents64(struct file *f, const uint64_t *a)
{
	struct dents d = {.to = a[1], .left = a[2], .skip = f->pos};

	if (!f->node || !S_ISDIR(f->node->mode) || f->flags & O_PATH)
		return f->flags & O_PATH ? -EBADF : -ENOTDIR;
	list_dir(f->node, &d);
	f->pos = d.skip;
	return d.rc < 0 ? d.rc : (int64_t)d.done;
}

int64_t sys_mkdirat(const uint64_t *a)
{
	return make_at((int)a[0], a[1], S_IFDIR | with_umask(a[2]), 0, NULL);
}

int64_t sys_symlinkat(const uint64_t *a)
{
	return make_at((int)a[1], a[2], S_IFLNK | 0777, a[0], NULL);
}

int64_t sys_unlinkat(const uint64_t *a)
{
	char last[NAME_MAX + 1];
	struct dirent_k *e;
	struct node *dir;
	int rc = at_path((int)a[0], a[1], WALK_PARENT, &dir, last);
	bool is_dir, directory = a[2] & AT_REMOVEDIR;

	if (rc)
		return rc;
	LOCKED(&vfs_lock) {
		e = dir_find(dir, last);
		is_dir = e && S_ISDIR(e->node->mode);
		if (!e)
			rc = -ENOENT;
		else if (is_dir != directory)
			rc = directory ? -ENOTDIR : -EISDIR;
		else if (is_dir && !list_empty(&e->node->entries))
			rc = -ENOTEMPTY;
		else if (dir->ops && dir->ops->mkdir && e->node->refs > 1)
			rc = -EBUSY; /* of a cgroup that has processes */
		else if (landlock_denied(dir, landlock_removing(e->node)))
			rc = -EACCES;
		else
			dir_remove(dir, e);
	}
	node_put(dir);
	return rc;
}

/* vfs_lock held. */
static int rename_locked(struct node *from, const char *a, struct node *to, const char *b,
			 unsigned flags)
{
	struct dirent_k *source = dir_find(from, a), *there = dir_find(to, b);
	struct node *n = source ? source->node : NULL;
	int rc;

	if (!n)
		return -ENOENT;
	if (there && flags & 1) /* RENAME_NOREPLACE */
		return -EEXIST;
	if (there && there->node == n)
		return 0;
	if (there && S_ISDIR(there->node->mode) != S_ISDIR(n->mode))
		return S_ISDIR(there->node->mode) ? -EISDIR : -ENOTDIR;
	if (there && S_ISDIR(there->node->mode) && !list_empty(&there->node->entries))
		return -ENOTEMPTY;
	for (struct node *d = to; d; d = d->parent) {
		if (d == n)
			return -EINVAL;
	}
	if (landlock_denied(from, landlock_removing(n)) ||
	    (there && landlock_denied(to, landlock_removing(there->node))))
		return -EACCES;
	rc = landlock_link(n, from, to);
	rc = rc || there ? rc : dir_add(to, b, n);
	if (rc)
		return rc;
	if (there)
		dir_replace(to, there, n);
	n->nlink++; /* dir_remove() takes it off */
	dir_remove(from, source);
	return 0;
}

int64_t sys_renameat2(const uint64_t *a)
{
	char name1[NAME_MAX + 1], name2[NAME_MAX + 1];
	struct node *dir1, *dir2;
	int rc = a[4] & ~1UL ? -EINVAL : at_path((int)a[0], a[1], WALK_PARENT, &dir1, name1);

	if (rc)
		return rc;
	rc = at_path((int)a[2], a[3], WALK_PARENT, &dir2, name2);
	if (!rc) {
		LOCKED(&vfs_lock)
			rc = rename_locked(dir1, name1, dir2, name2, (unsigned)a[4]);
		node_put(dir2);
	}
	node_put(dir1);
	return rc;
}

int64_t sys_linkat(const uint64_t *a)
{
	char last[NAME_MAX + 1];
	struct node *n, *dir;
	int rc = at_path((int)a[0], a[1], 0, &n, NULL);

	if (rc)
		return rc;
	rc = at_path((int)a[2], a[3], WALK_PARENT, &dir, last);
	if (!rc) {
		LOCKED(&vfs_lock) {
			rc = S_ISDIR(n->mode) ? -EPERM : landlock_link(n, n->parent, dir);
			rc = rc ? rc : dir_add(dir, last, n);
			n->nlink += !rc;
		}
		node_put(dir);
	}
	node_put(n);
	return rc;
}

int64_t sys_readlinkat(const uint64_t *a)
{
	struct node *n;
	char *text = kzalloc(PATH_MAX);
	int rc = text ? at_path((int)a[0], a[1], WALK_NOFOLLOW, &n, NULL) : -ENOMEM;
	size_t len = 0;

	if (rc) {
		kfree(text);
		return rc;
	}
	rc = S_ISLNK(n->mode) ? vfs_readlink(n, text, PATH_MAX) : -EINVAL;
	if (!rc) {
		len = MIN(strlen(text), a[3]);
		rc = copy_to_user(a[2], text, len);
	}
	node_put(n);
	kfree(text);
	return rc ? rc : (int64_t)len;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int64_t chmod_node(struct node *n, uint64_t mode)
{
	n->mode = (n->mode & S_IFMT) | ((unsigned)mode & 07777);
	node_put(n);
	return 0;
}

int64_t sys_fchmodat(const uint64_t *a)
{
	struct node *n;
	int rc = at_path((int)a[0], a[1], 0, &n, NULL);

	return rc ? rc : chmod_node(n, a[2]);
}

int64_t sys_fchmod(struct file *f, const uint64_t *a)
{
	return f->flags & O_PATH ? -EBADF : f->node ? chmod_node(node_get(f->node), a[1]) : -EINVAL;
}

int64_t sys_utimensat(const uint64_t *a)
{
	struct file *f;
	struct node *n;
	uint64_t ts[4];
	int rc;

	if (a[2] && copy_from_user(ts, a[2], sizeof(ts)))
		return -EFAULT;
	if (a[1]) {
		rc = at_path((int)a[0], a[1], 0, &n, NULL);
	} else {
		f = fd_get((int)a[0]);
		rc = f && f->node ? 0 : -EBADF;
		n = rc ? NULL : node_get(f->node);
		file_put(f);
	}
	if (rc)
		return rc;
	n->mtime_ns = a[2] && ts[3] < NSEC_PER_SEC ? ts[2] * NSEC_PER_SEC + ts[3]
						   : now_ns() + wall_offset_ns();
	node_put(n);
	return 0;
}

int64_t sys_umask(const uint64_t *a)
{
	struct process *p = current_process();
	unsigned old = p->umask;

	p->umask = (unsigned)a[0] & 0777;
	return old;
}

/* ---- the current directory ------------------------------------------------------------------- */

static int64_t set_cwd(struct node *n)
{
	struct process *p = current_process();
	struct node *old;

	if (!S_ISDIR(n->mode)) {
		node_put(n);
		return -ENOTDIR;
	}
	LOCKED(&p->lock) {
		old = p->cwd;
		p->cwd = n;
	}
	node_put(old);
	return 0;
}

int64_t sys_chdir(const uint64_t *a)
{
	struct node *n;
	int rc = at_path(AT_FDCWD, a[0], 0, &n, NULL);

	return rc ? rc : set_cwd(n);
}

int64_t sys_fchdir(struct file *f, const uint64_t *a)
{
	return f->node ? set_cwd(node_get(f->node)) : -ENOTDIR;
}

int64_t sys_getcwd(const uint64_t *a)
{
	char *path = kzalloc(PATH_MAX);
	struct node *cwd = cwd_get();
	int64_t rc = path ? vfs_path(cwd, path, PATH_MAX) : -ENOMEM;
	size_t len;

	if (!rc) {
		len = strlen(path) + 1;
		rc = len > a[1] ? -ERANGE : copy_to_user(a[0], path, len);
		rc = rc ? rc : (int64_t)len;
	}
	node_put(cwd);
	kfree(path);
	return rc;
}
