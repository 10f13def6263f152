/* SPDX-License-Identifier: Apache-2.0 */
/* Uncompressed ELF kernels with a PVH entry (Xen's docs/misc/pvh.pandoc, start_info.h). */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/layout.h"
#include "x86/pvh.h"

#define NOTES_MAX (64 * KIB)

/* All at BOOT_INFO. */
struct pvh_info {
	struct pvh_start_info start;
	struct pvh_module initrd;
	struct pvh_memmap memmap[BOOT_MAX_RANGES];
};

_Static_assert(sizeof(struct pvh_info) <= BOOT_INFO_SIZE, "start information fits");

/* The value of one note, or false. `used`: how far the note goes. */
static bool read_note(const struct boot_image *i, uint64_t off, uint64_t left, uint64_t align,
		      uint64_t *used, uint64_t *entry)
{
	Elf64_Nhdr h;
	uint64_t desc;
	char name[4];

	*used = left;
	if (left < sizeof(h) || image_read(i, off, &h, sizeof(h), "a note", NULL))
		return false;
	desc = align_up(sizeof(h) + (uint64_t)h.n_namesz, align);
	*used = align_up(desc + h.n_descsz, align);
	if (h.n_type != PVH_NOTE_ENTRY || h.n_namesz != 4 || (h.n_descsz != 4 && h.n_descsz != 8) ||
	    !range_ok(desc, h.n_descsz, left) ||
	    image_read(i, off + sizeof(h), name, 4, "a note", NULL) || memcmp(name, "Xen", 4))
		return false;
	*entry = 0;
	return !image_read(i, off + desc, entry, h.n_descsz, "a note", NULL);
}

static bool find_entry(const struct boot_image *i, const struct elf_segment *s, uint64_t *entry)
{
	uint64_t align = s->align == 8 ? 8 : 4;
	uint64_t len = s->file_size < NOTES_MAX ? s->file_size : NOTES_MAX;

	if (!range_ok(s->offset, len, i->size))
		return false;
	for (uint64_t off = 0, used; off < len; off += used)
		if (read_note(i, s->offset + off, len - off, align, &used, entry))
			return true;
	return false;
}

static int pvh_entry(const struct boot_job *j, const struct elf_image *elf, uint64_t *entry,
		     struct err *e)
{
	for (unsigned n = 0; n < elf->nsegments; n++)
		if (elf->segment[n].type == PT_NOTE &&
		    find_entry(&j->kernel, &elf->segment[n], entry) && *entry < 1ull << 32)
			return 0;
	return err_set(e, -EINVAL,
		       "%s: an ELF file without a PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY) or "
		       "multiboot header; is it a kernel?",
		       j->kernel.path);
}

static int put_initrd(struct boot_job *j, struct pvh_info *info, gpa_t kernel_end, struct err *e)
{
	struct pvh_module *m = &info->initrd;

	if (!j->has_initrd)
		return 0;
	if (boot_place(j, j->initrd.path, j->initrd.size, align_up(kernel_end, MEM_PAGE_SIZE),
		       MEM_LOW_END, &m->addr, e) ||
	    image_load(&j->initrd, 0, j->mem, m->addr, j->initrd.size, "the initrd", e))
		return e->code;
	m->size = j->initrd.size;
	info->start.nmodules = 1;
	info->start.modules = BOOT_INFO + offsetof(struct pvh_info, initrd);
	return 0;
}

static int put_info(struct boot_job *j, struct pvh_info *info, struct err *e)
{
	struct boot_range r[BOOT_MAX_RANGES];
	unsigned n = boot_memory_map(j->mem, r);

	for (unsigned i = 0; i < n; i++)
		info->memmap[i] = (struct pvh_memmap){r[i].base, r[i].size, r[i].type, 0};
	info->start.magic = PVH_MAGIC;
	info->start.version = PVH_VERSION;
	info->start.cmdline = BOOT_CMDLINE;
	info->start.rsdp = j->rsdp;
	info->start.memmap = BOOT_INFO + offsetof(struct pvh_info, memmap);
	info->start.nmemmap = n;
	if (!mem_write(j->mem, BOOT_INFO, info, sizeof(*info)))
		return err_set(e, -ENOSPC, "boot: no RAM for the start information");
	return 0;
}

static int pvh_load(struct boot_job *j, struct err *e)
{
	struct pvh_info info = {0};
	struct elf_image elf;
	uint64_t entry;
	gpa_t end;

	if (elf_read(&j->kernel, &elf, e) || pvh_entry(j, &elf, &entry, e) ||
	    elf_load(j, &elf, &end, e) || put_initrd(j, &info, end, e) ||
	    boot_put_cmdline(j, j->cfg->append, BOOT_CMDLINE_MAX, e) || put_info(j, &info, e) ||
	    boot_put_tables(j->mem, false, e))
		return e->code;
	boot_state_protected(j->bsp, entry);
	j->bsp->gpr[X86_RBX] = BOOT_INFO;
	return 0;
}

const struct boot_format boot_pvh = {
	.name = "PVH",
	.takes_initrd = true,
	.claims = elf_claims,
	.load = pvh_load,
};
