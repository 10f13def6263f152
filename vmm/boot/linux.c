/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux bzImage and whatever else follows the Linux/x86 boot protocol, from version 2.02 on
 * (Documentation/arch/x86/boot.rst in the kernel's sources).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/num.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/loader.h"
#include "vmm/boot/vmlinux.h"

/* The part of struct boot_params that comes from the file. */
struct setup_header {
	uint8_t setup_sects;
	uint16_t root_flags;
	uint32_t syssize;
	uint16_t ram_size, vid_mode, root_dev, boot_flag, jump;
	uint32_t header;
	uint16_t version;
	uint32_t realmode_swtch;
	uint16_t start_sys_seg, kernel_version;
	uint8_t type_of_loader, loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
	uint8_t relocatable_kernel, min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size, hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset, payload_length;
	uint64_t setup_data, pref_address;
	uint32_t init_size, handover_offset, kernel_info_offset;
} __attribute__((packed));

#define HEADER_OFFSET 0x1f1
#define HEADER_MIN    (0x238 - HEADER_OFFSET) /* what version 2.02 has, and a little more */
#define HDRS          0x53726448u             /* "HdrS" */

/* Offsets in struct boot_params. */
#define BP_SCREEN_INFO  0x000
#define BP_ACPI_RSDP    0x070
#define BP_E820_ENTRIES 0x1e8
#define BP_E820_TABLE   0x2d0
#define BP_SIZE         0x1000

#define LOADED_HIGH   0x01
#define KASLR         0x02 /* from a kernel's start code to the kernel */
#define XLF_KERNEL_64 0x01

/* A piece of the list that setup_header.setup_data begins (protocol 2.09). */
struct seed_data {
	uint64_t next;
	uint32_t type, length;
	uint8_t seed[32];
} __attribute__((packed));

#define SETUP_RNG_SEED 9 /* since Linux 6.0; older kernels pass over it */

struct linux_kernel {
	struct setup_header h;
	uint64_t offset, size; /* of the protected-mode part in the file */
	gpa_t address;         /* where it goes */
	uint64_t room;         /* what it needs there until it has its own memory map */
	gpa_t entry;
	bool long_mode;
};

static bool linux_claims(const struct boot_image *i)
{
	uint32_t magic;

	return range_ok(0x202, 4, i->size) && !image_read(i, 0x202, &magic, 4, "header", NULL) &&
	       magic == HDRS;
}

static int bad(const struct boot_job *j, struct err *e, const char *why)
{
	return err_set(e, -EINVAL, "%s: a Linux kernel that cannot be started: %s", j->kernel.path,
		       why);
}

/* Reads as much of the header as its own length field says there is. */
static int read_header(const struct boot_job *j, struct linux_kernel *k, struct err *e)
{
	uint8_t jump[2]; /* a short jump over the rest of the header: its end */
	uint64_t len;

	memset(&k->h, 0, sizeof(k->h));
	if (image_read(&j->kernel, 0x200, jump, 2, "the setup header", e))
		return e->code;
	len = 0x202u + jump[1] - HEADER_OFFSET;
	if (len < HEADER_MIN)
		return bad(j, e, "its setup header is too short");
	if (len > sizeof(k->h))
		len = sizeof(k->h);
	if (image_read(&j->kernel, HEADER_OFFSET, &k->h, len, "the setup header", e))
		return e->code;
	if (k->h.boot_flag != 0xaa55)
		return bad(j, e, "no boot signature AA55h at offset 1FEh");
	if (k->h.version < 0x202)
		return bad(j, e, "its boot protocol is older than 2.02");
	if (!(k->h.loadflags & LOADED_HIGH))
		return bad(j, e, "it is a zImage, which loads below 1 MiB; use a bzImage");
	return 0;
}

/* Fields that older protocols lack get the values the protocol text gives for them. */
static void fill_defaults(struct setup_header *h)
{
	if (h->version < 0x203)
		h->initrd_addr_max = 0x37ffffff;
	if (h->version < 0x206)
		h->cmdline_size = 255;
	if (h->version < 0x20a)
		h->pref_address = h->init_size = 0;
	if (h->version < 0x20c)
		h->xloadflags = 0;
}

static int plan(struct boot_job *j, struct linux_kernel *k, struct err *e)
{
	const struct setup_header *h = &k->h;
	uint64_t sects = h->setup_sects ? h->setup_sects : 4;

	k->offset = (sects + 1) * 512;
	if (k->offset >= j->kernel.size)
		return bad(j, e, "truncated: the file ends before its protected-mode part");
	k->size = j->kernel.size - k->offset;
	/* syssize counts paragraphs and may be 15 bytes past the end of the file. */
	if ((uint64_t)h->syssize * 16 > align_up(k->size, 16))
		return err_set(e, -EINVAL,
			       "%s: truncated: its header tells of %llu KiB, the file has %llu",
			       j->kernel.path,
			       (unsigned long long)(k->offset + (uint64_t)h->syssize * 16) / KIB,
			       (unsigned long long)(j->kernel.size / KIB));
	k->address = h->pref_address ? h->pref_address : BOOT_HIGH;
	k->room = h->init_size > k->size ? h->init_size : k->size;
	k->long_mode = h->xloadflags & XLF_KERNEL_64;
	k->entry = k->long_mode ? k->address + 0x200 : k->address;
	if (k->address < BOOT_HIGH)
		return bad(j, e, "it wants to be loaded below 1 MiB");
	if (!range_ok(k->address, k->room, boot_low_end(j->mem)))
		return err_set(e, -ENOSPC,
			       "%s: needs %llu MiB at %llu MiB, the guest's memory of %llu MiB is "
			       "too small; give more with --memory",
			       j->kernel.path, (unsigned long long)(align_up(k->room, MIB) / MIB),
			       (unsigned long long)(k->address / MIB),
			       (unsigned long long)(j->mem->ram_size / MIB));
	return 0;
}

static int place_initrd(struct boot_job *j, struct linux_kernel *k, struct err *e)
{
	uint64_t floor = align_up(k->address + k->room, MEM_PAGE_SIZE);
	gpa_t at;

	if (!j->has_initrd)
		return 0;
	if (boot_place(j, j->initrd.path, j->initrd.size, floor, (uint64_t)k->h.initrd_addr_max + 1,
		       &at, e) ||
	    image_load(&j->initrd, 0, j->mem, at, j->initrd.size, "the initrd", e))
		return e->code;
	k->h.ramdisk_image = (uint32_t)at;
	k->h.ramdisk_size = (uint32_t)j->initrd.size;
	return 0;
}

static void put_e820(const struct guest_memory *m, uint8_t *zero_page)
{
	struct boot_range r[BOOT_MAX_RANGES];
	unsigned n = boot_memory_map(m, r);

	zero_page[BP_E820_ENTRIES] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *entry = zero_page + BP_E820_TABLE + 20 * i;
		uint32_t type = r[i].type;

		memcpy(entry, &r[i].base, 8);
		memcpy(entry + 8, &r[i].size, 8);
		memcpy(entry + 16, &type, 4);
	}
}

/* What the setup code of the kernel would have found by asking a BIOS (struct screen_info). */
static void put_screen(uint8_t *zero_page)
{
	uint8_t *s = zero_page + BP_SCREEN_INFO;

	s[0x06] = 3;  /* video mode */
	s[0x07] = 80; /* columns */
	s[0x0a] = 3;  /* EGA memory: 256 KiB */
	s[0x0e] = 25; /* lines */
	s[0x0f] = 1;  /* VGA */
	s[0x10] = 16; /* rows of a character */
}

/* So that the guest has random numbers from its first instruction on, also where its processor has
 * no RDRAND. It erases the seed when it has it. */
static int put_seed(struct boot_job *j, struct linux_kernel *k, struct err *e)
{
	struct seed_data d = {
		.next = k->h.setup_data, .type = SETUP_RNG_SEED, .length = sizeof(d.seed)};

	if (k->h.version < 0x209)
		return 0;
	if (getrandom(d.seed, sizeof(d.seed), 0) != sizeof(d.seed))
		return err_set(e, -EIO, "boot: no random numbers for the guest");
	if (!mem_write(j->mem, BOOT_SETUP_DATA, &d, sizeof(d)))
		return err_set(e, -ENOSPC, "boot: no RAM for the guest's random numbers");
	k->h.setup_data = BOOT_SETUP_DATA;
	return 0;
}

static int put_zero_page(struct boot_job *j, struct linux_kernel *k, struct err *e)
{
	uint8_t page[BP_SIZE] = {0};

	k->h.type_of_loader = 0xff; /* none of those with a number */
	k->h.cmd_line_ptr = BOOT_CMDLINE;
	k->h.code32_start = (uint32_t)k->address;
	memcpy(page + HEADER_OFFSET, &k->h, sizeof(k->h));
	memcpy(page + BP_ACPI_RSDP, &j->rsdp, 8);
	if (j->cfg->text_screen)
		put_screen(page);
	put_e820(j->mem, page);
	if (!mem_write(j->mem, BOOT_ZERO_PAGE, page, sizeof(page)))
		return err_set(e, -ENOSPC, "boot: no RAM for the kernel's parameters");
	return 0;
}

/* Without its start code, whose work is done here; false: that must do it. */
static bool load_unpacked(struct boot_job *j, struct linux_kernel *k)
{
	const struct vmlinux_plan plan = {
		.payload = k->offset + k->h.payload_offset,
		.payload_size = k->h.payload_length,
		.address = k->address,
		.room = k->room,
		.alignment = k->h.kernel_alignment,
		.limit = j->has_initrd ? k->h.ramdisk_image : boot_low_end(j->mem),
	};
	struct vmlinux v;

	if (!j->cfg->unpack || !k->long_mode || !vmlinux_load(j, &plan, &v))
		return false;
	k->address = v.address;
	k->entry = v.entry;
	k->h.loadflags &= (uint8_t)~KASLR;
	if (v.randomised)
		k->h.loadflags |= KASLR;
	return true;
}

static int load_kernel(struct boot_job *j, struct linux_kernel *k, struct err *e)
{
	if (load_unpacked(j, k))
		return 0;
	return image_load(&j->kernel, k->offset, j->mem, k->address, k->size, "the kernel", e);
}

static int linux_load(struct boot_job *j, struct err *e)
{
	struct linux_kernel k;

	if (read_header(j, &k, e))
		return e->code;
	fill_defaults(&k.h);
	if (plan(j, &k, e) || place_initrd(j, &k, e) || load_kernel(j, &k, e) ||
	    boot_put_cmdline(j, j->cfg->append, (uint64_t)k.h.cmdline_size + 1, e) ||
	    put_seed(j, &k, e) || put_zero_page(j, &k, e) ||
	    boot_put_tables(j->mem, k.long_mode, e))
		return e->code;
	if (k.long_mode)
		boot_state_long(j->bsp, k.entry);
	else
		boot_state_protected(j->bsp, k.entry);
	j->bsp->gpr[X86_RSI] = BOOT_ZERO_PAGE;
	return 0;
}

const struct boot_format boot_linux = {
	.name = "Linux",
	.takes_initrd = true,
	.claims = linux_claims,
	.load = linux_load,
};
