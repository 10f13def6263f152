/* SPDX-License-Identifier: Apache-2.0 */
/* A firmware image in its ROM below 4 GiB and, as on a PC after shadowing, in RAM below 1 MiB. */
#include "vmm/boot/firmware.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/loader.h"

#define FIRMWARE_MAX  (16 * MIB)
#define FIRMWARE_UNIT (64 * KIB)
#define SHADOW_MAX    (128 * KIB)
#define FOUR_GIB      0x100000000ull

static int check_size(const struct boot_image *i, struct err *e)
{
	if (i->size && i->size <= FIRMWARE_MAX && i->size % FIRMWARE_UNIT == 0)
		return 0;
	return err_set(e, -EINVAL,
		       "%s: not a firmware image: %llu bytes, but it must be a multiple of 64 KiB, "
		       "at most 16 MiB",
		       i->path, (unsigned long long)i->size);
}

int boot_prepare_memory(const char *firmware, struct guest_memory *m, struct err *e)
{
	struct boot_image i;
	uint8_t *host;
	int rc;

	if (!firmware)
		return 0;
	rc = image_open(&i, firmware, e);
	if (rc)
		return rc;
	rc = check_size(&i, e);
	if (!rc)
		rc = mem_add_rom(m, FOUR_GIB - i.size, i.size, &host, e);
	image_close(&i);
	return rc;
}

/* The ROM slot, found by its end: the file may have another size by now. */
static uint8_t *find_rom(const struct guest_memory *m, uint64_t *size)
{
	for (unsigned i = 0; i < m->nslots; i++) {
		const struct mem_slot *s = &m->slot[i];

		if (s->readonly && s->gpa + s->size == FOUR_GIB) {
			*size = s->size;
			return s->host;
		}
	}
	return NULL;
}

static int fill(const struct boot_image *i, struct guest_memory *m, struct err *e)
{
	uint64_t size = 0, shadow;
	uint8_t *rom = find_rom(m, &size);

	if (!rom || size != i->size)
		return err_set(e, -EINVAL, "%s: its size changed since the machine was created",
			       i->path);
	if (image_read(i, 0, rom, size, "the firmware", e))
		return e->code;
	mem_written(m, FOUR_GIB - size, size);
	shadow = size < SHADOW_MAX ? size : SHADOW_MAX;
	if (!mem_write(m, BOOT_HIGH - shadow, rom + size - shadow, shadow))
		return err_set(e, -ENOSPC, "%s: no RAM below 1 MiB", i->path);
	return 0;
}

int firmware_load(const char *path, struct guest_memory *m, struct x86_cpu_state *bsp,
		  struct err *e)
{
	struct boot_image i;
	int rc = image_open(&i, path, e);

	if (rc)
		return rc;
	rc = fill(&i, m, e);
	image_close(&i);
	if (!rc)
		boot_state_reset(bsp, 0);
	return rc;
}
