/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/null and its kind. */
#include "kernel/sys/dev.h"

#include "kernel/mm/user.h"
#include "kernel/sys/random.h"
#include "kernel/sys/signal.h"
#include "kernel/sys/vfs.h"

static int64_t nothing(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return 0;
}

static int64_t swallow(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return (int64_t)n;
}

static int64_t no_space(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return -ENOSPC;
}

int64_t fill_user(uint64_t buf, uint64_t n, bool random)
{
	uint8_t bytes[512] = {0};

	for (uint64_t done = 0; done < n; done += sizeof(bytes)) {
		size_t part = MIN(sizeof(bytes), n - done);

		schedule_if_due();
		if (done && signal_pending(current_thread()))
			return (int64_t)done;
		if (random)
			random_bytes(bytes, part);
		if (copy_to_user(buf + done, bytes, part))
			return -EFAULT;
	}
	return (int64_t)n;
}

static int64_t zeros(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return fill_user(buf, n, false);
}

static int64_t random(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	return fill_user(buf, n, true);
}

static int64_t to_log(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	char line[256];
	size_t len = MIN(n, sizeof(line) - 1);

	if (copy_from_user(line, buf, len))
		return -EFAULT;
	while (len && line[len - 1] == '\n')
		len--;
	klog("%.*s", (int)len, line);
	return (int64_t)n;
}

static int64_t map_zero(struct file *f, uint64_t addr, uint64_t len, unsigned flags,
			uint64_t offset, bool fixed)
{
	return space_map(current_process()->space, addr, len, flags & ~VMA_SHARED, NULL, 0, fixed);
}

static const struct {
	const char *path;
	unsigned rdev; /* major << 8 | minor, Linux's */
	struct file_ops ops;
} devices[] = {
	{"dev/null", 0x103, {.name = "null", .read = nothing, .write = swallow}},
	{"dev/zero", 0x105, {.name = "zero", .read = zeros, .write = swallow, .mmap = map_zero}},
	{"dev/full", 0x107, {.name = "full", .read = zeros, .write = no_space}},
	{"dev/random", 0x108, {.name = "random", .read = random, .write = swallow}},
	{"dev/urandom", 0x109, {.name = "random", .read = random, .write = swallow}},
	{"dev/kmsg", 0x10b, {.name = "kmsg", .read = nothing, .write = to_log}},
};

static struct file *open_device(struct node *n, unsigned flags, int *rc)
{
	*rc = -ENOMEM;
	return file_new(n->data, flags, NULL);
}

void dev_init(void)
{
	static const struct node_ops ops = {.open = open_device};

	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		vfs_device(devices[i].path, S_IFCHR | 0666, devices[i].rdev, &ops,
			   (void *)&devices[i].ops);
}
