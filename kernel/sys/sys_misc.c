/* SPDX-License-Identifier: Apache-2.0 */
/* Time, limits, names, and what has no better place. */
#include <linux/prctl.h>
#include <linux/reboot.h>
#include <linux/resource.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

#include "kernel/cpu/acpi.h"
#include "kernel/drivers/block.h"
#include "kernel/mm/page.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/process.h"
#include "kernel/sys/random.h"
#include "kernel/sys/time.h"

static int read_clock(uint64_t id, uint64_t *ns)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		*ns = now_ns() + wall_offset_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*ns = now_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		sched_account();
		*ns = current_process()->used_ns;
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		sched_account();
		*ns = current_thread()->cpu_ns;
		return 0;
	}
	return -EINVAL;
}

static int64_t give_ts(uint64_t to, uint64_t ns)
{
	uint64_t ts[2] = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};

	return copy_to_user(to, ts, sizeof(ts));
}

int64_t sys_clock_gettime(const uint64_t *a)
{
	uint64_t ns;
	int rc = read_clock(a[0], &ns);

	return rc ? rc : give_ts(a[1], ns);
}

int64_t sys_clock_settime(const uint64_t *a)
{
	uint64_t ns;
	int rc = a[0] == CLOCK_REALTIME ? timespec_from_user(a[1], &ns) : -EINVAL;

	if (!rc)
		wall_set(ns);
	return rc;
}

int64_t sys_gettimeofday(const uint64_t *a)
{
	uint64_t ns = now_ns() + wall_offset_ns();
	uint64_t tv[2] = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / 1000};

	return a[0] ? copy_to_user(a[0], tv, sizeof(tv)) : 0;
}

int64_t sys_time(const uint64_t *a)
{
	uint64_t s = (now_ns() + wall_offset_ns()) / NSEC_PER_SEC;

	if (a[0] && copy_to_user(a[0], &s, 8))
		return -EFAULT;
	return (int64_t)s;
}

static int64_t sleep_until(uint64_t deadline, uint64_t remainder)
{
	struct waitq none = {0};
	int rc = WAIT_FOR(&none, deadline, false);

	if (rc == -EINTR && remainder)
		give_ts(remainder, deadline > now_ns() ? deadline - now_ns() : 0);
	return rc == -ETIMEDOUT ? 0 : rc;
}

int timespec_check(const uint64_t ts[2], uint64_t *ns)
{
	if (ts[1] >= NSEC_PER_SEC || ts[0] > INT64_MAX / NSEC_PER_SEC - 1)
		return -EINVAL;
	*ns = ts[0] * NSEC_PER_SEC + ts[1];
	return 0;
}

int timespec_from_user(uint64_t from, uint64_t *ns)
{
	uint64_t ts[2];
	int rc = copy_from_user(ts, from, sizeof(ts));

	return rc ? rc : timespec_check(ts, ns);
}

int64_t sys_clock_nanosleep(const uint64_t *a)
{
	uint64_t ns, base;
	int rc = timespec_from_user(a[2], &ns);

	rc = rc ? rc : read_clock(a[0], &base);
	if (rc)
		return rc;
	if (a[1] & TIMER_ABSTIME)
		return ns <= base ? 0 : sleep_until(now_ns() + ns - base, 0);
	return sleep_until(now_ns() + ns, a[3]);
}

int64_t sys_sched_yield(const uint64_t *a)
{
	schedule();
	return 0;
}

int64_t sys_sched_getaffinity(const uint64_t *a)
{
	uint64_t mask = ncpus == 64 ? ~0UL : (1UL << ncpus) - 1;

	if (a[1] < 8)
		return -EINVAL;
	return copy_to_user(a[2], &mask, 8) ? -EFAULT : 8;
}

/* ---- names and limits ------------------------------------------------------------------------ */

int64_t sys_uname(const uint64_t *a)
{
	static const struct new_utsname u = {.sysname = "Linux",
					     .nodename = "baton",
					     .release = "6.1.0-baton",
					     .version = "Baton 0.1",
					     .machine = "x86_64"};

	return copy_to_user(a[0], &u, sizeof(u));
}

int64_t sys_sysinfo(const uint64_t *a)
{
	struct page_stats p = page_stats();
	struct sysinfo s = {.uptime = (int64_t)(now_ns() / NSEC_PER_SEC),
			    .totalram = p.total * PAGE_SIZE,
			    .freeram = p.free * PAGE_SIZE,
			    .mem_unit = 1};

	return copy_to_user(a[0], &s, sizeof(s));
}

static void get_limit(unsigned which, uint64_t lim[2])
{
	lim[0] = lim[1] = UINT64_MAX;
	if (which == RLIMIT_STACK)
		lim[0] = lim[1] = 8UL << 20;
	else if (which == RLIMIT_NOFILE)
		lim[0] = lim[1] = MAX_FILES;
	else if (which == RLIMIT_AS && current_process()->space->limit != UINT64_MAX)
		lim[0] = lim[1] = current_process()->space->limit * PAGE_SIZE;
}

int64_t sys_prlimit64(const uint64_t *a)
{
	uint64_t lim[2], old[2];

	if (a[0] && (int)a[0] != current_process()->pid)
		return -ESRCH; /* no other process' */
	if (a[1] >= RLIM_NLIMITS)
		return -EINVAL;
	get_limit((unsigned)a[1], old);
	if (a[2] && copy_from_user(lim, a[2], sizeof(lim)))
		return -EFAULT;
	if (a[2] && lim[0] > lim[1])
		return -EINVAL;
	if (a[2] && lim[1] > old[1] && current_process()->domain)
		return -EPERM;
	/* Resident memory, which is what a process can take away from others; the rest is fixed. */
	if (a[2] && a[1] == RLIMIT_AS)
		current_process()->space->limit =
			lim[0] == UINT64_MAX ? lim[0] : lim[0] / PAGE_SIZE;
	return a[3] ? copy_to_user(a[3], old, sizeof(old)) : 0;
}

int64_t sys_times(const uint64_t *a)
{
	uint64_t t[4] = {0};

	sched_account();
	t[0] = current_process()->used_ns / 10000000;
	if (a[0] && copy_to_user(a[0], t, sizeof(t)))
		return -EFAULT;
	return (int64_t)(now_ns() / 10000000);
}

int64_t sys_getrandom(const uint64_t *a)
{
	return fill_user(a[0], a[1], true);
}

int64_t sys_prctl(const uint64_t *a)
{
	struct thread *t = current_thread();

	switch (a[0]) {
	case PR_SET_NAME: {
		char name[16] = {0};

		if (copy_from_user(name, a[1], sizeof(name) - 1))
			return -EFAULT;
		memcpy(t->name, name, sizeof(name));
		return 0;
	}
	case PR_GET_NAME:
		return copy_to_user(a[1], t->name, sizeof(t->name));
	case PR_GET_DUMPABLE:
	case PR_SET_DUMPABLE: /* there are no core dumps */
		return 0;
	case PR_SET_NO_NEW_PRIVS: /* no program gains any */
	case PR_GET_NO_NEW_PRIVS:
		return a[0] == PR_GET_NO_NEW_PRIVS;
	}
	return -EINVAL;
}

/* There is no swap to keep memory from, and waiters of a lock whose holder died wait on. */
int64_t sys_munlock(const uint64_t *a)
{
	return 0;
}

int64_t sys_sync(const uint64_t *a)
{
	block_flush_all();
	return 0;
}

int64_t sys_reboot(const uint64_t *a)
{
	switch (a[2]) {
	case LINUX_REBOOT_CMD_RESTART:
		machine_reboot();
	case LINUX_REBOOT_CMD_POWER_OFF:
	case LINUX_REBOOT_CMD_HALT:
		machine_power_off();
	case LINUX_REBOOT_CMD_CAD_ON:
	case LINUX_REBOOT_CMD_CAD_OFF:
		return 0;
	}
	return -EINVAL;
}
