/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot 1 kernels: ELF of either class, or any file that gives its own load addresses, with
 * modules and a memory map (Multiboot Specification 0.6.96).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/layout.h"

#define HEADER_MAGIC  0x1badb002u
#define LOADER_MAGIC  0x2badb002u
#define SEARCH_BYTES  8192
#define MAX_MODULES   16
#define STRINGS_BYTES 4096

#define NEEDS_UNKNOWN 0xfff8u /* required features past the three there are */
#define HAS_ADDRESSES (1u << 16)

struct header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

#define HEADER_SHORT 12 /* without addresses */

struct module_entry {
	uint32_t start, end, string, reserved;
};

struct mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t base, len;
	uint32_t type;
} __attribute__((packed));

enum {
	INFO_MEMORY = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODULES = 1 << 3,
	INFO_MMAP = 1 << 6,
	INFO_LOADER_NAME = 1 << 9,
};

/* All at BOOT_INFO; the first part is the interface, the rest what it points to. */
struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table;
	uint32_t boot_loader_name, apm_table, vbe[4], framebuffer[6];
	struct module_entry module[MAX_MODULES];
	struct mmap_entry mmap[BOOT_MAX_RANGES];
	char loader_name[8];
	char strings[STRINGS_BYTES]; /* of the modules */
};

_Static_assert(sizeof(struct multiboot_info) <= BOOT_INFO_SIZE, "information fits");

#define INFO_ADDRESS(field) ((uint32_t)(BOOT_INFO + offsetof(struct multiboot_info, field)))

/* Offset of the header in the file, or -1. */
static int64_t find_header(const struct boot_image *i, struct header *h)
{
	uint8_t buf[SEARCH_BYTES];
	uint64_t len = i->size < sizeof(buf) ? i->size : sizeof(buf);

	if (image_read(i, 0, buf, len, "the start", NULL))
		return -1;
	for (uint64_t off = 0; range_ok(off, HEADER_SHORT, len); off += 4) {
		memset(h, 0, sizeof(*h));
		memcpy(h, buf + off, HEADER_SHORT);
		if (h->magic != HEADER_MAGIC || h->magic + h->flags + h->checksum)
			continue;
		if (range_ok(off, sizeof(*h), len))
			memcpy(h, buf + off, sizeof(*h));
		return (int64_t)off;
	}
	return -1;
}

static bool multiboot_claims(const struct boot_image *i)
{
	struct header h;

	return find_header(i, &h) >= 0;
}

static int bad(const struct boot_job *j, struct err *e, const char *why)
{
	return err_set(e, -EINVAL, "%s: a multiboot kernel that cannot be started: %s",
		       j->kernel.path, why);
}

/* One segment made of the header's addresses ("a.out kludge"). */
static int plan_addresses(const struct boot_job *j, const struct header *h, uint64_t at,
			  struct elf_image *out, struct err *e)
{
	struct elf_segment *s = &out->segment[0];
	uint64_t before = (uint64_t)h->header_addr - h->load_addr;

	if (h->load_addr > h->header_addr || before > at)
		return bad(j, e, "its header is not where its load address says");
	s->type = 1; /* PT_LOAD */
	s->offset = at - before;
	s->vaddr = s->paddr = h->load_addr;
	s->file_size = j->kernel.size - s->offset;
	if (h->load_end_addr) {
		if (h->load_end_addr < h->load_addr)
			return bad(j, e, "its load end lies before its load address");
		s->file_size = h->load_end_addr - h->load_addr;
	}
	s->mem_size = s->file_size;
	if (h->bss_end_addr > s->paddr + s->mem_size)
		s->mem_size = h->bss_end_addr - s->paddr;
	out->nsegments = 1;
	out->entry = h->entry_addr;
	return 0;
}

static int plan(const struct boot_job *j, struct elf_image *out, struct err *e)
{
	struct header h;
	int64_t at = find_header(&j->kernel, &h);

	if (at < 0)
		return bad(j, e, "its header is gone");
	if (h.flags & NEEDS_UNKNOWN)
		return bad(j, e, "it requires features that multiboot 1 does not have");
	memset(out, 0, sizeof(*out));
	if (!(h.flags & HAS_ADDRESSES)) {
		if (!elf_claims(&j->kernel))
			return bad(j, e, "neither an ELF file nor load addresses in its header");
		return elf_read(&j->kernel, out, e);
	}
	if (!range_ok((uint64_t)at, sizeof(h), SEARCH_BYTES))
		return bad(j, e, "its header crosses the first 8 KiB");
	return plan_addresses(j, &h, (uint64_t)at, out, e);
}

/* ---- modules -------------------------------------------------------------------------------- */

static int load_module_file(struct boot_job *j, const char *path, gpa_t *next,
			    struct module_entry *m, struct err *e)
{
	struct boot_image i;
	gpa_t at = align_up(*next, MEM_PAGE_SIZE);
	int rc = image_open(&i, j->cfg->files, path, e);

	if (rc)
		return err_prefix(e, "module");
	rc = image_load(&i, 0, j->mem, at, i.size, "the module", e);
	if (!rc) {
		m->start = (uint32_t)at;
		m->end = (uint32_t)(at + i.size);
		*next = at + i.size;
	}
	image_close(&i);
	return rc;
}

/* `text` is "FILE ARGS"; all of it is the string that the kernel sees. */
static int load_module(struct boot_job *j, const char *text, gpa_t *next, struct module_entry *m,
		       struct err *e)
{
	char *path = strndup(text, strcspn(text, " "));
	int rc;

	if (!path)
		return err_set(e, -ENOMEM, "module %s: out of memory", text);
	rc = load_module_file(j, path, next, m, e);
	free(path);
	return rc;
}

static int put_modules(struct boot_job *j, struct multiboot_info *info, gpa_t kernel_end,
		       struct err *e)
{
	gpa_t next = kernel_end > BOOT_HIGH ? kernel_end : BOOT_HIGH;
	size_t used = 0;

	if (j->cfg->nmodules > MAX_MODULES)
		return err_set(e, -E2BIG, "more than %d modules", MAX_MODULES);
	for (unsigned n = 0; n < j->cfg->nmodules; n++) {
		const char *text = j->cfg->modules[n];
		size_t len = strlen(text) + 1;

		if (!range_ok(used, len, sizeof(info->strings)))
			return err_set(e, -E2BIG, "the modules' names and arguments exceed 4 KiB");
		if (load_module(j, text, &next, &info->module[n], e))
			return e->code;
		memcpy(info->strings + used, text, len);
		info->module[n].string = INFO_ADDRESS(strings) + (uint32_t)used;
		used += len;
	}
	info->mods_count = j->cfg->nmodules;
	info->mods_addr = INFO_ADDRESS(module);
	return 0;
}

/* ---- information for the kernel ------------------------------------------------------------- */

static void put_memory(const struct guest_memory *m, struct multiboot_info *info)
{
	struct boot_range r[BOOT_MAX_RANGES];
	unsigned n = boot_memory_map(m, r);

	for (unsigned i = 0; i < n; i++)
		info->mmap[i] = (struct mmap_entry){sizeof(struct mmap_entry) - 4, r[i].base,
						    r[i].size, r[i].type};
	info->mmap_length = n * (uint32_t)sizeof(struct mmap_entry);
	info->mmap_addr = INFO_ADDRESS(mmap);
	info->mem_lower = (uint32_t)(BOOT_LOW_RAM_END / KIB);
	info->mem_upper = (uint32_t)((boot_low_end(m) - BOOT_HIGH) / KIB);
}

/* The kernel's own name comes first, as other loaders have it. */
static int put_cmdline(struct boot_job *j, struct err *e)
{
	const char *args = j->cfg->append ? j->cfg->append : "";
	char *text;
	int rc;

	if (asprintf(&text, "%s%s%s", j->kernel.path, *args ? " " : "", args) < 0)
		return err_set(e, -ENOMEM, "boot: out of memory");
	rc = boot_put_cmdline(j, text, BOOT_CMDLINE_MAX, e);
	free(text);
	return rc;
}

static int put_info(struct boot_job *j, struct multiboot_info *info, struct err *e)
{
	put_memory(j->mem, info);
	info->flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER_NAME;
	info->cmdline = BOOT_CMDLINE;
	strcpy(info->loader_name, "Baton");
	info->boot_loader_name = INFO_ADDRESS(loader_name);
	if (!mem_write(j->mem, BOOT_INFO, info, sizeof(*info)))
		return err_set(e, -ENOSPC, "boot: no RAM for the multiboot information");
	return 0;
}

static int multiboot_load(struct boot_job *j, struct err *e)
{
	struct multiboot_info info = {0};
	struct elf_image image;
	uint64_t entry;
	gpa_t end;

	if (plan(j, &image, e) || elf_load(j, &image, &end, e) || put_modules(j, &info, end, e) ||
	    put_cmdline(j, e) || put_info(j, &info, e) || boot_put_tables(j->mem, false, e))
		return e->code;
	entry = elf_physical_entry(&image);
	if (entry >> 32)
		return bad(j, e, "its entry lies above 4 GiB");
	boot_state_protected(j->bsp, entry);
	j->bsp->gpr[X86_RAX] = LOADER_MAGIC;
	j->bsp->gpr[X86_RBX] = BOOT_INFO;
	return 0;
}

const struct boot_format boot_multiboot = {
	.name = "multiboot",
	.takes_modules = true,
	.claims = multiboot_claims,
	.load = multiboot_load,
};
