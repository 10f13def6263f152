/* SPDX-License-Identifier: Apache-2.0 */
/* From the SYSCALL instruction to the function of its number. */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/entry.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/file.h"

#define CALL_MAX 512

static const struct {
	int64_t (*fn)(const uint64_t *args);
	int64_t (*file_fn)(struct file *f, const uint64_t *args);
	bool socket, free;
} calls[CALL_MAX] = {
#define CALL(number, name, limits)        [number] = {.fn = sys_##name},
#define FREE_CALL(number, name, limits)   [number] = {.fn = sys_##name, .free = true},
#define FILE_CALL(number, name, limits)   [number] = {.file_fn = sys_##name},
#define SOCKET_CALL(number, name, limits) [number] = {.file_fn = sys_##name, .socket = true},
#include "kernel/sys/table.def"
#undef CALL
#undef FREE_CALL
#undef FILE_CALL
#undef SOCKET_CALL
};

static int64_t call_file(uint64_t number, const uint64_t *args)
{
	struct file *f = fd_get((int)args[0]);
	int64_t rc = !f ? -EBADF : calls[number].socket ? file_check_socket(f) : 0;

	if (!rc)
		rc = calls[number].file_fn(f, args);
	file_put(f);
	return rc;
}

static void log_missing(uint64_t number)
{
	/* Programs ask for these and do without: sendfile (40); seccomp (317); rseq (334), which
	 * glibc wants at each start; io_uring_setup (425). */
	static uint64_t logged[CALL_MAX / 64] = {1UL << 40, [4] = 1UL << (317 - 256),
						 1UL << (334 - 320), 1UL << (425 - 384)};
	uint64_t bit = 1UL << number % 64;

	if (number < CALL_MAX &&
	    __atomic_fetch_or(&logged[number / 64], bit, __ATOMIC_RELAXED) & bit)
		return;
	klog("%s[%d]: system call %lu is not implemented", current_thread()->name,
	     current_thread()->tid, number);
}

void syscall_handle(struct regs *r)
{
	const uint64_t args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
	uint64_t number = r->rax;

	current_thread()->regs = r;
	__asm__ volatile("sti");
	if (number < CALL_MAX && calls[number].free && current_process()->domain) {
		r->rax = (uint64_t)-EPERM;
	} else if (number < CALL_MAX && calls[number].fn) {
		r->rax = (uint64_t)calls[number].fn(args);
	} else if (number < CALL_MAX && calls[number].file_fn) {
		r->rax = (uint64_t)call_file(number, args);
	} else {
		log_missing(number);
		r->rax = (uint64_t)-ENOSYS;
	}
}
