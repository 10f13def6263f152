/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the ELF file inside a bzImage and applies the relocations that the kernel's build adds. */
#include "vmm/boot/vmlinux.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/num.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/payload.h"

#define LINK_BASE     0x80000000u /* physical 0 in the kernel's virtual addresses, low 32 bits */
#define LINK_ROOM     GIB         /* of virtual addresses for the kernel's image */
#define MIN_ALIGNMENT (2 * MIB)

/*
 * arch/x86/tools/relocs.c: tables of virtual addresses, each begun by a zero. Fields of 64 bits;
 * those of 32 bits that shrink by the distance, which kernels from 6.15 on do not have; those of 32
 * that grow.
 */
struct relocations {
	const uint32_t *word;
	size_t n;
	unsigned tables;
};

struct job {
	const struct vmlinux_plan *plan;
	struct boot_job inner; /* its kernel is the unpacked one */
	struct elf_image elf;
	gpa_t end; /* of its segments, less plan->address */
	struct relocations relocations;
	bool randomised;
	uint64_t moved;  /* in physical memory */
	uint32_t linked; /* distance from where it was linked */
};

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Where the ELF file ends: its section headers come last. */
static bool file_end(const struct job *j, uint64_t *end)
{
	const struct boot_image *i = &j->inner.kernel;
	Elf64_Ehdr h;

	if (image_read(i, 0, &h, sizeof(h), "the ELF header", NULL) ||
	    h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_type != ET_EXEC || h.e_shoff > i->size)
		return false;
	*end = max(sizeof(h), h.e_shoff + (uint64_t)h.e_shnum * h.e_shentsize);
	for (unsigned n = 0; n < j->elf.nsegments; n++) {
		const struct elf_segment *s = &j->elf.segment[n];

		if (s->type == PT_LOAD && !range_ok(s->offset, s->file_size, i->size))
			return false;
		if (s->type == PT_LOAD)
			*end = max(*end, s->offset + s->file_size);
	}
	return *end <= i->size;
}

static bool find_relocations(struct job *j)
{
	const struct boot_image *i = &j->inner.kernel;
	struct relocations *r = &j->relocations;
	uint64_t end;

	if (!file_end(j, &end) || end % 4 || (i->size - end) % 4)
		return false;
	r->word = (const uint32_t *)(i->data + end);
	r->n = (i->size - end) / 4;
	for (size_t n = 0; n < r->n; n++)
		r->tables += !r->word[n];
	return !r->n || (!r->word[0] && (r->tables == 2 || r->tables == 3));
}

static bool check_segments(struct job *j)
{
	uint64_t start = UINT64_MAX;

	for (unsigned n = 0; n < j->elf.nsegments; n++) {
		const struct elf_segment *s = &j->elf.segment[n];

		if (s->type != PT_LOAD || !s->mem_size)
			continue;
		if (s->paddr < j->plan->address ||
		    !range_ok(s->paddr - j->plan->address, s->mem_size, j->plan->room))
			return false;
		start = s->paddr < start ? s->paddr : start;
		j->end = max(j->end, s->paddr + s->mem_size - j->plan->address);
	}
	return start == j->plan->address && j->elf.entry - start < j->end;
}

/* ---- where it goes --------------------------------------------------------------------------- */

/* Is there a word of the command line that begins so? */
static bool has_word(const char *line, const char *word, bool whole)
{
	size_t len = strlen(word);

	for (const char *p = line; p && (p = strstr(p, word)); p += len)
		if ((p == line || p[-1] == ' ') && (!whole || !p[len] || p[len] == ' '))
			return true;
	return false;
}

/* A multiple of the alignment from 0 to `room`. */
static bool draw(const struct vmlinux_plan *p, uint64_t room, uint64_t *out)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return false;
	*out = random % (room / p->alignment + 1) * p->alignment;
	return true;
}

/* Memory that the guest is told not to use is known to the guest alone. */
static bool choose_place(struct job *j)
{
	const char *line = j->inner.cfg->append;
	const struct vmlinux_plan *p = j->plan;
	uint64_t linked = 0;

	if (!j->relocations.n || has_word(line, "nokaslr", true))
		return true;
	if (p->address + p->room > LINK_ROOM || !draw(p, LINK_ROOM - p->address - p->room, &linked))
		return false;
	j->linked = (uint32_t)linked;
	j->randomised = true;
	if (has_word(line, "mem=", false) || has_word(line, "memmap=", false))
		return true;
	return draw(p, p->limit - p->room - p->address, &j->moved);
}

/* ---- relocation ------------------------------------------------------------------------------ */

static bool relocate(struct job *j, uint32_t at, unsigned bytes, uint64_t distance)
{
	uint64_t off = (uint64_t)(uint32_t)(at - LINK_BASE) - j->plan->address, value = 0;
	uint8_t *p;

	if (!range_ok(off, bytes, j->end))
		return false;
	p = mem_ptr(j->inner.mem, j->plan->address + j->moved + off, bytes, true);
	if (!p)
		return false;
	memcpy(&value, p, bytes);
	value += distance;
	memcpy(p, &value, bytes);
	return true;
}

static bool relocate_all(struct job *j)
{
	const struct relocations *r = &j->relocations;
	unsigned table = 0; /* 1: 64 bits; 2: 32 that shrink; 3: 32 that grow */
	bool good = true;

	if (!j->linked)
		return true;
	for (size_t n = 0; n < r->n && good; n++) {
		if (!r->word[n])
			table += table == 1 && r->tables == 2 ? 2 : 1;
		else
			good = relocate(j, r->word[n], table == 1 ? 8 : 4,
					table == 2 ? -(uint64_t)j->linked : j->linked);
	}
	return good;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void forget_pieces(const struct job *j)
{
	uint8_t *p = mem_ptr(j->inner.mem, j->plan->address + j->moved, j->end, true);

	if (!p)
		return;
	memset(p, 0, j->end);
	mem_written(j->inner.mem, j->plan->address + j->moved, j->end);
}

static bool load(struct job *j)
{
	struct err e;
	gpa_t end;

	if (!elf_claims(&j->inner.kernel) || elf_read(&j->inner.kernel, &j->elf, &e) ||
	    !check_segments(j) || !find_relocations(j) || !choose_place(j))
		return false;
	for (unsigned n = 0; n < j->elf.nsegments; n++)
		j->elf.segment[n].paddr += j->moved;
	if (elf_load(&j->inner, &j->elf, &end, &e) || !relocate_all(j)) {
		forget_pieces(j);
		return false;
	}
	mem_written(j->inner.mem, j->plan->address + j->moved, j->end);
	return true;
}

static bool unpack(const struct boot_job *j, const struct vmlinux_plan *plan, struct payload *out)
{
	uint8_t *packed = malloc(plan->payload_size);
	bool good = packed &&
		    !image_read(&j->kernel, plan->payload, packed, plan->payload_size,
				"the payload", NULL) &&
		    payload_unpack(packed, plan->payload_size, j->mem->ram_size, out);

	free(packed);
	return good;
}

static bool is_usable(const struct vmlinux_plan *p)
{
	return p->alignment >= MIN_ALIGNMENT && !(p->alignment & (p->alignment - 1)) &&
	       p->address % p->alignment == 0 && range_ok(p->address, p->room, p->limit);
}

bool vmlinux_load(const struct boot_job *j, const struct vmlinux_plan *plan, struct vmlinux *out)
{
	struct job job = {.plan = plan, .inner = *j};
	struct payload p;
	bool good;

	if (!is_usable(plan) || !range_ok(plan->payload, plan->payload_size, j->kernel.size) ||
	    !unpack(j, plan, &p))
		return false;
	job.inner.kernel = (struct boot_image){
		.path = j->kernel.path, .fd = -1, .data = p.data, .size = p.size};
	good = load(&job);
	*out = (struct vmlinux){plan->address + job.moved, job.elf.entry + job.moved,
				job.randomised};
	payload_free(&p);
	return good;
}
