/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the kernel inside a bzImage: an even first byte packs the rest, an odd one says that
 * it is packed. */
#include <lz4.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/loader.h"

#define SETUP 1024 /* bytes before the payload: one sector of set-up code */
#define ROOM  (256 * KIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *image, size_t at, uint64_t value, size_t len)
{
	memcpy(image + at, &value, len);
}

static size_t pack(uint8_t *to, const uint8_t *data, size_t size)
{
	int n = LZ4_compress_default((const char *)data, (char *)to + 8, (int)size, ROOM - 16);

	put(to, 0, 0x184c2102, 4);
	put(to, 4, (unsigned)n, 4);
	put(to, 8 + (size_t)n, size, 4);
	return 8 + (size_t)n + 4;
}

static void put_header(uint8_t *image, size_t payload)
{
	image[0x1f1] = 1;
	put(image, 0x1fe, 0xaa55, 2);
	put(image, 0x200, 0x6aeb, 2);
	put(image, 0x202, 0x53726448, 4);
	put(image, 0x206, 0x20f, 2);
	image[0x211] = 1;
	put(image, 0x22c, 0x7fffffff, 4);
	put(image, 0x230, 2 * MIB, 4);
	put(image, 0x236, 1, 2);
	put(image, 0x238, 2047, 4);
	put(image, 0x24c, payload, 4);
	put(image, 0x258, 16 * MIB, 8);
	put(image, 0x260, 4 * MIB, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[SETUP + ROOM];
	static struct x86_cpu_state bsp;
	static struct guest_memory mem;
	const struct boot_config cfg = {.append = "console=ttyS0", .nvcpus = 1, .unpack = true};
	struct boot_job j = {.cfg = &cfg, .mem = &mem, .bsp = &bsp};
	struct err e;
	size_t n;

	if (!size || size > ROOM / 2 || (!mem.nslots && mem_init(&mem, 32 * MIB, &e)))
		return 0;
	memset(image, 0, SETUP);
	if (data[0] & 1) {
		n = size - 1;
		memcpy(image + SETUP, data + 1, n);
	} else {
		n = pack(image + SETUP, data + 1, size - 1);
	}
	put_header(image, n);
	j.kernel = (struct boot_image){.path = "k", .fd = -1, .data = image, .size = SETUP + n};
	boot_load_images(&j, &e);
	return 0;
}
