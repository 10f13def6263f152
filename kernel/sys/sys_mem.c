/* SPDX-License-Identifier: Apache-2.0 */
/* mmap() and its relatives as system calls. */
#include <asm/prctl.h>
#include <linux/memfd.h>
#include <linux/mman.h>

#include "kernel/cpu/cpu.h"
#include "kernel/mm/space.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/file.h"
#include "kernel/sys/vfs.h"

static int64_t map_anonymous(struct space *s, uint64_t addr, uint64_t len, unsigned vma, bool fixed)
{
	struct memobj *o = NULL;
	int64_t rc;

	if (vma & VMA_SHARED) {
		o = memobj_new();
		if (!o)
			return -ENOMEM;
		o->size = len;
	}
	rc = space_map(s, addr, len, vma, o, 0, fixed);
	memobj_put(o);
	return rc;
}

static int64_t map_file(int fd, uint64_t addr, uint64_t len, unsigned vma, uint64_t offset,
			bool fixed)
{
	struct file *f = fd_get(fd);
	int64_t rc = !f             ? -EBADF
		     : f->ops->mmap ? f->ops->mmap(f, addr, len, vma, offset, fixed)
				    : -ENODEV;

	file_put(f);
	return rc;
}

int64_t sys_mmap(const uint64_t *a)
{
	unsigned type = (unsigned)a[3] & MAP_TYPE;
	bool fixed = a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	unsigned vma = (unsigned)a[2] & 7;

	if (type < MAP_SHARED || type > MAP_SHARED_VALIDATE || a[5] & (PAGE_SIZE - 1) ||
	    (fixed && a[0] & (PAGE_SIZE - 1)))
		return -EINVAL;
	if (type != MAP_PRIVATE)
		vma |= VMA_SHARED;
	if (a[3] & MAP_ANONYMOUS)
		return map_anonymous(current_process()->space, a[0] & PAGE_MASK, a[1], vma, fixed);
	return map_file((int)a[4], a[0] & PAGE_MASK, a[1], vma, a[5], fixed);
}

int64_t sys_munmap(const uint64_t *a)
{
	return space_unmap(current_process()->space, a[0], a[1]);
}

int64_t sys_mprotect(const uint64_t *a)
{
	return space_protect(current_process()->space, a[0], a[1], (unsigned)a[2] & 7);
}

int64_t sys_brk(const uint64_t *a)
{
	return space_brk(current_process()->space, a[0]);
}

int64_t sys_madvise(const uint64_t *a)
{
	switch (a[2]) {
	case MADV_DONTNEED:
		return space_forget(current_process()->space, a[0], a[1]);
	case MADV_FREE:     /* may keep the content */
	case MADV_HUGEPAGE: /* large pages are used wherever they fit */
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		return 0;
	}
	return a[2] < MADV_DONTNEED ? 0 : -EINVAL;
}

/* There is no swap: everything that is there stays there. */
int64_t sys_mlock(const uint64_t *a)
{
	if (a[0] > USER_END || a[1] > USER_END - a[0])
		return -ENOMEM;
	for (uint64_t at = a[0] & PAGE_MASK; at < a[0] + a[1]; at += PAGE_SIZE) {
		schedule_if_due();
		if (space_fault(current_process()->space, at, FAULT_READ))
			return -ENOMEM;
	}
	return 0;
}

int64_t sys_memfd_create(const uint64_t *a)
{
	struct node *n = node_new(S_IFREG | 0777);
	int rc = -ENOMEM;
	struct file *f = n ? node_open(n, O_RDWR, &rc) : NULL;

	node_put(n);
	return f ? fd_install(f, a[1] & MFD_CLOEXEC, 0) : rc;
}

int64_t sys_arch_prctl(const uint64_t *a)
{
	uint64_t v;

	switch (a[0]) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (a[1] >= USER_END)
			return -EPERM;
		wrmsr(a[0] == ARCH_SET_FS ? MSR_FS_BASE : MSR_KERNEL_GS_BASE, a[1]);
		return 0;
	case ARCH_GET_FS:
	case ARCH_GET_GS:
		v = rdmsr(a[0] == ARCH_GET_FS ? MSR_FS_BASE : MSR_KERNEL_GS_BASE);
		return copy_to_user(a[1], &v, 8);
	}
	return -EINVAL;
}
