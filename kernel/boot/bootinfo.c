/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/boot/bootinfo.h"

#include "kernel/boot/multiboot2.h"
#include "kernel/boot/protocol.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/layout.h"
#include "x86/pvh.h"

struct bootinfo boot;

static void add_ram(struct bootinfo *b, uint64_t start, uint64_t len)
{
	uint64_t end = start + len;

	start = page_up(start);
	end &= PAGE_MASK;
	if (start < end && b->nram < BOOT_MAX_RANGES)
		b->ram[b->nram++] = (struct boot_range){start, end};
	else if (start < end)
		b->unused += end - start;
}

/* ---- Multiboot2 ------------------------------------------------------------------------------ */

static void mb2_mmap(struct bootinfo *b, const struct mb2_mmap *m)
{
	const char *p = (const char *)(m + 1), *end = (const char *)m + m->tag.size;

	for (; p + sizeof(struct mb2_mmap_entry) <= end && m->entry_size; p += m->entry_size) {
		const struct mb2_mmap_entry *entry = (const void *)p;

		if (entry->type == 1)
			add_ram(b, entry->start, entry->len);
	}
}

static void mb2_framebuffer(struct bootinfo *b, const struct mb2_framebuffer *f)
{
	if (f->type != 1) /* direct colour; 2 is VGA text */
		return;
	b->fb.addr = f->addr;
	b->fb.pitch = f->pitch;
	b->fb.width = f->width;
	b->fb.height = f->height;
	b->fb.bpp = f->bpp;
}

static void mb2_tag(struct bootinfo *b, const struct mb2_tag *t)
{
	const struct mb2_module *m = (const void *)t;

	switch (t->type) {
	case MB2_CMDLINE:
		strlcpy(b->cmdline, (const char *)(t + 1), sizeof(b->cmdline));
		break;
	case MB2_MODULE:
		b->initramfs = (struct boot_range){m->start, m->end};
		break;
	case MB2_MMAP:
		mb2_mmap(b, (const void *)t);
		break;
	case MB2_FRAMEBUFFER:
		mb2_framebuffer(b, (const void *)t);
		break;
	case MB2_ACPI_OLD:
	case MB2_ACPI_NEW: /* a copy of the RSDP, in memory that is given away */
		memcpy(b->rsdp_copy, t + 1, MIN(t->size - sizeof(*t), sizeof(b->rsdp_copy)));
		b->rsdp = virt_to_phys(b->rsdp_copy);
		break;
	}
}

static void read_multiboot2(struct bootinfo *b, uint64_t info)
{
	const char *p = phys_to_virt(info);
	const char *end = p + *(const uint32_t *)p;

	for (p += 8; p + sizeof(struct mb2_tag) <= end;) {
		const struct mb2_tag *t = (const void *)p;

		if (t->type == MB2_END || t->size < sizeof(*t))
			break;
		mb2_tag(b, t);
		p += (t->size + 7) & ~7u;
	}
}

/* ---- PVH ------------------------------------------------------------------------------------- */

static bool read_pvh(struct bootinfo *b, uint64_t info)
{
	const struct pvh_start_info *s = phys_to_virt(info);
	const struct pvh_memmap *map = phys_to_virt(s->memmap);
	const struct pvh_module *mod = phys_to_virt(s->modules);

	if (s->magic != PVH_MAGIC)
		return false;
	for (unsigned i = 0; s->version >= 1 && i < s->nmemmap; i++) {
		if (map[i].type == 1)
			add_ram(b, map[i].addr, map[i].size);
	}
	if (s->nmodules)
		b->initramfs = (struct boot_range){mod->addr, mod->addr + mod->size};
	if (s->cmdline)
		strlcpy(b->cmdline, phys_to_virt(s->cmdline), sizeof(b->cmdline));
	b->rsdp = s->rsdp;
	return true;
}

bool bootinfo_read(struct bootinfo *b, unsigned protocol, uint64_t info)
{
	if (protocol == BOOT_MULTIBOOT2)
		read_multiboot2(b, info);
	else if (protocol != BOOT_PVH || !read_pvh(b, info))
		return false;
	return b->nram > 0;
}

bool ranges_overlap(const struct boot_range *r, unsigned n, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < n; i++) {
		if (start < r[i].end && end > r[i].start)
			return true;
	}
	return false;
}

const char *boot_value(const struct bootinfo *b, const char *name)
{
	for (const char *p = b->cmdline; *p; p++) {
		if ((p == b->cmdline || p[-1] == ' ') && !strncmp(p, name, strlen(name)))
			return p + strlen(name);
	}
	return NULL;
}

bool boot_option(const struct bootinfo *b, const char *word)
{
	const char *end = boot_value(b, word);

	return end && (*end == ' ' || !*end);
}
