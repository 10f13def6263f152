/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cpu/acpi.h"

#include "kernel/cpu/acpi_tables.h"
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/pagetable.h"

struct acpi_info acpi;

#define MAX_TABLE (1u << 20) /* what is longer is damaged */

static bool sums_to_zero(const void *p, size_t n)
{
	uint8_t sum = 0;

	for (const uint8_t *b = p; n--; b++)
		sum += *b;
	return !sum;
}

static const struct rsdp *rsdp_at(uint64_t phys)
{
	const struct rsdp *r = map_device(phys, sizeof(*r));

	return !memcmp(r->signature, "RSD PTR ", 8) && sums_to_zero(r, 20) ? r : NULL;
}

static const struct rsdp *find_rsdp(uint64_t hint)
{
	const struct rsdp *r = hint ? rsdp_at(hint) : NULL;

	for (uint64_t at = 0xe0000; !r && at < 0x100000; at += 16)
		r = rsdp_at(at);
	return r;
}

static const struct sdt *table_at(uint64_t phys)
{
	const struct sdt *t = map_device(phys, sizeof(*t));

	if (t->length < sizeof(*t) || t->length > MAX_TABLE)
		return NULL;
	t = map_device(phys, t->length);
	return sums_to_zero(t, t->length) ? t : NULL;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A number of n bytes that may lie at any address. */
static uint64_t number(const void *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static void add_cpu(uint64_t id, uint64_t flags)
{
	if (flags & 1 && acpi.ncpus < ARRAY_SIZE(acpi.apic_ids))
		acpi.apic_ids[acpi.ncpus++] = (uint32_t)id;
}

static void read_madt_entry(const uint8_t *e)
{
	switch (e[0]) {
	case 0: /* local APIC */
		add_cpu(e[3], number(e + 4, 4));
		break;
	case 1: /* I/O APIC */
		ioapic_add(number(e + 4, 4), (uint32_t)number(e + 8, 4));
		break;
	case 2: /* interrupt source override */
		ioapic_override(e[3], (uint32_t)number(e + 4, 4), (unsigned)number(e + 8, 2));
		break;
	case 9: /* local x2APIC */
		add_cpu(number(e + 4, 4), number(e + 8, 4));
		break;
	}
}

static void read_madt(const struct sdt *t)
{
	const uint8_t *p = (const uint8_t *)(t + 1) + 8, *end = (const uint8_t *)t + t->length;

	for (; p + 2 <= end && p[1] >= 2 && p + p[1] <= end; p += p[1])
		read_madt_entry(p);
}

/* The package of \_S5 in AML: NameOp "_S5_" PackageOp, length, count, then SLP_TYPa. */
static void find_s5(const struct sdt *dsdt)
{
	const uint8_t *p = (const uint8_t *)dsdt, *end = p + dsdt->length;

	for (p += sizeof(*dsdt); p + 12 < end; p++) {
		const uint8_t *v = p + 5;

		if (memcmp(p, "_S5_\x12", 5))
			continue;
		v += (*v >> 6) + 2; /* package length, count */
		acpi.slp_typ = *v == 0x0a ? v[1] : *v == 1 ? 1 : 0;
		return;
	}
}

static void read_fadt(const struct sdt *t)
{
	const uint8_t *b = (const uint8_t *)t;
	const struct sdt *dsdt;
	uint64_t dsdt_at;

	if (t->length < 116)
		return;
	acpi.pm1a_control = (uint16_t)number(b + 64, 2);
	dsdt_at = number(b + 40, 4);
	if (t->length >= 148 && !dsdt_at)
		dsdt_at = number(b + 140, 8);
	if (t->length >= 129 && number(b + 112, 4) & 1 << 10 && b[116] == 1) {
		acpi.reset_port = (uint16_t)number(b + 120, 2);
		acpi.reset_value = b[128];
		acpi.reset_port_valid = true;
	}
	dsdt = dsdt_at ? table_at(dsdt_at) : NULL;
	if (dsdt)
		find_s5(dsdt);
}

static void read_table(uint64_t phys)
{
	const struct sdt *t = table_at(phys);

	if (t && !memcmp(t->signature, "APIC", 4))
		read_madt(t);
	else if (t && !memcmp(t->signature, "FACP", 4))
		read_fadt(t);
}

bool acpi_init(uint64_t hint)
{
	const struct rsdp *r = find_rsdp(hint);
	bool wide = r && r->revision >= 2 && r->xsdt;
	const struct sdt *root = r ? table_at(wide ? r->xsdt : r->rsdt) : NULL;
	size_t step = wide ? 8 : 4;

	if (!root)
		return false;
	for (size_t at = sizeof(*root); at + step <= root->length; at += step)
		read_table(number((const char *)root + at, step));
	return true;
}

/* ---- power ----------------------------------------------------------------------------------- */

_Noreturn void machine_power_off(void)
{
	klog("power off");
	if (acpi.pm1a_control)
		outw(acpi.pm1a_control, (uint16_t)(acpi.slp_typ << 10 | 1 << 13));
	klog("the machine can be switched off now");
	cpu_halt();
}

_Noreturn void machine_reboot(void)
{
	klog("reboot");
	if (acpi.reset_port_valid)
		outb(acpi.reset_port, acpi.reset_value);
	outb(0xcf9, 6);
	outb(0x64, 0xfe);
	cpu_halt();
}
