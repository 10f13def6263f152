/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the fw_cfg device: see firmwarefiles.h. */
#include "vmm/firmwarefiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "vmm/backend/nvram.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/firmware.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/smbios.h"
#include "vmm/boot/tableloader.h"
#include "vmm/device/fwcfg.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/pflash.h"

#define TABLES_SIZE (64 * KIB) /* padded: firmware learns the size before the tables are final */
#define MENU_WAIT   5000       /* milliseconds */

/* ---- the flash chip --------------------------------------------------------------------------
 */

int machine_prepare_flash(struct machine *m, struct err *e)
{
	const char *name = spec_firmware(m->spec);
	struct firmware_files f;
	uint8_t *rom;

	if (!name)
		return 0;
	if (firmware_find(name, &f, e))
		return e->code;
	if (!f.variables && !m->spec->nvram)
		return 0;
	if (nvram_open(m->spec->nvram, f.variables, m->loop, &m->nvram, e))
		return e->code;
	m->flash = m->rom_start - nvram_size(m->nvram);
	return mem_add_rom(&m->mem, m->flash, nvram_size(m->nvram), &rom, e);
}

static void flash_changed(void *opaque)
{
	nvram_changed(opaque);
}

static int add_flash(struct machine *m, struct err *e)
{
	struct device_conf conf = {.name = "pflash"};
	struct pflash_conf chip = {.gpa = m->flash, .changed = flash_changed, .opaque = m->nvram};

	if (!m->nvram)
		return 0;
	chip.size = nvram_size(m->nvram);
	chip.data = nvram_data(m->nvram);
	chip.rom = mem_ptr(&m->mem, m->flash, chip.size, false);
	conf.backend = &chip;
	return machine_add_device(m, &conf, NULL, e);
}

/* ---- numbers and memory map ------------------------------------------------------------------
 */

static int set_number(struct machine *m, unsigned key, uint64_t n, unsigned bytes, struct err *e)
{
	return fwcfg_set_item(m->fwcfg, key, &n, bytes, e);
}

static int set_numbers(struct machine *m, struct err *e)
{
	unsigned cpus = m->spec->cpus;
	uint8_t uuid[16];

	spec_uuid(m->spec, uuid);
	if (fwcfg_set_item(m->fwcfg, FWCFG_UUID, uuid, sizeof(uuid), e) ||
	    set_number(m, FWCFG_RAM_SIZE, m->mem.ram_size, 8, e) ||
	    set_number(m, FWCFG_NOGRAPHIC, 1, 2, e) || set_number(m, FWCFG_NB_CPUS, cpus, 2, e) ||
	    set_number(m, FWCFG_MAX_CPUS, cpus, 2, e) ||
	    set_number(m, FWCFG_BOOT_MENU, m->spec->boot_menu, 2, e))
		return e->code;
	return 0;
}

static int set_file_number(struct machine *m, const char *name, uint64_t n, unsigned bytes,
			   struct err *e)
{
	return fwcfg_set_file(m->fwcfg, name, &n, bytes, e);
}

/* RAM only: firmware itself knows what it puts where. */
static int set_memory_map(struct machine *m, struct err *e)
{
	struct {
		uint64_t base, size;
		uint32_t type;
	} __attribute__((packed)) map[2];
	uint64_t low = boot_low_end(&m->mem), high = m->mem.ram_size - low;

	map[0].base = 0;
	map[0].size = low;
	map[1].base = MEM_HIGH_START;
	map[1].size = high;
	map[0].type = map[1].type = BOOT_RAM;
	return fwcfg_set_file(m->fwcfg, "etc/e820", map, (high ? 2 : 1) * sizeof(map[0]), e);
}

/* Then the BIOS shows its text there too. */
static bool serial_is_seen(const struct spec *s)
{
	return !strcmp(s->serial, "stdio") || !spec_has_screen(s);
}

/* A kernel that is started directly has better clocks, and starts faster without. */
static bool has_hpet(const struct machine *m)
{
	return spec_firmware(m->spec) != NULL;
}

/* It cannot take the lines of a PIT that is inside the engine. */
static int add_hpet(struct machine *m, struct err *e)
{
	struct device_conf conf = {
		.name = "hpet",
		.prop = {{.key = "legacy", .value = m->engine->irqchip ? "0" : "1"}},
		.nprops = 1,
	};

	return has_hpet(m) ? machine_add_device(m, &conf, NULL, e) : 0;
}

int machine_add_firmware(struct machine *m, struct err *e)
{
	struct device_conf conf = {.name = "fw-cfg"};

	if (add_hpet(m, e) || machine_add_device(m, &conf, &m->fwcfg, e) || add_flash(m, e) ||
	    set_numbers(m, e) || set_memory_map(m, e))
		return e->code;
	if (m->spec->boot_menu && set_file_number(m, "etc/boot-menu-wait", MENU_WAIT, 2, e))
		return e->code;
	return serial_is_seen(m->spec) ? set_file_number(m, "etc/sercon-port", 0x3f8, 2, e) : 0;
}

/* ---- tables ----------------------------------------------------------------------------------
 */

static int set_acpi(struct machine *m, struct err *e)
{
	struct acpi_config config = {.nvcpus = m->spec->cpus,
				     .ecam = pci_host_ecam(m->env.pci),
				     .ram_end = boot_ram_end(&m->mem),
				     .has_hpet = has_hpet(m),
				     .has_vga = spec_has_screen(m->spec)};
	struct acpi_tables t = {.buf = calloc(1, TABLES_SIZE), .cap = TABLES_SIZE};
	uint8_t script[TABLELOADER_MAX * TABLELOADER_ENTRY_SIZE], rsdp[ACPI_RSDP_SIZE];
	int rc;

	if (!t.buf)
		return err_set(e, -ENOMEM, "fw-cfg: out of memory");
	acpi_write_tables(&t, &config);
	acpi_write_rsdp(rsdp, t.xsdt);
	memset(script, 0, sizeof(script));
	tableloader_write(script, &t);
	rc = t.full ? err_set(e, -ENOSPC, "fw-cfg: the ACPI tables do not fit") : 0;
	if (!rc)
		rc = fwcfg_set_file(m->fwcfg, TABLELOADER_TABLES, t.buf, TABLES_SIZE, e);
	if (!rc)
		rc = fwcfg_set_file(m->fwcfg, TABLELOADER_RSDP, rsdp, sizeof(rsdp), e);
	if (!rc)
		rc = fwcfg_set_file(m->fwcfg, TABLELOADER_FILE, script, sizeof(script), e);
	free(t.buf);
	return rc;
}

/* The guest reads a table: firmware has moved the ECAM by now. */
static void refresh_acpi(void *opaque)
{
	struct err e;

	if (set_acpi(opaque, &e))
		log_warn("%s", e.text);
}

static int set_smbios(struct machine *m, struct err *e)
{
	uint8_t structures[1024], anchor[SMBIOS_ANCHOR_SIZE];
	uint8_t uuid[16];
	size_t n;

	spec_uuid(m->spec, uuid);
	n = smbios_write(structures, sizeof(structures), uuid);
	smbios_write_anchor(anchor, n, 0);
	if (fwcfg_set_file(m->fwcfg, "etc/smbios/smbios-tables", structures, n, e))
		return e->code;
	return fwcfg_set_file(m->fwcfg, "etc/smbios/smbios-anchor", anchor, sizeof(anchor), e);
}

/* ---- boot order ------------------------------------------------------------------------------
 */

/* Devices with a place of their own come first, then the classes in their order. */
#define CLASS_RANK 1000u

int machine_note_bootable(struct machine *m, struct device *d, unsigned unit, const char *class,
			  unsigned bootindex, struct err *e)
{
	struct machine_boot_entry *b = &m->bootable[m->nbootable];
	int place = spec_boot_place(m->spec, class);

	if (!d->ops->boot_path || (!bootindex && place < 0))
		return 0;
	for (unsigned i = 0; bootindex && i < m->nbootable; i++)
		if (m->bootable[i].rank == bootindex)
			return err_set(e, -EINVAL, "bootindex %u is given twice", bootindex);
	b->rank = bootindex ? bootindex : CLASS_RANK * (unsigned)(place + 1) + m->nbootable;
	d->ops->boot_path(d, unit, b->path, sizeof(b->path));
	m->nbootable++;
	return 0;
}

static int by_rank(const void *a, const void *b)
{
	const struct machine_boot_entry *x = a, *y = b;

	return (x->rank > y->rank) - (x->rank < y->rank);
}

/* One path a line; the list ends with a NUL. */
static int set_boot_order(struct machine *m, struct err *e)
{
	char text[sizeof(m->bootable)] = "";
	size_t n = 0;

	if (!m->nbootable)
		return 0;
	qsort(m->bootable, m->nbootable, sizeof(m->bootable[0]), by_rank);
	for (unsigned i = 0; i < m->nbootable; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "\n" : "",
				      m->bootable[i].path);
	return fwcfg_set_file(m->fwcfg, "bootorder", text, n + 1, e);
}

int machine_fill_firmware(struct machine *m, struct err *e)
{
	static const char *const tables[] = {TABLELOADER_FILE, TABLELOADER_TABLES,
					     TABLELOADER_RSDP};

	if (set_acpi(m, e) || set_smbios(m, e) || set_boot_order(m, e))
		return e->code;
	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		fwcfg_on_select(m->fwcfg, tables[i], refresh_acpi, m);
	return 0;
}
