/* SPDX-License-Identifier: Apache-2.0 */
/* What firmware reads and writes: fw_cfg by port and by DMA, and the flash chip's commands. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/virtio/guest.h"
#include "vmm/device/fwcfg.h"
#include "vmm/device/pflash.h"

static struct guest g;
static struct device *fw;

static int setup(void **state)
{
	struct device_conf conf = {.name = "fw-cfg"};
	struct err e;

	(void)state;
	guest_init(&g);
	fw = guest_add(&g, &fwcfg_ops, &conf);
	return fwcfg_set_file(fw, "etc/one", "first", 5, &e) ||
	       fwcfg_set_file(fw, "etc/two", "second", 6, &e);
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, fw);
	guest_fini(&g);
	return 0;
}

/* ---- fw_cfg ---------------------------------------------------------------------------------- */

static void select_key(unsigned key)
{
	bus_write(&g.pio, FWCFG_PORT_SELECT, 2, key);
}

static uint8_t next_byte(void)
{
	return (uint8_t)bus_read(&g.pio, FWCFG_PORT_SELECT + 1, 1);
}

static void signature_and_ports(void **state)
{
	(void)state;
	select_key(FWCFG_SIGNATURE);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(next_byte(), "QEMU"[i]);
	assert_int_equal(next_byte(), 0); /* behind the end */
	assert_int_equal(bus_read(&g.pio, FWCFG_PORT_DMA, 4), be32toh(0x51454d55));
	assert_int_equal(bus_read(&g.pio, FWCFG_PORT_DMA + 4, 4), be32toh(0x20434647));
	select_key(FWCFG_ID);
	assert_int_equal(next_byte(), 3);
	select_key(0x7fff); /* no such item */
	assert_int_equal(next_byte(), 0);
}

/* The control word that the device leaves behind. */
static uint32_t dma(uint32_t control, uint32_t len, gpa_t to)
{
	gpa_t at = 0x2000;
	uint32_t word[4] = {htobe32(control), htobe32(len), htobe32((uint32_t)(to >> 32)),
			    htobe32((uint32_t)to)};

	memcpy(guest_ptr(&g, at), word, sizeof(word));
	bus_write(&g.pio, FWCFG_PORT_DMA, 4, 0);
	bus_write(&g.pio, FWCFG_PORT_DMA + 4, 4, htobe32((uint32_t)at));
	memcpy(word, guest_ptr(&g, at), 4);
	return be32toh(word[0]);
}

#define SELECT(key) ((uint32_t)(key) << 16 | 8)
#define READ        2
#define SKIP        4

static void directory_by_dma(void **state)
{
	const uint8_t *p = guest_ptr(&g, 0x3000);

	(void)state;
	assert_int_equal(dma(SELECT(FWCFG_DIRECTORY) | READ, 4 + 2 * 64, 0x3000), 0);
	assert_int_equal(p[3], 2);
	assert_int_equal(p[4 + 3], 5);
	assert_int_equal(p[4 + 5], FWCFG_FILE0);
	assert_string_equal((const char *)p + 4 + 8, "etc/one");
	assert_string_equal((const char *)p + 4 + 64 + 8, "etc/two");
}

static void skip_then_read(void **state)
{
	char *p = guest_ptr(&g, 0x3000);

	(void)state;
	memset(p, 'x', 16);
	assert_int_equal(dma(SELECT(FWCFG_FILE0 + 1), 0, 0), 0);
	assert_int_equal(dma(SKIP, 3, 0), 0);
	guest_save_load(&g, fw);
	assert_int_equal(dma(READ, 8, 0x3000), 0);
	assert_memory_equal(p, "ond\0\0\0\0\0x", 9);
	assert_int_equal(dma(SKIP, 0xffffffff, 0), 0);
	assert_int_equal(next_byte(), 0);
}

static void bad_dma(void **state)
{
	(void)state;
	assert_int_equal(dma(SELECT(FWCFG_FILE0) | READ, 8, GUEST_RAM - 4), 1);
	assert_int_equal(dma(READ, 0xffffffff, 0), 1);
	assert_int_equal(dma(SELECT(FWCFG_FILE0) | 0x10, 4, 0x3000), 1); /* nothing is writable */
	bus_write(&g.pio, FWCFG_PORT_DMA, 4, htobe32(0xffffffff));
	bus_write(&g.pio, FWCFG_PORT_DMA + 4, 4, htobe32(0xffffffff));
}

static void set_anew(void *opaque)
{
	struct err e;

	++*(int *)opaque;
	assert_int_equal(fwcfg_set_file(fw, "etc/one", "fresh", 5, &e), 0);
}

static void selecting_refreshes(void **state)
{
	int calls = 0;

	(void)state;
	fwcfg_on_select(fw, "etc/one", set_anew, &calls);
	select_key(FWCFG_FILE0 + 1);
	assert_int_equal(calls, 0);
	select_key(FWCFG_FILE0);
	assert_int_equal(calls, 1);
	assert_int_equal(next_byte(), 'f');
	assert_int_equal(next_byte(), 'r');
}

static void too_much_is_refused(void **state)
{
	char name[64] = "etc/";
	struct err e;
	int rc = 0;

	(void)state;
	for (unsigned i = 0; i < FWCFG_MAX_FILES - 2; i++) {
		name[4] = (char)('A' + i);
		assert_int_equal(fwcfg_set_file(fw, name, "", 0, &e), 0);
	}
	rc = fwcfg_set_file(fw, "etc/one too many", "", 0, &e);
	assert_int_not_equal(rc, 0);
	memset(name, 'n', sizeof(name) - 1);
	assert_int_not_equal(fwcfg_set_file(fw, name, "", 0, &e), 0);
}

/* ---- flash ----------------------------------------------------------------------------------- */

#define FLASH      0xff000000ull
#define FLASH_SIZE 0x4000u

static uint8_t rom[FLASH_SIZE], content[FLASH_SIZE];
static unsigned changes;

static void note_change(void *opaque)
{
	(void)opaque;
	changes++;
}

static struct device *add_flash(void)
{
	static struct pflash_conf chip = {FLASH, rom, content, FLASH_SIZE, note_change, NULL};
	struct device_conf conf = {.name = "pflash", .backend = &chip};

	for (unsigned i = 0; i < FLASH_SIZE; i++)
		content[i] = (uint8_t)(i | 1);
	g.mem.written = NULL; /* the ROM is this test's own */
	return guest_add(&g, &pflash_ops, &conf);
}

static void put(uint64_t off, unsigned val)
{
	guest_write(&g, FLASH + off, 1, val);
}

static void status_replaces_the_content(void **state)
{
	struct device *d = add_flash();

	(void)state;
	assert_int_equal(rom[0x123], 0x23);
	put(0x123, 0x50);
	assert_int_equal(rom[0x123], 0x23);
	put(0x123, 0x70);
	assert_int_equal(rom[0x123], 0);
	assert_int_equal(rom[FLASH_SIZE - 1], 0);
	guest_save_load(&g, d);
	assert_int_equal(rom[0x123], 0);
	put(0x123, 0xff);
	assert_memory_equal(rom, content, FLASH_SIZE);
	guest_remove(&g, d);
}

static void program_and_erase(void **state)
{
	struct device *d = add_flash();

	(void)state;
	changes = 0;
	put(0x10, 0x10);
	guest_save_load(&g, d); /* between the cycles */
	put(0x10, 0x01);
	assert_int_equal(rom[0x10], 0x01); /* bits only go away */
	put(0x1000, 0x20);
	put(0x1000, 0x00); /* no confirmation */
	assert_int_equal(rom[0x1000], 0x01);
	put(0x1fff, 0x20);
	put(0x1fff, 0xd0);
	assert_int_equal(rom[0x1000], 0xff);
	assert_int_equal(content[0x1fff], 0xff);
	assert_int_equal(rom[0x0fff], 0xff);
	assert_int_equal(rom[0x2000], 0x01);
	put(0x1000, 0xe8); /* two bytes through the buffer */
	put(0x1000, 1);
	put(0x1000, 0x5a);
	put(0x1001, 0xa5);
	put(0x1000, 0xd0);
	assert_int_equal(rom[0x1000], 0x5a);
	assert_int_equal(rom[0x1001], 0xa5);
	assert_int_equal(rom[0x1002], 0xff);
	assert_int_equal(changes, 4);
	put(0, 0x70);
	assert_int_equal(rom[0], 0x80);
	guest_remove(&g, d);
}

static void flash_refuses_made_up_states(void **state)
{
	struct device *d = add_flash();
	uint8_t *hw = d->ops->hw(d);
	struct err e;

	(void)state;
	hw[0] = 0x11;
	assert_int_not_equal(d->ops->loaded(d, &e), 0);
	d->ops->reset(d);
	((uint32_t *)hw)[1] = 0x10000;
	assert_int_not_equal(d->ops->loaded(d, &e), 0);
	d->ops->reset(d);
	guest_remove(&g, d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(signature_and_ports),
		TEST(directory_by_dma),
		TEST(skip_then_read),
		TEST(bad_dma),
		TEST(selecting_refreshes),
		TEST(too_much_is_refused),
		TEST(status_replaces_the_content),
		TEST(program_and_erase),
		TEST(flash_refuses_made_up_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
