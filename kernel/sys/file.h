/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. Every kind (files, pipes, sockets, devices, eventfds, VMs) is a table of operations;
 * a missing operation answers as Linux does: EINVAL, ENOTTY, ESPIPE.
 */
#ifndef KERNEL_SYS_FILE_H
#define KERNEL_SYS_FILE_H

#include <asm/poll.h>
#include <linux/fcntl.h>

#include "kernel/mm/space.h"
#include "kernel/sched/sched.h"
#include "kernel/sys/process.h"

struct file;

/* A range of user memory and how far it is used. */
struct uio {
	uint64_t addr, len;
};

struct file_ops {
	const char *name; /* as in /proc/PID/fd: "pipe", "socket", "anon_inode:[eventfd]" */
	/* Bytes, or a negative errno. `pos` is NULL for what has no position. User memory. */
	int64_t (*read)(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos);
	int64_t (*write)(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos);
	/* Instead of them, of what has a queue of bytes: they move what can be moved of *data now.
	 * -EAGAIN: nothing is there to take; 0: no room to give. */
	int64_t (*take)(void *data, uint64_t buf, uint64_t n);
	int64_t (*give)(void *data, uint64_t buf, uint64_t n);
	/* A vector as one message, instead of all; without it one element is read or written after
	 * the other. */
	int64_t (*vector)(struct file *f, bool write, const struct uio *v, unsigned n);
	unsigned (*poll)(struct file *f); /* POLL* that hold now */
	/* What is woken when poll() changes: queue()'s, or that at this offset in *data. */
	struct waitq *(*queue)(struct file *f);
	size_t waitq;
	size_t ring; /* offset in *data of the struct ring that read() empties: for FIONREAD */
	int64_t (*ioctl)(struct file *f, unsigned cmd, uint64_t arg);
	int64_t (*mmap)(struct file *f, uint64_t addr, uint64_t len, unsigned flags,
			uint64_t offset, bool fixed);
	uint64_t (*size)(struct file *f); /* for SEEK_END; without it that of the node's bytes */
	int (*sync)(struct file *f);      /* fsync(); without it there is nothing to do */
	void (*close)(struct file *f);    /* the last reference is gone */
};

struct file {
	const struct file_ops *ops;
	uint32_t refs;
	unsigned flags;       /* O_* */
	uint64_t pos, number; /* number: no other's */
	struct node *node;    /* files of the file system; else NULL */
	void *data;           /* of the kind */
	uint32_t fds;         /* descriptors that stand for it */
	struct list watched;  /* items of epoll sets, which go with the last of these */
	uint64_t denied;      /* LANDLOCK_ACCESS_FS_* that who opened it had not */
};

/* Takes over `data`: without memory (NULL) it is closed, too. */
struct file *file_new(const struct file_ops *ops, unsigned flags, void *data);
struct file *file_get(struct file *f);
void file_put(struct file *f);

/* The file behind a descriptor of the current process, with a reference; NULL: EBADF. */
struct file *fd_get(int fd);
/* The same of any process' files; NULL has none. */
struct file *files_get(struct files *files, int fd);
/* Gives the lowest free descriptor >= min; takes over the reference. fd or -EMFILE (file is put).
 */
int fd_install(struct file *f, bool cloexec, int min);
/* A descriptor for a new file to read and write; of `flags` O_NONBLOCK and O_CLOEXEC count. */
int fd_new(const struct file_ops *ops, unsigned flags, void *data);
/* Descriptors for two new files (or NULL) to user memory; both or none. */
int fd_new_pair(struct file *a, struct file *b, bool cloexec, uint64_t to);
int fd_close(int fd);
struct files *files_new(void);
struct files *files_copy(struct files *from);
/* Closes them all; NULL is allowed. */
void files_free(struct process *owner, struct files *f);
void files_close_on_exec(struct files *f);

/* Blocks until `events` or POLLERR, POLLHUP hold; -EAGAIN if the file is non-blocking, -EINTR. */
int file_wait(struct file *f, unsigned events);

/* Takes a file out of all epoll sets. */
void epoll_forget(struct file *f);

/* What is woken when its poll() changes; NULL: nothing, as it does not. */
struct waitq *file_queue(struct file *f);

/* Until `condition` holds, waits for `events`; 0 or an error of file_wait(). */
#define FILE_WAIT_FOR(f, events, condition)         \
	({                                          \
		int rc_ = 0;                        \
                                                    \
		while (!rc_ && !(condition))        \
			rc_ = file_wait(f, events); \
		rc_;                                \
	})

/* Of what has take() and give(): some bytes at least, and all. */
int64_t file_read_some(struct file *f, uint64_t buf, uint64_t n, bool dontwait);
int64_t file_write_all(struct file *f, uint64_t buf, uint64_t n, bool dontwait);

/* What system calls return when a signal came while they waited: they may begin again. No program
 * sees it. */
#define ERESTARTSYS     512
#define RESTARTABLE(rc) ((rc) == -EINTR ? -ERESTARTSYS : (rc))

#endif
