/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tree of files in RAM: the initramfs is its first content, devices and processes (/proc) are
 * nodes with operations of their own. A file's bytes are a memobj.
 */
#ifndef KERNEL_SYS_VFS_H
#define KERNEL_SYS_VFS_H

#include <linux/stat.h>

#include "kernel/sys/file.h"

#define NAME_MAX 255

struct node;

/* What makes a node more than bytes in RAM. All optional. */
struct node_ops {
	/* The file for an open(); without it the node's own kind. NULL with *rc set on errors. */
	struct file *(*open)(struct node *n, unsigned flags, int *rc);
	/* Makes the content of a text file of /proc, malloc'd; *len its length. */
	char *(*text)(struct node *n, size_t *len);
	/* Such a text is written to. */
	int (*store)(struct node *n, const char *text);
	/* A directory or link whose content is made when looked at. */
	struct node *(*lookup)(struct node *dir, const char *name);
	void (*list)(struct node *dir, void (*emit)(void *opaque, const char *name, unsigned mode),
		     void *opaque);
	int (*readlink)(struct node *n, char *buf, size_t size);
	/* A new directory in this one; what is to be freed with it. */
	int (*mkdir)(struct node *n);
	void (*release)(struct node *n);
	/* The i-th other node whose bytes are this one's, too: a partition's is its disk. NULL: no
	 * more. Locks count for them all. */
	struct node *(*shares)(struct node *n, unsigned i);
	/* Where a link leads that has no path, with a reference; NULL: its text tells. */
	struct node *(*follow)(struct node *n);
};

struct node {
	uint32_t refs;
	uint64_t ino;
	unsigned mode, nlink;
	unsigned uid, gid;
	uint64_t mtime_ns;
	uint64_t rdev;
	const struct node_ops *ops;
	void *data;          /* of ops */
	struct memobj *obj;  /* S_IFREG */
	char *target;        /* S_IFLNK */
	struct node *parent; /* where it has its latest name, or NULL */
	struct list entries; /* S_IFDIR: struct dirent_k */
	struct list locks;   /* see flock.c */
	struct waitq lock_wait;
	void *socket; /* S_IFSOCK: who listens */
};

struct dirent_k {
	struct list link;
	struct node *node;
	char name[];
};

extern struct node *root_node;
extern struct spinlock vfs_lock; /* guards the tree's shape */

void vfs_init(void);
struct node *node_new(unsigned mode);
struct node *node_made(unsigned mode, const struct node_ops *ops, void *data);
struct node *node_get(struct node *n);
void node_put(struct node *n);

/* Enters `n` (a reference is taken); -EEXIST, -ENOMEM. vfs_lock held. */
int dir_add(struct node *dir, const char *name, struct node *n);
/* The same for the current process: -EACCES; takes vfs_lock. */
int dir_make(struct node *dir, const char *name, struct node *n);
struct dirent_k *dir_find(struct node *dir, const char *name);
void dir_replace(struct node *dir, struct dirent_k *e, struct node *n); /* needs no memory */
void dir_remove(struct node *dir, struct dirent_k *e);

/* How a path is walked. */
#define WALK_NOFOLLOW 1u /* the last component may be a link itself */
#define WALK_PARENT   2u /* the directory; `last` receives the last component */

/* The process' current directory, with a reference. */
struct node *cwd_get(void);
/* The node of a path relative to `base` (NULL: the current directory), with a reference. */
int vfs_walk(struct node *base, const char *path, unsigned how, struct node **out, char *last);
/* The text of a link. */
int vfs_readlink(struct node *link, char *buf, size_t size);
/* The absolute path by a node's latest name; -ENOENT: there is none. */
int vfs_path(const struct node *n, char *buf, size_t size);

/* Makes missing directories on the way; for the initramfs, /dev and /proc. Takes over `n`. */
int vfs_put(const char *path, struct node *n);
/* A device: `open` makes its files. */
struct node *vfs_device(const char *path, unsigned mode, uint64_t rdev, const struct node_ops *ops,
			void *data);

struct file *node_open(struct node *n, unsigned flags, int *rc);
int initramfs_unpack(const void *data, size_t len);

/* ---- locks (flock.c) ------------------------------------------------------------------------- */

int64_t node_fcntl_lock(struct file *f, unsigned cmd, uint64_t arg);
int64_t node_flock(struct file *f, unsigned op);
/* A process closed a descriptor: its POSIX locks on the file go. */
void node_unlock_posix(struct node *n, struct process *p);
/* The open file ended: its flock and OFD locks go. */
void node_unlock_file(struct node *n, struct file *f);

#endif
