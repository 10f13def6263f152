/* SPDX-License-Identifier: Apache-2.0 */
/* PCI: both ways into configuration space, BARs that move, MSI-X masks, INTx, reset control. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "guest.h"
#include "vmm/device/virtio/virtio.h"

#define V1 VIRTIO_F_VERSION_1

static struct guest g;
static struct device *rng;

static int setup(void **state)
{
	struct device_conf conf = {.name = "virtio-rng"};

	(void)state;
	guest_init(&g);
	rng = guest_add(&g, &virtio_rng_ops, &conf);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, rng);
	guest_fini(&g);
	return 0;
}

static uint32_t mech1_read(unsigned slot, unsigned reg, unsigned size)
{
	bus_write(&g.pio, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & ~3u));
	return (uint32_t)bus_read(&g.pio, 0xcfc + (reg & 3), size);
}

static void config_access(void **state)
{
	(void)state;
	assert_int_equal(guest_cfg_read(&g, 0, 0, 4), 0x29c08086);
	assert_int_equal(guest_cfg_read(&g, 0, 8, 4), 0x06000000);
	assert_int_equal(guest_cfg_read(&g, 1, 0, 4), 0x10441af4);
	assert_int_equal(guest_cfg_read(&g, 2, 0, 4), 0xffffffff);
	assert_int_equal(guest_read(&g, PCI_ECAM_BASE + (1 << 12), 4), 0xffffffff);
	assert_int_equal(guest_cfg_read(&g, 1, 0x100, 4), 0xffffffff);
	assert_int_equal(guest_cfg_read(&g, 1, 0xffe, 2), 0xffff);
	for (unsigned reg = 0; reg < 256; reg += 4)
		assert_int_equal(mech1_read(1, reg, 4), guest_cfg_read(&g, 1, reg, 4));
	assert_int_equal(mech1_read(1, 2, 2), 0x1044);
	assert_int_equal(mech1_read(1, 3, 1), 0x10);
	assert_int_equal(bus_read(&g.pio, 0xcf8, 4), 0x80000800);
	assert_int_equal(mech1_read(1, 3, 2), 0xff10); /* runs over the register */
	bus_write(&g.pio, 0xcf8, 4, 0x00000800);       /* not enabled */
	assert_int_equal(bus_read(&g.pio, 0xcfc, 4), 0xffffffff);
	guest_cfg_write(&g, 1, 0, 4, 0); /* identity is read-only */
	assert_int_equal(guest_cfg_read(&g, 1, 0, 4), 0x10441af4);
}

static void reset_control(void **state)
{
	(void)state;
	bus_write(&g.pio, 0xcf8, 4, 0x80000804);
	bus_write(&g.pio, 0xcf9, 1, 0x02);
	assert_false(g.has_event);
	bus_write(&g.pio, 0xcf9, 1, 0x06);
	assert_true(g.has_event);
	assert_int_equal(g.event, MACHINE_RESET);
	assert_int_equal(bus_read(&g.pio, 0xcf8, 4), 0x80000804);
}

static void bar_sizing_and_moves(void **state)
{
	struct driver d;
	gpa_t first;

	(void)state;
	driver_probe(&d, &g, 1);
	first = d.bar;
	assert_true(first >= PCI_MMIO32_BASE && first < PCI_MMIO32_END);
	assert_int_equal(guest_read(&g, d.common + 0x12, 2), 1);

	guest_cfg_write(&g, 1, PCI_REG_COMMAND, 2, 0);
	assert_int_equal(guest_read(&g, d.common + 0x12, 2), 0xffff);
	guest_cfg_write(&g, 1, PCI_REG_BAR0, 4, 0xffffffff);
	guest_cfg_write(&g, 1, PCI_REG_BAR0 + 4, 4, 0xffffffff);
	assert_int_equal(guest_cfg_read(&g, 1, PCI_REG_BAR0, 4), 0xffff8004);
	assert_int_equal(guest_cfg_read(&g, 1, PCI_REG_BAR0 + 4, 4), 0xffffffff);
	assert_int_equal(guest_cfg_read(&g, 1, PCI_REG_BAR0 + 8, 4), 0);

	/* Above 4 GiB. */
	guest_cfg_write(&g, 1, PCI_REG_BAR0, 4, 0x10000000);
	guest_cfg_write(&g, 1, PCI_REG_BAR0 + 4, 4, PCI_MMIO64_BASE >> 32);
	guest_cfg_write(&g, 1, PCI_REG_COMMAND, 2, PCI_CMD_MEMORY);
	driver_probe(&d, &g, 1);
	assert_int_equal(d.bar, PCI_MMIO64_BASE + 0x10000000);
	assert_int_equal(guest_read(&g, d.common + 0x12, 2), 1);
	assert_null(bus_find(&g.mmio, first));

	/* Over the RAM, the ECAM, the chips below 4 GiB, and past all address bits: not decoded. */
	static const uint64_t bad[] = {0,          0x100000,   PCI_ECAM_BASE,
				       0xfec00000, 0xffff8000, 0xffffffffffff8000ull};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		guest_cfg_write(&g, 1, PCI_REG_BAR0, 4, (uint32_t)bad[i]);
		guest_cfg_write(&g, 1, PCI_REG_BAR0 + 4, 4, (uint32_t)(bad[i] >> 32));
		assert_int_equal(g.mmio.n, 1);
	}
	guest_cfg_write(&g, 1, PCI_REG_BAR0 + 4, 4, 0);
	guest_cfg_write(&g, 1, PCI_REG_BAR0, 4, (uint32_t)first);
	assert_int_equal(bus_find(&g.mmio, first)->base, first);
}

/* A function moved onto its neighbour waits until the neighbour leaves. */
static void bar_collision(void **state)
{
	struct device_conf conf = {.name = "virtio-rng"};
	struct device *second = guest_add(&g, &virtio_rng_ops, &conf);
	struct driver a, b;

	(void)state;
	driver_probe(&a, &g, 1);
	driver_probe(&b, &g, 2);
	guest_cfg_write(&g, 1, PCI_REG_BAR0, 4, (uint32_t)b.bar);
	assert_null(bus_find(&g.mmio, a.bar));
	guest_cfg_write(&g, 2, PCI_REG_BAR0, 4, (uint32_t)a.bar);
	assert_non_null(bus_find(&g.mmio, a.bar));
	assert_non_null(bus_find(&g.mmio, b.bar));
	guest_remove(&g, second);
}

/* One request for random bytes; returns how many messages it caused. */
static unsigned request(struct driver *d)
{
	struct seg s = {guest_alloc(&g, 64, 16), 64, true};
	unsigned before = g.msi_count;

	driver_add(d, 0, &s, 1);
	driver_kick(d, 0);
	assert_int_equal(driver_wait(d, 0).len, 64);
	pthread_mutex_lock(&g.lock); /* until the device has signalled */
	pthread_mutex_unlock(&g.lock);
	return g.msi_count - before;
}

static void msix_masks(void **state)
{
	struct driver d;
	uint32_t table, pba;

	(void)state;
	driver_start(&d, &g, 1, V1, 1, 16);
	table = guest_cfg_read(&g, 1, d.msix_cap + 4, 4) & ~7u;
	pba = guest_cfg_read(&g, 1, d.msix_cap + 8, 4) & ~7u;
	assert_int_equal(guest_cfg_read(&g, 1, d.msix_cap + 2, 2) & 0x7ff, 1);
	assert_int_equal(request(&d), 1);
	assert_int_equal(g.msi_last, 0x41);
	assert_int_equal(g.msi_addr, 0xfee00000);

	/* Vector masked: pending, delivered once on unmasking. */
	guest_write(&g, d.bar + table + 16 + 12, 4, 1);
	assert_int_equal(request(&d), 0);
	assert_int_equal(request(&d), 0);
	assert_int_equal(guest_read(&g, d.bar + pba, 4), 2);
	assert_int_equal(guest_read(&g, d.bar + pba, 8), 2);
	guest_save_load(&g, rng);
	assert_int_equal(guest_read(&g, d.bar + pba, 4), 2);
	guest_write(&g, d.bar + table + 16 + 12, 4, 0);
	assert_int_equal(g.msi_count, 2);
	assert_int_equal(guest_read(&g, d.bar + pba, 4), 0);

	/* Function masked. */
	guest_cfg_write(&g, 1, d.msix_cap + 2, 2, 0xc000);
	assert_int_equal(request(&d), 0);
	guest_cfg_write(&g, 1, d.msix_cap + 2, 2, 0x8000);
	assert_int_equal(g.msi_count, 3);

	/* A vector that does not exist is refused, the queue then stays silent. */
	guest_write(&g, d.common + 0x16, 2, 0);
	guest_write(&g, d.common + 0x1a, 2, 2);
	assert_int_equal(guest_read(&g, d.common + 0x1a, 2), 0xffff);
	assert_int_equal(request(&d), 0);

	/* Odd widths and offsets into table and pending bits do nothing. */
	guest_write(&g, d.bar + table + 1, 4, 0xffffffff);
	guest_write(&g, d.bar + table, 2, 0xffff);
	guest_write(&g, d.bar + table + 16 * 2, 4, 0xffffffff);
	guest_write(&g, d.bar + pba, 4, 0xffffffff);
	assert_int_equal(guest_read(&g, d.bar + table, 4), 0xfee00000);
	assert_int_equal(guest_read(&g, d.bar + table + 32, 4), 0);
	assert_int_equal(guest_read(&g, d.bar + pba, 4), 0);
}

static void intx(void **state)
{
	unsigned gsi = PCI_INTX_GSI(1, 0);
	struct driver d;

	(void)state;
	driver_start(&d, &g, 1, V1, 1, 16);
	guest_cfg_write(&g, 1, d.msix_cap + 2, 2, 0);
	assert_int_equal(request(&d), 0);
	assert_true(g.line[gsi]);
	assert_int_equal(guest_cfg_read(&g, 1, PCI_REG_STATUS, 2) & PCI_STATUS_INTX,
			 PCI_STATUS_INTX);
	guest_save_load(&g, rng);
	assert_true(g.line[gsi]);
	guest_cfg_write(&g, 1, PCI_REG_COMMAND, 2, PCI_CMD_MEMORY | PCI_CMD_NO_INTX);
	assert_false(g.line[gsi]);
	guest_cfg_write(&g, 1, PCI_REG_COMMAND, 2, PCI_CMD_MEMORY);
	assert_true(g.line[gsi]);
	assert_int_equal(guest_read(&g, d.isr, 1), 1);
	assert_false(g.line[gsi]);
	assert_int_equal(guest_read(&g, d.isr, 1), 0);
}

static void window(void **state)
{
	struct driver d;
	unsigned cap;

	(void)state;
	driver_probe(&d, &g, 1);
	cap = d.window_cap;
	guest_cfg_write(&g, 1, cap + 8, 4, 0x12); /* num_queues */
	guest_cfg_write(&g, 1, cap + 12, 4, 2);
	assert_int_equal(guest_cfg_read(&g, 1, cap + 16, 4), 1);
	guest_cfg_write(&g, 1, cap + 8, 4, 0x14); /* status */
	guest_cfg_write(&g, 1, cap + 12, 4, 1);
	guest_cfg_write(&g, 1, cap + 16, 1, 1);
	assert_int_equal(driver_status(&d), 1);
	/* Beyond the BAR, odd lengths, another BAR: nothing. */
	guest_cfg_write(&g, 1, cap + 8, 4, 0xfffffffc);
	guest_cfg_write(&g, 1, cap + 12, 4, 4);
	guest_cfg_read(&g, 1, cap + 16, 4);
	guest_cfg_write(&g, 1, cap + 16, 4, 0);
	guest_cfg_write(&g, 1, cap + 8, 4, 0x14);
	guest_cfg_write(&g, 1, cap + 12, 4, 3);
	guest_cfg_write(&g, 1, cap + 16, 4, 0);
	guest_cfg_write(&g, 1, cap + 12, 4, 1);
	guest_cfg_write(&g, 1, cap + 4, 1, 1);
	guest_cfg_write(&g, 1, cap + 16, 4, 0);
	assert_int_equal(driver_status(&d), 1);
}

/* A save may be of another machine, or made up. */
static void load_is_checked(void **state)
{
	struct virtio_hw *hw = rng->ops->hw(rng);
	struct virtio_hw good = *hw;
	struct err e;

	(void)state;
	hw->pci.cfg[0] ^= 1;
	assert_int_not_equal(rng->ops->loaded(rng, &e), 0);
	*hw = good;
	hw->features = ~0ull;
	assert_int_not_equal(rng->ops->loaded(rng, &e), 0);
	*hw = good;
	hw->vq.enabled[0] = 1;
	hw->vq.desc[0] = 0xfffffffffffffff0ull;
	assert_int_not_equal(rng->ops->loaded(rng, &e), 0);
	*hw = good;
	assert_int_equal(rng->ops->loaded(rng, &e), 0);
}

static void full_bus(void **state)
{
	struct device_conf conf = {.name = "virtio-rng"};
	struct device *more[PCI_SLOTS], *extra;
	unsigned n = 0;
	struct err e = {0};

	(void)state;
	while (!virtio_rng_ops.create(&more[n], &g.env, &conf, &e))
		n++;
	assert_int_equal(n, PCI_SLOTS - 2);
	assert_non_null(strstr(e.text, "PCI slots"));
	assert_int_not_equal(virtio_rng_ops.create(&extra, &g.env, &conf, &e), 0);
	while (n)
		guest_remove(&g, more[--n]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(config_access), TEST(reset_control),   TEST(bar_sizing_and_moves),
		TEST(bar_collision), TEST(msix_masks),      TEST(intx),
		TEST(window),        TEST(load_is_checked), TEST(full_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
