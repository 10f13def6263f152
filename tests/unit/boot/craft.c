/* SPDX-License-Identifier: Apache-2.0 */
/* Crafted kernel images. */
#include "craft.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

void craft_start(struct craft *c, uint64_t memory)
{
	memset(c, 0, sizeof(*c));
	if (mem_init(&c->mem, memory, &c->e))
		abort();
	/* What a guest that is being reset has left. */
	memset(c->mem.slot[0].host, 0xcc, 8 << 20);
	c->cfg.nvcpus = 2;
	c->job = (struct boot_job){
		.cfg = &c->cfg,
		.kernel = {.path = "kernel", .fd = -1, .data = c->data},
		.initrd = {.path = "initrd", .fd = -1, .data = c->initrd},
		.mem = &c->mem,
		.bsp = &c->bsp,
	};
}

void craft_end(struct craft *c)
{
	mem_fini(&c->mem);
}

int craft_load(struct craft *c)
{
	c->job.kernel.size = c->size;
	return boot_load_images(&c->job, &c->e);
}

void craft_initrd(struct craft *c, size_t size)
{
	memset(c->initrd, 0x77, sizeof(c->initrd));
	c->job.initrd.size = size;
	c->job.has_initrd = true;
}

void craft_put16(struct craft *c, size_t off, uint16_t v)
{
	memcpy(c->data + off, &v, 2);
}

void craft_put32(struct craft *c, size_t off, uint32_t v)
{
	memcpy(c->data + off, &v, 4);
}

void craft_put64(struct craft *c, size_t off, uint64_t v)
{
	memcpy(c->data + off, &v, 8);
}

void craft_bzimage(struct craft *c, size_t size)
{
	const size_t setup = 5 * 512;

	c->size = setup + size;
	memset(c->data + setup, 0x5a, size);
	c->data[0x1f1] = 4;
	craft_put32(c, 0x1f4, (uint32_t)(size / 16));
	craft_put16(c, 0x1fe, 0xaa55);
	craft_put16(c, 0x200, 0x6aeb);     /* jump: the header ends at 0x26c */
	craft_put32(c, 0x202, 0x53726448); /* HdrS */
	craft_put16(c, 0x206, 0x20f);
	c->data[0x211] = 1;                /* loaded high */
	craft_put32(c, 0x22c, 0x7fffffff); /* highest initrd address */
	c->data[0x234] = 1;                /* relocatable */
	craft_put16(c, 0x236, 1);          /* 64-bit entry */
	craft_put32(c, 0x238, 2047);       /* longest command line */
	craft_put64(c, 0x258, 0x1000000);  /* preferred address */
	craft_put32(c, 0x260, 0x200000);   /* what it needs there */
}

static void elf64(struct craft *c, uint64_t at, uint64_t file, uint64_t mem, uint64_t entry)
{
	Elf64_Ehdr h = {.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = entry,
			.e_phoff = sizeof(h),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1};
	Elf64_Phdr p = {.p_type = PT_LOAD,
			.p_offset = 0x1000,
			.p_vaddr = at,
			.p_paddr = at,
			.p_filesz = file,
			.p_memsz = mem};

	memcpy(h.e_ident, ELFMAG "\2\1\1", 7);
	memcpy(c->data, &h, sizeof(h));
	memcpy(c->data + sizeof(h), &p, sizeof(p));
}

static void elf32(struct craft *c, uint64_t at, uint64_t file, uint64_t mem, uint64_t entry)
{
	Elf32_Ehdr h = {.e_type = ET_EXEC,
			.e_machine = EM_386,
			.e_entry = (uint32_t)entry,
			.e_phoff = sizeof(h),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 1};
	Elf32_Phdr p = {.p_type = PT_LOAD,
			.p_offset = 0x1000,
			.p_vaddr = (uint32_t)at,
			.p_paddr = (uint32_t)at,
			.p_filesz = (uint32_t)file,
			.p_memsz = (uint32_t)mem};

	memcpy(h.e_ident, ELFMAG "\1\1\1", 7);
	memcpy(c->data, &h, sizeof(h));
	memcpy(c->data + sizeof(h), &p, sizeof(p));
}

void craft_elf(struct craft *c, int bits, uint64_t at, uint64_t file, uint64_t mem, uint64_t entry)
{
	if (bits == 64)
		elf64(c, at, file, mem, entry);
	else
		elf32(c, at, file, mem, entry);
	c->size = 0x1000 + file;
	if (c->size <= CRAFT_MAX)
		memset(c->data + 0x1000, 0xa5, file);
}

void craft_pvh_note(struct craft *c, uint32_t entry)
{
	Elf64_Phdr p = {.p_type = PT_NOTE, .p_offset = 0x800, .p_filesz = 40, .p_align = 4};
	/* An unrelated note first, then the entry. */
	const uint32_t notes[] = {4, 4, 6, 0x006e6558, 1, 4, 4, 18, 0x006e6558, entry};

	memcpy(c->data + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), &p, sizeof(p));
	c->data[offsetof(Elf64_Ehdr, e_phnum)] = 2;
	memcpy(c->data + 0x800, notes, sizeof(notes));
}

void craft_multiboot(struct craft *c, size_t off, uint32_t flags, const uint32_t *addresses)
{
	craft_put32(c, off, 0x1badb002);
	craft_put32(c, off + 4, flags);
	craft_put32(c, off + 8, 0u - 0x1badb002u - flags);
	for (size_t i = 0; addresses && i < 5; i++)
		craft_put32(c, off + 12 + 4 * i, addresses[i]);
}

uint32_t craft_guest32(const struct craft *c, gpa_t gpa)
{
	uint32_t v;

	mem_read(&c->mem, gpa, &v, 4);
	return v;
}

uint64_t craft_guest64(const struct craft *c, gpa_t gpa)
{
	uint64_t v;

	mem_read(&c->mem, gpa, &v, 8);
	return v;
}

uint8_t craft_guest8(const struct craft *c, gpa_t gpa)
{
	uint8_t v;

	mem_read(&c->mem, gpa, &v, 1);
	return v;
}
