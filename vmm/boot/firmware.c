/* SPDX-License-Identifier: Apache-2.0 */
/* A firmware image in its ROM below 4 GiB and, as on a PC after shadowing, in RAM below 1 MiB. */
#include "vmm/boot/firmware.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/loader.h"

#define FIRMWARE_MAX  (16 * MIB)
#define FIRMWARE_UNIT (4 * KIB)
#define SHADOW_MAX    (128 * KIB)
#define FOUR_GIB      0x100000000ull

/* Where distributions keep the firmware that has a name here; the first that is there is taken. */
static const struct {
	const char *name, *code, *variables;
} places[] = {
	{"bios", "/usr/share/seabios/bios-256k.bin", NULL},
	{"bios", "/usr/share/qemu/bios-256k.bin", NULL},
	{"uefi", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"uefi", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"uefi", "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
	{"uefi", "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
};

int firmware_find(const char *name, struct firmware_files *f, struct err *e)
{
	bool known = false;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(places[i].name, name))
			continue;
		known = true;
		*f = (struct firmware_files){places[i].code, places[i].variables};
		if (!access(f->code, R_OK))
			return 0;
	}
	*f = (struct firmware_files){name, NULL};
	if (!known)
		return 0;
	return err_set(e, -ENOENT,
		       "firmware %s is not installed; on Debian it is in the package %s", name,
		       *name == 'b' ? "seabios" : "ovmf");
}

static int check_size(const struct boot_image *i, struct err *e)
{
	if (i->size && i->size <= FIRMWARE_MAX && i->size % FIRMWARE_UNIT == 0)
		return 0;
	return err_set(e, -EINVAL,
		       "%s: not a firmware image: %llu bytes, but it must be a multiple of 4 KiB, "
		       "at most 16 MiB",
		       i->path, (unsigned long long)i->size);
}

const char *firmware_code(const char *name)
{
	struct firmware_files f;

	return firmware_find(name, &f, NULL) ? NULL : f.code;
}

int boot_prepare_memory(const struct boot_config *b, struct guest_memory *m, gpa_t *below,
			struct err *e)
{
	struct firmware_files f;
	struct boot_image i;
	uint8_t *host;
	int rc;

	*below = FOUR_GIB;
	if (!b->firmware)
		return 0;
	if (firmware_find(b->firmware, &f, e) || image_open(&i, b->files, f.code, e))
		return e->code;
	*below = FOUR_GIB - i.size;
	rc = check_size(&i, e);
	if (!rc)
		rc = mem_add_rom(m, *below, i.size, &host, e);
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

int firmware_load(const struct boot_config *b, struct guest_memory *m, struct x86_cpu_state *bsp,
		  struct err *e)
{
	struct firmware_files f;
	struct boot_image i;
	int rc;

	if (firmware_find(b->firmware, &f, e) || image_open(&i, b->files, f.code, e))
		return e->code;
	rc = fill(&i, m, e);
	image_close(&i);
	if (!rc)
		boot_state_reset(bsp, 0);
	return rc;
}
