/* SPDX-License-Identifier: Apache-2.0 */
/* The DSDT: PCI host bridge, the PC's fixed devices, the sleep state of power-off. */
#include "base/num.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/aml.h"
#include "vmm/device/acpipm.h"
#include "vmm/device/hpet.h"
#include "vmm/device/pci/layout.h"

static void put_hid(struct aml *a, const char *id)
{
	aml_name(a, "_HID");
	aml_eisaid(a, id);
}

static void put_value(struct aml *a, const char *name, uint64_t n)
{
	aml_name(a, name);
	aml_int(a, n);
}

/* ---- the PCI host bridge -------------------------------------------------------------------- */

/* 32-bit windows lie round the ECAM, which firmware may have moved. */
static void put_memory_windows(struct aml *a, const struct acpi_config *c)
{
	uint64_t base = PCI_MMIO32_BASE;

	aml_memory32_window(a, 0xa0000, 0xbffff);
	if (c->ecam > base && c->ecam < PCI_MMIO32_END) {
		aml_memory32_window(a, (uint32_t)base, (uint32_t)c->ecam - 1);
		base = c->ecam + PCI_ECAM_SIZE;
	}
	aml_memory32_window(a, (uint32_t)base, PCI_MMIO32_END - 1);
	base = align_up(c->ram_end > MEM_HIGH_START ? c->ram_end : MEM_HIGH_START, GIB);
	aml_memory64_window(a, base, PCI_MMIO64_BASE + PCI_MMIO64_SIZE - 1);
}

static void put_bridge_windows(struct aml *a, const struct acpi_config *c)
{
	size_t r;

	aml_name(a, "_CRS");
	r = aml_resources_begin(a);
	aml_bus_window(a, 0, PCI_LAST_BUS);
	aml_io(a, PCI_CONFIG_PORT, 8);
	aml_io_window(a, 0, PCI_CONFIG_PORT - 1);
	aml_io_window(a, PCI_CONFIG_PORT + 8, PCI_IO_END - 1);
	put_memory_windows(a, c);
	aml_resources_end(a, r);
}

/* One row (address, pin, no link device, GSI) for each device and pin. */
static void put_interrupt_routes(struct aml *a)
{
	size_t table, row;

	aml_name(a, "_PRT");
	table = aml_begin(a, AML_PACKAGE);
	aml_byte(a, 32 * 4);
	for (uint64_t dev = 0; dev < 32; dev++) {
		for (uint64_t pin = 0; pin < 4; pin++) {
			row = aml_begin(a, AML_PACKAGE);
			aml_byte(a, 4);
			aml_int(a, dev << 16 | 0xffff);
			aml_int(a, pin);
			aml_int(a, 0);
			aml_int(a, PCI_INTX_GSI(dev, pin));
			aml_end(a, row);
		}
	}
	aml_end(a, table);
}

static void put_uuid_buffer(struct aml *a)
{
	/* 33DB4D5B-1FF7-401C-9657-7441C03DD766: PCI host bridge, section 6.2.11.3. */
	static const uint8_t uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
					 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};
	size_t b = aml_begin(a, AML_BUFFER);

	aml_int(a, sizeof(uuid));
	aml_bytes(a, uuid, sizeof(uuid));
	aml_end(a, b);
}

static void put_field(struct aml *a, uint64_t offset, const char *name)
{
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_op(a, AML_ARG3);
	aml_int(a, offset);
	aml_path(a, name);
}

/* `op` (a, value, a) on a named field. */
static void put_change(struct aml *a, enum aml_op op, const char *name, uint64_t value)
{
	aml_op(a, op);
	aml_path(a, name);
	aml_int(a, value);
	aml_path(a, name);
}

/* _OSC: the guest gets native hot plug, PME, AER and PCIe capability control when it asks. */
static void put_osc(struct aml *a)
{
	size_t method = aml_begin(a, AML_METHOD), block;

	aml_path(a, "_OSC");
	aml_byte(a, 4);
	put_field(a, 0, "CDW1");
	block = aml_begin(a, AML_IF);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_ARG0);
	put_uuid_buffer(a);
	put_field(a, 8, "CDW3");
	put_change(a, AML_AND, "CDW3", 0x1d);
	aml_end(a, block);
	block = aml_begin(a, AML_ELSE);
	put_change(a, AML_OR, "CDW1", 4); /* unrecognised UUID */
	aml_end(a, block);
	aml_op(a, AML_RETURN);
	aml_op(a, AML_ARG3);
	aml_end(a, method);
}

static void put_bridge(struct aml *a, const struct acpi_config *c)
{
	size_t d = aml_begin(a, AML_DEVICE);

	aml_path(a, "PCI0");
	put_hid(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_eisaid(a, "PNP0A03");
	put_value(a, "_SEG", 0);
	put_value(a, "_BBN", 0);
	put_value(a, "_UID", 0);
	put_bridge_windows(a, c);
	put_interrupt_routes(a);
	put_osc(a);
	aml_end(a, d);
}

/* ---- fixed devices -------------------------------------------------------------------------- */

/* A device with at most two port ranges and one interrupt; interrupt 0: none. */
struct fixed_device {
	const char *name, *id;
	uint16_t port[2];
	uint8_t len[2], irq;
};

static const struct fixed_device fixed[] = {
	{"COM1", "PNP0501", {0x3f8}, {8}, 4},
	{"RTC0", "PNP0B00", {0x70}, {2}, 8},
	{"KBD0", "PNP0303", {0x60, 0x64}, {1, 1}, 1},
	{"MOU0", "PNP0F13", {0}, {0}, 12},
};

static void put_fixed(struct aml *a, const struct fixed_device *f)
{
	size_t d = aml_begin(a, AML_DEVICE), r;

	aml_path(a, f->name);
	put_hid(a, f->id);
	put_value(a, "_STA", 0xf);
	aml_name(a, "_CRS");
	r = aml_resources_begin(a);
	for (unsigned i = 0; i < 2; i++)
		if (f->len[i])
			aml_io(a, f->port[i], f->len[i]);
	if (f->irq)
		aml_irq(a, f->irq);
	aml_resources_end(a, r);
	aml_end(a, d);
}

/* What belongs to no device but must not be handed out: power management, ECAM. */
static void put_reserved(struct aml *a, const struct acpi_config *c)
{
	size_t d = aml_begin(a, AML_DEVICE), r;

	aml_path(a, "MBRD");
	put_hid(a, "PNP0C02");
	aml_name(a, "_CRS");
	r = aml_resources_begin(a);
	aml_io(a, ACPIPM_PM1_EVT, ACPIPM_LEN);
	if (c->ecam < MEM_HIGH_START)
		aml_memory32(a, (uint32_t)c->ecam, PCI_ECAM_SIZE);
	aml_resources_end(a, r);
	aml_end(a, d);
}

static void put_hpet(struct aml *a)
{
	size_t d = aml_begin(a, AML_DEVICE), r;

	aml_path(a, "HPET");
	put_hid(a, "PNP0103");
	put_value(a, "_UID", 0);
	aml_name(a, "_CRS");
	r = aml_resources_begin(a);
	aml_memory32(a, HPET_BASE, HPET_SIZE);
	aml_resources_end(a, r);
	aml_end(a, d);
}

static void put_s5(struct aml *a)
{
	size_t p;

	aml_name(a, "\\_S5_");
	p = aml_begin(a, AML_PACKAGE);
	aml_byte(a, 4);
	aml_int(a, ACPIPM_S5_TYPE);
	aml_int(a, ACPIPM_S5_TYPE);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a, p);
}

void acpi_write_dsdt(struct aml *a, const struct acpi_config *c)
{
	size_t scope = aml_begin(a, AML_SCOPE);

	aml_path(a, "\\_SB_");
	put_bridge(a, c);
	for (unsigned i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		put_fixed(a, &fixed[i]);
	put_reserved(a, c);
	if (c->has_hpet)
		put_hpet(a);
	aml_end(a, scope);
	put_s5(a);
}
