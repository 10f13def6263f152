/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks. A driver makes a struct blockdev and starts requests, each in a slot that the core chose;
 * its interrupt says which slots are done. Threads wait for their requests here, so that as many
 * are under way as threads ask. Whole disks and GPT partitions become files in /dev.
 */
#ifndef KERNEL_DRIVERS_BLOCK_H
#define KERNEL_DRIVERS_BLOCK_H

#include "kernel/sched/sched.h"

#define BLOCK_SLOTS     16
#define BLOCK_MAX_BYTES (64u << 10) /* of one request */
#define BLOCK_MAJOR_EXT 259         /* where numbers are given as they come */
#define BLOCK_TIMEOUT   120         /* s; some disks try for long to read a bad sector */

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,    /* what was written before survives the loss of power */
	BLOCK_IDENTIFY, /* AHCI's own */
	BLOCK_OPS,
};

struct block_request {
	enum block_op op;
	uint64_t sector;
	uint32_t sectors;
	uint64_t phys; /* contiguous; on a page's boundary */
	bool done;
	int result;
};

struct blockdev {
	/* Of the driver, before block_register(). */
	char name[16];
	unsigned major;         /* Linux's */
	const char *part_infix; /* between name and partition's number; NULL: nothing */
	uint32_t sector_size;   /* 512 to 4096, a power of two */
	uint64_t sectors;
	bool read_only;
	bool cached;     /* flushing does something */
	unsigned nslots; /* at most BLOCK_SLOTS */
	/* Both with `lock` held. start: hands a request to the device. finish: calls block_done()
	 * for what the device has done. */
	void (*start)(struct blockdev *d, unsigned slot, const struct block_request *r);
	void (*finish)(struct blockdev *d);
	/* NULL, or what is wrong with the hardware: asked each second while a request waits. */
	const char *(*failed)(struct blockdev *d);
	void *driver;

	unsigned index; /* among the disks of its major number */
	struct spinlock lock;
	struct waitq changed; /* a request is done, a slot is free, it died */
	struct block_request *slot[BLOCK_SLOTS];
	bool dead;   /* did not answer: its requests' memory is never used again */
	int writers; /* -1: one who changes parts of sectors */
};

/* Names it in /dev with its partitions: `prefix` and a letter, or d->name without one. In a thread;
 * interrupts must work. 0, -EINVAL or -ENOMEM. */
int block_register(struct blockdev *d, const char *prefix);
/* The driver's interrupt handler, `opaque` is the blockdev. */
void block_interrupt(void *opaque);
/* Says that a request ended; a slot without one is logged. Lock held. */
void block_done(struct blockdev *d, unsigned slot, int result);
/* The disk is not used again, nor the memory of its requests; logged. Lock held. */
void block_dead(struct blockdev *d, const char *why);

/* Does it and waits for the end. 0 or a negative errno; when d->dead the device may still use the
 * memory. */
int block_do(struct blockdev *d, enum block_op op, uint64_t sector, uint32_t sectors,
	     uint64_t phys);

/* Flushes every disk. */
void block_flush_all(void);

/* A disk or a part of it. */
struct block_part {
	struct list link;
	struct blockdev *dev;
	struct node *node;
	char name[24];
	unsigned major, minor;
	uint64_t first, sectors;
};

extern struct list block_parts; /* in the order they were found; only added to */

/* ioctls, as in Linux's <linux/fs.h>, whose limits on names are not ours. */
#define BLKROGET     0x125e
#define BLKGETSIZE   0x1260
#define BLKFLSBUF    0x1261
#define BLKSSZGET    0x1268
#define BLKBSZGET    0x80081270
#define BLKGETSIZE64 0x80081272
#define BLKDISCARD   0x1277
#define BLKPBSZGET   0x127b
#define BLKZEROOUT   0x127f

/* blockfile.c: makes /dev/NAME before the part is in the list. */
void block_file(struct block_part *p);

#endif
