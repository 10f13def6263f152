/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process' address space: its mappings (struct vma) and its page table. Pages appear at the first
 * touch. Private pages are owned by the page table alone, shared ones belong to a memobj; both are
 * counted, and a private page with more than one reference is copied before it is written.
 */
#ifndef KERNEL_MM_SPACE_H
#define KERNEL_MM_SPACE_H

#include "kernel/lib/lib.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"

/* As PROT_* of mmap(). */
#define VMA_READ   1u
#define VMA_WRITE  2u
#define VMA_EXEC   4u
#define VMA_SHARED 0x10u
#define VMA_SEALED 0x20u /* of a file that is open for reading only: never writable */

struct vma {
	struct list link;
	uint64_t start, end;
	unsigned flags;
	struct memobj *obj; /* NULL: anonymous and private */
	uint64_t offset;    /* of `start` in obj */
};

struct space {
	struct spinlock lock;
	uint32_t refs;
	uint64_t *pml4;
	struct list vmas; /* by address */
	uint64_t brk_start, brk;
	uint64_t resident, limit; /* pages */
	/* Told before translations of [start, end) go; for guests that map the same memory. Lock
	 * held. */
	struct space_watcher {
		struct list link;
		void (*gone)(struct space_watcher *w, uint64_t start, uint64_t end);
	} watchers;
};

enum fault_kind {
	FAULT_READ,
	FAULT_WRITE,
	FAULT_EXEC
};

struct space *space_new(void);
struct space *space_copy(struct space *s); /* for fork(): pages are shared until written */
void space_get(struct space *s);
void space_put(struct space *s);
/* Loads its page table on this CPU; NULL: the kernel's own. */
void space_load(struct space *s);

/*
 * Maps [addr, addr + len) or, if addr is 0, any free range. Takes a reference on `obj`. Returns the
 * address or a negative errno. `fixed` replaces what is there, else a taken range gives another
 * one.
 */
int64_t space_map(struct space *s, uint64_t addr, uint64_t len, unsigned flags, struct memobj *obj,
		  uint64_t offset, bool fixed);
int space_unmap(struct space *s, uint64_t addr, uint64_t len);
int space_protect(struct space *s, uint64_t addr, uint64_t len, unsigned prot);
/* MADV_DONTNEED: the pages go, the mapping stays. */
int space_forget(struct space *s, uint64_t addr, uint64_t len);
int64_t space_brk(struct space *s, uint64_t addr);

/* Makes `addr` accessible; 0, -EFAULT (SIGSEGV) or -ENOMEM (SIGBUS). */
int space_fault(struct space *s, uint64_t addr, enum fault_kind kind);

/*
 * The physical page behind a user address for a guest's second-level page table; made if missing.
 * *order receives 9 if the address lies in a large page. Returns 0 if there is none, or
 * the page's address. Call with s->lock held (space_lock()), and enter it into the guest's table
 * before unlocking: then the watcher sees it go.
 */
uint64_t space_page_locked(struct space *s, uint64_t addr, bool write, unsigned *order);

/* Moves bytes from or to a space that need not be loaded; -ENOMEM if it has not so many there. */
int space_copy_bytes(struct space *s, uint64_t addr, void *buf, size_t n, bool write);

#endif
