/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mm/user.h"

#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/layout.h"

size_t copy_user_raw(void *to, const void *from, size_t n);

static bool user_range(uint64_t addr, size_t n)
{
	return addr <= USER_END && n <= USER_END - addr;
}

static int copy(void *to, const void *from, size_t n)
{
	bool faulted;

	user_access_begin();
	faulted = copy_user_raw(to, from, n);
	user_access_end();
	return faulted ? -EFAULT : 0;
}

int copy_from_user(void *to, uint64_t from, size_t n)
{
	return user_range(from, n) ? copy(to, (const void *)from, n) : -EFAULT;
}

int copy_to_user(uint64_t to, const void *from, size_t n)
{
	return user_range(to, n) ? copy((void *)to, from, n) : -EFAULT;
}

int string_from_user(char *to, uint64_t from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int rc = copy_from_user(to + i, from + i, 1);

		if (rc)
			return rc;
		if (!to[i])
			return (int)i;
	}
	return -ENAMETOOLONG;
}
