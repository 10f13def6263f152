/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that are unpacked and relocated by the loader, and those that are left to themselves. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/num.h"
#include "craft.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/vmlinux.h"

#define SETUP   (5 * 512)
#define ADDRESS 0x1000000u
#define LINKED  0xffffffff81000000ull
#define ENTRY   0x10
#define WIDE    0x100 /* offsets of fields with relocations: 64 bits, */
#define NARROW  0x200 /* 32 bits, */
#define INVERSE 0x300 /* and 32 that shrink */
#define HEADERS 0x2000
#define TABLES  (HEADERS + 64)

struct kernel {
	uint8_t data[TABLES + 64];
	size_t size;
};

static struct craft craft;

static void put(struct kernel *k, size_t at, const void *what, size_t len)
{
	memcpy(k->data + at, what, len);
}

static void put_relocations(struct kernel *k, const uint32_t *word, size_t n)
{
	put(k, TABLES, word, n * 4);
	k->size = TABLES + n * 4;
}

static const uint32_t three_tables[] = {0, 0x81000000 + WIDE,  0, 0x81000000 + INVERSE,
					0, 0x81000000 + NARROW};
static const uint32_t two_tables[] = {0, 0x81000000 + WIDE, 0, 0x81000000 + NARROW};

static void make_kernel(struct kernel *k)
{
	Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = ADDRESS + ENTRY,
			.e_phoff = 64,
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
			.e_shoff = HEADERS,
			.e_shentsize = 64,
			.e_shnum = 1};
	Elf64_Phdr p = {.p_type = PT_LOAD,
			.p_offset = 0x1000,
			.p_vaddr = LINKED,
			.p_paddr = ADDRESS,
			.p_filesz = 0x1000,
			.p_memsz = 0x2000};
	uint64_t wide = LINKED + 0x123;
	uint32_t narrow = 0x81000456, inverse = 0x1000;

	memset(k, 0, sizeof(*k));
	put(k, 0, &h, sizeof(h));
	put(k, 64, &p, sizeof(p));
	memset(k->data + 0x1000, 0xa5, 0x1000);
	put(k, 0x1000 + WIDE, &wide, 8);
	put(k, 0x1000 + NARROW, &narrow, 4);
	put(k, 0x1000 + INVERSE, &inverse, 4);
	put_relocations(k, three_tables, 6);
}

/* ---- packing --------------------------------------------------------------------------------- */

static size_t pack_gzip(const struct kernel *k, uint8_t *to, size_t room)
{
	z_stream z = {.next_in = (Bytef *)k->data,
		      .avail_in = (uInt)k->size,
		      .next_out = to,
		      .avail_out = (uInt)room};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out - 4; /* the length is gzip's own */
}

static size_t pack_lz4(const struct kernel *k, uint8_t *to, size_t room)
{
	int n = LZ4_compress_default((const char *)k->data, (char *)to + 8, (int)k->size,
				     (int)room - 8);

	memcpy(to, "\x02\x21\x4c\x18", 4);
	memcpy(to + 4, &n, 4);
	return (size_t)n + 8;
}

static size_t pack_xz(const struct kernel *k, uint8_t *to, size_t room)
{
	size_t n = 0;

	assert_int_equal(
		lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, k->data, k->size, to, &n, room),
		LZMA_OK);
	return n;
}

static size_t pack_zstd(const struct kernel *k, uint8_t *to, size_t room)
{
	return ZSTD_compress(to, room, k->data, k->size, 19);
}

typedef size_t pack_fn(const struct kernel *k, uint8_t *to, size_t room);
static pack_fn *const packers[] = {pack_gzip, pack_lz4, pack_xz, pack_zstd};

static void make_image(struct craft *c, const struct kernel *k, pack_fn *pack)
{
	const size_t room = 32768;
	uint8_t *payload = c->data + SETUP + 0x400;
	uint32_t size = (uint32_t)k->size;
	size_t n;

	craft_start(c, 64 * MIB);
	c->cfg.unpack = true;
	craft_bzimage(c, room);
	n = pack(k, payload, room - 0x404);
	memcpy(payload + n, &size, 4);
	craft_put32(c, 0x230, 2 * MIB); /* alignment */
	craft_put32(c, 0x248, 0x400);
	craft_put32(c, 0x24c, (uint32_t)n + 4);
}

/* ---- what comes out -------------------------------------------------------------------------- */

struct outcome {
	gpa_t address;
	uint64_t linked; /* distance */
	bool told;       /* the kernel is told that it is randomised */
};

static struct outcome load(struct craft *c)
{
	struct outcome o;

	assert_int_equal(craft_load(c), 0);
	o.address = c->bsp.rip - ENTRY;
	o.linked = craft_guest64(c, o.address + WIDE) - LINKED - 0x123;
	o.told = craft_guest8(c, BOOT_ZERO_PAGE + 0x211) & 2;
	assert_int_equal(craft_guest8(c, o.address), 0xa5);
	assert_int_equal(craft_guest8(c, o.address + 0x1000), 0); /* zeroed */
	assert_int_equal(craft_guest32(c, o.address + NARROW), 0x81000456 + (uint32_t)o.linked);
	assert_int_equal(c->bsp.gpr[X86_RSI], BOOT_ZERO_PAGE);
	assert_int_equal(c->bsp.efer, 0x500);
	return o;
}

static void every_packing_is_known(void **state)
{
	struct kernel k;

	(void)state;
	make_kernel(&k);
	for (size_t i = 0; i < sizeof(packers) / sizeof(packers[0]); i++) {
		struct outcome o;

		make_image(&craft, &k, packers[i]);
		memset(craft.mem.slot[0].host + ADDRESS, 0xcc, 48 * MIB);
		o = load(&craft);
		assert_true(o.told);
		assert_true(o.address >= ADDRESS && o.address + 0x200000 <= 64 * MIB);
		assert_int_equal(o.address % (2 * MIB), 0);
		assert_int_equal(o.linked % (2 * MIB), 0);
		assert_true(o.linked < GIB);
		assert_int_equal(craft_guest32(&craft, o.address + INVERSE),
				 0x1000 - (uint32_t)o.linked);
		craft_end(&craft);
	}
}

static void kernels_of_6_15_have_two_tables(void **state)
{
	struct kernel k;
	struct outcome o;

	(void)state;
	make_kernel(&k);
	put_relocations(&k, two_tables, 4);
	make_image(&craft, &k, pack_lz4);
	o = load(&craft);
	assert_true(o.told);
	assert_int_equal(craft_guest32(&craft, o.address + INVERSE), 0x1000);
	craft_end(&craft);
}

static void each_start_is_elsewhere(void **state)
{
	struct kernel k;
	unsigned moved = 0, linked = 0;
	struct outcome first, o;

	(void)state;
	make_kernel(&k);
	make_image(&craft, &k, pack_zstd);
	craft_initrd(&craft, 60000);
	first = load(&craft);
	for (unsigned i = 0; i < 60; i++) {
		uint32_t initrd = craft_guest32(&craft, BOOT_ZERO_PAGE + 0x218);

		o = load(&craft);
		moved += o.address != first.address;
		linked += o.linked != first.linked;
		assert_true(o.address + 0x200000 <= initrd);
		assert_int_equal(craft_guest8(&craft, initrd), 0x77);
		assert_int_equal(craft_guest8(&craft, initrd + 59999), 0x77);
	}
	assert_true(moved && linked);
	craft_end(&craft);
}

static void command_line_decides(void **state)
{
	static const struct {
		const char *line;
		bool fixed, linked;
	} rows[] = {{"quiet nokaslr", true, false},
		    {"nokaslr quiet", true, false},
		    {"nokaslrx", false, true},
		    {"quiet mem=48M", true, true},
		    {"memmap=16M$32M", true, true}};
	struct kernel k;

	(void)state;
	make_kernel(&k);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned moved = 0, linked = 0;

		make_image(&craft, &k, pack_gzip);
		craft.cfg.append = rows[i].line;
		for (unsigned n = 0; n < 40; n++) {
			struct outcome o = load(&craft);

			assert_int_equal(o.told, rows[i].linked);
			moved += o.address != ADDRESS;
			linked += o.linked != 0;
		}
		assert_int_equal(moved != 0, !rows[i].fixed);
		assert_int_equal(linked != 0, rows[i].linked);
		craft_end(&craft);
	}
}

static void without_relocations_it_stays(void **state)
{
	struct kernel k;
	struct outcome o;

	(void)state;
	make_kernel(&k);
	k.size = TABLES;
	make_image(&craft, &k, pack_xz);
	o = load(&craft);
	assert_int_equal(o.address, ADDRESS);
	assert_int_equal(o.linked, 0);
	assert_false(o.told);
	craft_end(&craft);
}

/* ---- what is left to the kernel's own start code ------------------------------------------------
 */

/* Nothing of the unpacked kernel is left in memory either. */
static void expect_own_start(struct craft *c)
{
	uint8_t piece[64];

	assert_int_equal(craft_load(c), 0);
	assert_int_equal(c->bsp.rip, ADDRESS + 0x200);
	assert_int_equal(craft_guest8(c, ADDRESS), 0x5a);
	assert_int_equal(craft_guest8(c, BOOT_ZERO_PAGE + 0x211), 1);
	memset(piece, 0xa5, sizeof(piece));
	assert_null(memmem(c->mem.slot[0].host, c->mem.slot[0].size, piece, sizeof(piece)));
	craft_end(c);
}

/* A field of the kernel that is not as it must be. */
static void odd_kernels_start_themselves(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} rows[] = {
		{0, 'X'},                /* no ELF file */
		{4, ELFCLASS32},         /* of 32 bits */
		{16, ET_DYN},            /* not executable as it is */
		{18, EM_386},            /* for another machine */
		{24 + 2, 0x20},          /* entry outside */
		{24 + 4, 1},             /* above 4 GiB */
		{0x28 + 3, 0x7f},        /* section headers past the end */
		{0x3c + 1, 0xff},        /* very many of them */
		{56, 0},                 /* nothing to load */
		{64 + 8 + 2, 1},         /* segment past the end of the file */
		{64 + 24 + 2, 0x20},     /* not where the header says */
		{64 + 40 + 2, 0xff},     /* larger than its room */
		{TABLES, 1},             /* no table begins */
		{TABLES + 8, 1},         /* two of three are one, with an address of 1 */
		{TABLES + 4 + 2, 0x10},  /* relocation outside */
		{TABLES + 12 + 3, 0x41}, /* far outside */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kernel k;

		make_kernel(&k);
		k.data[rows[i].at] = rows[i].value;
		make_image(&craft, &k, pack_lz4);
		expect_own_start(&craft);
	}
}

static void odd_images_start_themselves(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} rows[] = {
		{SETUP + 0x400, 0x12345678}, /* an unknown packing */
		{SETUP + 0x404, 0x7fffffff}, /* LZ4: a block past the end */
		{SETUP + 0x404, 5},          /* LZ4: the next block is nonsense */
		{0x230, 0},                  /* alignment: none, small, odd */
		{0x230, 0x1000},
		{0x230, 0x300000},
		{0x248, 0x7fffffff}, /* payload: outside, partly outside, empty, not all of it */
		{0x248, 0x7f00},
		{0x24c, 0},
		{0x24c, 9},
		{0x24c, 0x200},
		{0x24c, 0xffffffff},
	};
	struct kernel k;

	(void)state;
	make_kernel(&k);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_image(&craft, &k, pack_lz4);
		craft_put32(&craft, rows[i].at, rows[i].value);
		expect_own_start(&craft);
	}
}

/* The sum of its address and its room is small, and random places from there on lie in memory. */
static void a_kernel_at_the_end_of_all_addresses(void **state)
{
	const uint64_t address = -(2 * MIB), entry = address + ENTRY;
	const struct vmlinux_plan plan = {.payload = SETUP + 0x400,
					  .address = address,
					  .room = GIB + 2 * MIB,
					  .alignment = 2 * MIB,
					  .limit = GIB + 32 * MIB};
	struct kernel k;

	(void)state;
	make_kernel(&k);
	put(&k, offsetof(Elf64_Ehdr, e_entry), &entry, 8);
	put(&k, 64 + offsetof(Elf64_Phdr, p_paddr), &address, 8);
	make_image(&craft, &k, pack_lz4);
	craft.job.kernel.size = craft.size;
	for (unsigned n = 0; n < 20; n++) {
		struct vmlinux_plan p = plan;
		struct vmlinux v;

		p.payload_size = *(uint32_t *)(craft.data + 0x24c);
		assert_false(vmlinux_load(&craft.job, &p, &v));
	}
	craft_end(&craft);
}

static void fast_engines_leave_it_alone(void **state)
{
	struct kernel k;

	(void)state;
	make_kernel(&k);
	make_image(&craft, &k, pack_lz4);
	craft.cfg.unpack = false;
	expect_own_start(&craft);
}

/* The last four bytes tell the length. */
static void wrong_lengths_are_refused(void **state)
{
	static const int32_t wrong[] = {-1, 1, 1000};
	struct kernel k;

	(void)state;
	make_kernel(&k);
	for (size_t i = 0; i < 4 * 3; i++) {
		uint32_t length = (uint32_t)((int32_t)k.size + wrong[i / 4]);

		make_image(&craft, &k, packers[i % 4]);
		craft_put32(&craft, SETUP + 0x400 - 4 + *(uint32_t *)(craft.data + 0x24c), length);
		expect_own_start(&craft);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packing_is_known),
		cmocka_unit_test(kernels_of_6_15_have_two_tables),
		cmocka_unit_test(each_start_is_elsewhere),
		cmocka_unit_test(command_line_decides),
		cmocka_unit_test(without_relocations_it_stays),
		cmocka_unit_test(odd_kernels_start_themselves),
		cmocka_unit_test(odd_images_start_themselves),
		cmocka_unit_test(a_kernel_at_the_end_of_all_addresses),
		cmocka_unit_test(fast_engines_leave_it_alone),
		cmocka_unit_test(wrong_lengths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
