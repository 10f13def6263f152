/* SPDX-License-Identifier: Apache-2.0 */
/* syslog(2): the kernel's messages. */
#include "kernel/lib/lib.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"

enum {
	SYSLOG_READ_ALL = 3,
	SYSLOG_CONSOLE_OFF = 6,
	SYSLOG_CONSOLE_ON = 7,
	SYSLOG_SIZE_BUFFER = 10,
};

static int64_t read_all(uint64_t to, uint64_t n)
{
	char part[512];
	uint64_t left = MIN(n, log_size()), done = 0;

	while (left) {
		size_t got = log_read(left, part, MIN(sizeof(part), left));

		if (!got || copy_to_user(to + done, part, got))
			return got ? -EFAULT : (int64_t)done;
		left -= got;
		done += got;
	}
	return (int64_t)done;
}

int64_t sys_syslog(const uint64_t *a)
{
	switch (a[0]) {
	case SYSLOG_READ_ALL:
		return read_all(a[1], (uint32_t)a[2]);
	case SYSLOG_CONSOLE_OFF:
	case SYSLOG_CONSOLE_ON:
		log_to_console(a[0] == SYSLOG_CONSOLE_ON);
		return 0;
	case SYSLOG_SIZE_BUFFER:
		return (int64_t)log_size();
	}
	return -EINVAL;
}
