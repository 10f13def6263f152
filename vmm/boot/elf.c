/* SPDX-License-Identifier: Apache-2.0 */
/* Reads ELF program headers and copies segments into guest memory. */
#include "vmm/boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/layout.h"

bool elf_claims(const struct boot_image *i)
{
	char magic[SELFMAG];

	return i->size >= SELFMAG && !image_read(i, 0, magic, SELFMAG, "magic", NULL) &&
	       !memcmp(magic, ELFMAG, SELFMAG);
}

static int bad(const struct boot_image *i, struct err *e, const char *why)
{
	return err_set(e, -EINVAL, "%s: an ELF file that cannot be started: %s", i->path, why);
}

static struct elf_segment widen(const Elf32_Phdr *p)
{
	return (struct elf_segment){p->p_type,   p->p_offset, p->p_vaddr, p->p_paddr,
				    p->p_filesz, p->p_memsz,  p->p_align};
}

static int read_segments32(const struct boot_image *i, struct elf_image *out, struct err *e)
{
	Elf32_Ehdr h;

	if (image_read(i, 0, &h, sizeof(h), "the ELF header", e))
		return e->code;
	if (h.e_machine != EM_386 || h.e_phentsize != sizeof(Elf32_Phdr))
		return bad(i, e, "not for x86, or with program headers of a strange size");
	if (h.e_phnum > ELF_MAX_SEGMENTS)
		return bad(i, e, "more than 64 program headers");
	out->entry = h.e_entry;
	for (unsigned n = 0; n < h.e_phnum; n++) {
		Elf32_Phdr p;

		if (image_read(i, h.e_phoff + n * sizeof(p), &p, sizeof(p), "a program header", e))
			return e->code;
		out->segment[out->nsegments++] = widen(&p);
	}
	return 0;
}

static int read_segments64(const struct boot_image *i, struct elf_image *out, struct err *e)
{
	Elf64_Ehdr h;

	if (image_read(i, 0, &h, sizeof(h), "the ELF header", e))
		return e->code;
	if (h.e_machine != EM_X86_64 || h.e_phentsize != sizeof(Elf64_Phdr))
		return bad(i, e, "not for x86, or with program headers of a strange size");
	if (h.e_phnum > ELF_MAX_SEGMENTS)
		return bad(i, e, "more than 64 program headers");
	if (h.e_phoff > i->size)
		return bad(i, e, "truncated: its program headers are past the end of the file");
	out->entry = h.e_entry;
	for (unsigned n = 0; n < h.e_phnum; n++) {
		Elf64_Phdr p;

		if (image_read(i, h.e_phoff + n * sizeof(p), &p, sizeof(p), "a program header", e))
			return e->code;
		out->segment[out->nsegments++] =
			(struct elf_segment){p.p_type,   p.p_offset, p.p_vaddr, p.p_paddr,
					     p.p_filesz, p.p_memsz,  p.p_align};
	}
	return 0;
}

int elf_read(const struct boot_image *i, struct elf_image *out, struct err *e)
{
	uint8_t ident[EI_NIDENT];

	memset(out, 0, sizeof(*out));
	if (image_read(i, 0, ident, sizeof(ident), "the ELF header", e))
		return e->code;
	if (ident[EI_DATA] != ELFDATA2LSB)
		return bad(i, e, "big-endian");
	switch (ident[EI_CLASS]) {
	case ELFCLASS32:
		return read_segments32(i, out, e);
	case ELFCLASS64:
		return read_segments64(i, out, e);
	default:
		return bad(i, e, "neither of the 32- nor of the 64-bit class");
	}
}

static bool overlaps(uint64_t base, uint64_t len, uint64_t start, uint64_t end)
{
	return base < end && base + len > start;
}

/*
 * Below 1 MiB Baton's tables are in the way. The page before 1 MiB is not: linkers like to put the
 * file's headers there.
 */
static int check_segment(const struct boot_job *j, const struct elf_segment *s, struct err *e)
{
	const char *path = j->kernel.path;

	if (s->file_size > s->mem_size)
		return bad(&j->kernel, e, "a segment is larger in the file than in memory");
	if (!range_ok(s->paddr, s->mem_size, boot_low_end(j->mem)))
		return err_set(e, -ENOSPC,
			       "%s: a segment of %llu KiB at %#llx does not fit into the guest's "
			       "memory of %llu MiB; give more with --memory",
			       path, (unsigned long long)(s->mem_size / KIB),
			       (unsigned long long)s->paddr,
			       (unsigned long long)(j->mem->ram_size / MIB));
	if (overlaps(s->paddr, s->mem_size, 0, BOOT_CMDLINE + BOOT_CMDLINE_MAX) ||
	    overlaps(s->paddr, s->mem_size, BOOT_LOW_RAM_END, BOOT_TABLES_END))
		return err_set(
			e, -EINVAL,
			"%s: a segment at %#llx lies where start tables or the firmware of a "
			"PC are; link the kernel at 1 MiB or above",
			path, (unsigned long long)s->paddr);
	return 0;
}

static int load_segment(const struct boot_job *j, const struct elf_segment *s, struct err *e)
{
	uint8_t *bss;

	if (check_segment(j, s, e) ||
	    image_load(&j->kernel, s->offset, j->mem, s->paddr, s->file_size, "a segment", e))
		return e->code;
	bss = mem_ptr(j->mem, s->paddr + s->file_size, s->mem_size - s->file_size, true);
	if (!bss)
		return bad(&j->kernel, e, "a segment's zeroed part is outside memory");
	memset(bss, 0, s->mem_size - s->file_size);
	mem_written(j->mem, s->paddr + s->file_size, s->mem_size - s->file_size);
	return 0;
}

int elf_load(const struct boot_job *j, const struct elf_image *elf, gpa_t *end, struct err *e)
{
	*end = 0;
	for (unsigned n = 0; n < elf->nsegments; n++) {
		const struct elf_segment *s = &elf->segment[n];

		if (s->type != PT_LOAD || !s->mem_size)
			continue;
		if (load_segment(j, s, e))
			return e->code;
		if (s->paddr + s->mem_size > *end)
			*end = s->paddr + s->mem_size;
	}
	if (!*end)
		return bad(&j->kernel, e, "it has nothing to load (no PT_LOAD segment)");
	return 0;
}

uint64_t elf_physical_entry(const struct elf_image *elf)
{
	for (unsigned n = 0; n < elf->nsegments; n++) {
		const struct elf_segment *s = &elf->segment[n];

		if (s->type == PT_LOAD && elf->entry >= s->vaddr &&
		    elf->entry - s->vaddr < s->mem_size)
			return elf->entry - s->vaddr + s->paddr;
	}
	return elf->entry;
}
