/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no C library, for code that runs while the guest's vectors are in the host's
 * registers. */
#include "vmm/engine/bt/vm.h"

#include <sys/syscall.h>

long bt_syscall(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

void bt_lock(_Atomic int *lock)
{
	for (unsigned spins = 0; atomic_exchange(lock, 1); spins++) {
		if (spins & 63)
			__builtin_ia32_pause();
		else
			bt_syscall(SYS_sched_yield, 0, 0, 0, 0);
	}
}

void bt_unlock(_Atomic int *lock)
{
	atomic_store(lock, 0);
}

uint64_t bt_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}
