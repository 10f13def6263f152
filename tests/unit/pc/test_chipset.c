/* SPDX-License-Identifier: Apache-2.0 */
/* The chip set's registers that firmware programs: PCIEXBAR, PAM, routes of PCI interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/virtio/guest.h"
#include "vmm/device/pci/models.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/virtio/virtio.h"

#define LPC 31

static struct guest g;
static struct device *lpc;

static int setup(void **state)
{
	struct device_conf conf = {.name = "ich9-lpc"};

	(void)state;
	guest_init(&g);
	lpc = guest_add(&g, &lpc_ops, &conf);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, lpc);
	guest_fini(&g);
	return 0;
}

static void identity(void **state)
{
	(void)state;
	assert_int_equal(guest_cfg_read(&g, LPC, PCI_REG_VENDOR, 4), 0x29188086);
	assert_int_equal(guest_cfg_read(&g, LPC, PCI_REG_HEADER, 1), PCI_HEADER_MULTIFUNCTION);
	assert_int_equal(guest_cfg_read(&g, LPC, 0x40, 4), 0x601);
	assert_int_equal(bus_read(&g.pio, 0x630, 4), 0x20);
	bus_write(&g.pio, 0x630, 4, 0);
	assert_int_equal(bus_read(&g.pio, 0x630, 4), 0x20);
	bus_write(&g.pio, 0xb3, 1, 0x5a);
	assert_int_equal(bus_read(&g.pio, 0xb3, 1), 0x5a);
}

static void ecam_moves(void **state)
{
	(void)state;
	guest_cfg_write(&g, 0, 0x60, 4, 0xe0000001);
	assert_int_equal(guest_read(&g, PCI_ECAM_BASE, 4), 0xffffffff);
	assert_int_equal(guest_read(&g, 0xe0000000, 4), 0x29c08086);
	guest_save_load(&g, g.pci);
	assert_int_equal(guest_read(&g, 0xe0000000, 4), 0x29c08086);
	assert_int_equal(pci_host_ecam(g.env.pci), 0xe0000000);
	guest_write(&g, 0xe0000060, 4, 0xe0000000); /* switched off: nobody answers */
	assert_int_equal(guest_read(&g, 0xe0000000, 4), 0xffffffff);
	assert_int_equal(pci_host_ecam(g.env.pci), PCI_UNMAPPED);
	g.pci->ops->reset(g.pci);
	assert_int_equal(guest_read(&g, PCI_ECAM_BASE, 4), 0x29c08086);
}

static void pam_is_kept(void **state)
{
	(void)state;
	guest_cfg_write(&g, 0, 0x90, 4, 0xffffffff);
	assert_int_equal(guest_cfg_read(&g, 0, 0x90, 4), 0x33333330);
}

/* A line follows its pin while the route is on, and the routes may share one. */
static void pins_become_isa_interrupts(void **state)
{
	struct device_conf conf = {.name = "virtio-rng"};
	struct device *rng = guest_add(&g, &virtio_rng_ops, &conf);
	struct pci_function *f = virtio_pci_function((struct virtio_dev *)rng);
	unsigned pin = PCI_INTX_GSI(f->slot, 0) - 16;

	(void)state;
	pci_intx(f, true);
	assert_true(g.line[16 + pin]);
	assert_false(g.line[10]);
	guest_cfg_write(&g, LPC, 0x60 + pin, 1, 0x0a);
	assert_true(g.line[10]);
	guest_save_load(&g, lpc);
	assert_true(g.line[10]);
	guest_cfg_write(&g, LPC, 0x60 + pin, 1, 0x0b);
	assert_false(g.line[10]);
	assert_true(g.line[11]);
	pci_intx(f, false);
	assert_false(g.line[11]);
	guest_cfg_write(&g, LPC, 0x60 + pin, 1, 0x02); /* the cascade is no interrupt */
	pci_intx(f, true);
	assert_false(g.line[2]);
	guest_remove(&g, rng);
	assert_false(g.line[16 + pin]);
}

static void made_up_state_is_refused(void **state)
{
	struct err e;

	(void)state;
	((uint8_t *)lpc->ops->hw(lpc))[1] ^= 1; /* PCI vendor */
	assert_int_not_equal(lpc->ops->loaded(lpc, &e), 0);
	lpc->ops->reset(lpc);
	assert_int_equal(lpc->ops->loaded(lpc, &e), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(ecam_moves),
		TEST(pam_is_kept),
		TEST(pins_become_isa_interrupts),
		TEST(made_up_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
