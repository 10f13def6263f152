/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a disk image (qcow2 or VDI, by their first ones): opened, checked, read and written
 * at places that the bytes choose, resized, repaired. No crash, no stray access, bounded memory.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/backend/image/chain.h"
#include "vmm/backend/image/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define BUFFER (200 * KIB)

static void ignore(struct disk_req *r, int rc)
{
	(void)r, (void)rc;
}

/* Eight bytes of the input make one request. */
static void request(struct disk *d, const uint8_t *from)
{
	static uint8_t buffer[BUFFER];
	struct iovec iov = {buffer, 0};
	struct disk_req r = {.iov = &iov, .niov = 1, .done = ignore};
	uint64_t n, place;

	memcpy(&n, from, 8);
	place = d->size / 512 ? (n >> 24) * 0x9e3779b97f4a7c15ull % (d->size / 512) : 0;
	r.op = n % (DISK_WRITE_ZEROES + 1);
	r.offset = n & 8 ? n % 4096 / 16 * 512 : place * 512;
	r.len = r.op == DISK_FLUSH ? 0 : (n >> 12 & 0xff) * 512 + 512;
	iov.iov_len = r.len;
	disk_submit(d, &r);
	disk_drain(d);
}

static void use(const char *path, bool writable, const uint8_t *data, size_t size)
{
	const struct image_access a = {.writable = writable, .alone = true};
	const struct disk_options o = {.path = path, .readonly = !writable};
	struct image *top;
	struct disk *d;
	struct err e;

	if (image_open_file(&top, path, &a, &e))
		return;
	if (!top->size || image_disk_create(top, &o, NULL, &d, &e)) {
		image_close_chain(top);
		return;
	}
	for (size_t at = size > 256 ? size - 256 : 0; at + 8 <= size; at += 8)
		request(d, data + at);
	disk_close(d);
}

static void check(const char *path, bool repair)
{
	struct image_check c = {0};
	struct err e;

	image_check(path, NULL, repair, &c, &e);
}

/* ---- good images ---------------------------------------------------------------------------- */

static const struct image_create kinds[] = {
	{.format = "qcow2", .size = 300 * KIB, .cluster = 512},
	{.format = "qcow2", .size = 2 * MIB, .cluster = 4096},
	{.format = "vdi", .size = 20 * MIB},
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct {
	uint8_t *data;
	size_t size;
} good[NKINDS];

/* Some data, so that there are tables to be changed. */
static void fill(const char *path)
{
	static const uint64_t requests[] = {DISK_WRITE | 40ull << 12 | 5ull << 24,
					    DISK_WRITE | 3ull << 12 | 77ull << 24,
					    DISK_WRITE_ZEROES | 9ull << 12 | 99ull << 24,
					    DISK_WRITE | 200ull << 12 | 1234ull << 24};

	use(path, true, (const uint8_t *)requests, sizeof(requests));
}

static void make_good(size_t kind)
{
	char path[32];
	struct err e;
	int fd = memfd_create("good", 0);
	off_t end;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (image_format_find(kinds[kind].format, &e)->create(fd, &kinds[kind], &e))
		abort();
	fill(path);
	end = lseek(fd, 0, SEEK_END);
	good[kind].size = (size_t)end < 256 * KIB ? (size_t)end : 256 * KIB;
	good[kind].data = malloc(good[kind].size);
	if (pread(fd, good[kind].data, good[kind].size, 0) != (ssize_t)good[kind].size)
		abort();
	close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	for (size_t i = 0; i < NKINDS; i++)
		make_good(i);
	return 0;
}

struct change {
	uint16_t place;
	uint8_t how, value;
} __attribute__((packed));

/* One byte, a big-endian or little-endian number, a number with all bits. */
static void apply(uint8_t *image, size_t size, const struct change *c)
{
	size_t at = c->how & 0x80 ? c->place % 512 : c->place * 8ull % size;
	size_t n = 1u << (c->how & 3);

	if (at + n > size)
		return;
	memset(image + at, c->how & 4 ? 0xff : 0, n);
	image[at + (c->how & 8 ? 0 : c->how & 16 ? (n > 1 ? n - 2 : 0) : n - 1)] = c->value;
}

static void put_image(int fd, const uint8_t *data, size_t size)
{
	size_t kind = size ? data[0] % (NKINDS + 1) : NKINDS;
	uint8_t *image = NULL;

	if (kind < NKINDS) {
		image = malloc(good[kind].size);
		memcpy(image, good[kind].data, good[kind].size);
		for (size_t at = 1; at + sizeof(struct change) <= size && at < 100; at += 4)
			apply(image, good[kind].size, (const struct change *)(data + at));
		data = image;
		size = good[kind].size;
	}
	if (write(fd, data, size) != (ssize_t)size)
		abort();
	free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[32];
	struct err e;
	int fd = memfd_create("image", 0);

	if (fd < 0)
		abort();
	put_image(fd, data, size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	use(path, false, data, size);
	check(path, false);
	use(path, true, data, size);
	check(path, true);
	image_resize(path, NULL, 4 * MIB, &e);
	check(path, false);
	close(fd);
	return 0;
}
