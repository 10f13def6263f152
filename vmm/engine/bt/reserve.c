/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for tables that are large and thinly used. */
#include "vmm/engine/bt/vm.h"

#include <sys/mman.h>
#include <unistd.h>

int bt_create_file(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)size)) {
		close(fd);
		return -1;
	}
	return fd;
}

void *bt_reserve(const char *name, size_t size)
{
	int fd = bt_create_file(name, size);
	void *p;

	if (fd < 0)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void bt_release(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}
