/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed ACPI tables: RSDP, XSDT, FADT, FACS, MADT, MCFG, and the header of the DSDT. */
#include "vmm/boot/acpi.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/aml.h"
#include "vmm/boot/layout.h"
#include "vmm/device/acpipm.h"
#include "vmm/device/hpet.h"
#include "vmm/device/pci/layout.h"

#define LAPIC_BASE 0xfee00000u

struct sdt_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

/* Generic address structure, section 5.2.3.2. */
struct gas {
	uint8_t space, bits, offset, access;
	uint64_t address;
} __attribute__((packed));

struct fadt {
	struct sdt_header h;
	uint32_t facs, dsdt;
	uint8_t model, profile;
	uint16_t sci;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct gas reset;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1;
	struct gas sleep_control, sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));

_Static_assert(sizeof(struct fadt) == 276, "FADT of revision 6");
_Static_assert(sizeof(struct rsdp) == ACPI_RSDP_SIZE, "RSDP of revision 2");

#define FADT_WBINVD     (1u << 0)
#define FADT_PROC_C1    (1u << 2)
#define FADT_SLP_BUTTON (1u << 5) /* no fixed sleep button */
#define FADT_FIX_RTC    (1u << 6) /* the RTC's wake status is not in PM1 */
#define FADT_TMR_32     (1u << 8)
#define FADT_RESET_REG  (1u << 10)
#define BOOT_LEGACY     (1u << 0)
#define BOOT_8042       (1u << 1)
#define BOOT_NO_VGA     (1u << 2)

/* Appends room for a table; 64-byte aligned, which the FACS needs. Returns its offset. */
static uint32_t add(struct acpi_tables *t, size_t len)
{
	size_t at = align_up(t->len, 64);

	if (!range_ok(at, len, t->cap)) {
		t->full = true;
		at = 0; /* overwritten, and refused at the end */
	}
	t->len = at + len;
	return (uint32_t)at;
}

/* Puts the address of what is at offset `to` into `bytes` bytes at offset `at`. */
static void put_link(struct acpi_tables *t, uint32_t at, unsigned bytes, uint32_t to)
{
	uint64_t address = t->base + to;

	if (t->nlinks == ACPI_MAX_LINKS || !range_ok(at, bytes, t->cap)) {
		t->full = true;
		return;
	}
	memcpy(t->buf + at, &address, bytes);
	t->link[t->nlinks++] = (struct acpi_link){at, (uint8_t)bytes};
}

static uint8_t checksum(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *b++);
	return (uint8_t)-sum;
}

/* Fills the header of the table from `at` to the end last: it holds the checksum of all of it. */
static void finish(struct acpi_tables *t, uint32_t at, const char *signature, uint8_t revision)
{
	struct sdt_header *h = (void *)(t->buf + at);
	uint32_t len = (uint32_t)(t->len - at);

	if (t->full || t->ntables == ACPI_MAX_TABLES) {
		t->full = true;
		return;
	}
	memcpy(h->signature, signature, 4);
	h->length = len;
	h->revision = revision;
	h->checksum = 0;
	memcpy(h->oem_id, "BATON ", 6);
	memcpy(h->oem_table_id, "BATONPC ", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "BATN", 4);
	h->creator_revision = 1;
	h->checksum = checksum(h, len);
	t->table[t->ntables++] = (struct acpi_part){at, len};
}

static uint32_t add_dsdt(struct acpi_tables *t, const struct acpi_config *c)
{
	uint32_t at = add(t, sizeof(struct sdt_header));
	struct aml code = {.buf = t->buf + t->len, .cap = t->cap - t->len};

	acpi_write_dsdt(&code, c);
	t->full |= code.full;
	t->len += code.len;
	finish(t, at, "DSDT", 2);
	return at;
}

static uint32_t add_facs(struct acpi_tables *t)
{
	uint32_t at = add(t, 64), length = 64;
	uint8_t *facs = t->buf + at;

	memcpy(facs, "FACS", 4);
	memcpy(facs + 4, &length, 4);
	facs[32] = 2; /* version */
	return at;
}

static struct gas io_port(uint64_t port, unsigned bytes)
{
	return (struct gas){1, (uint8_t)(bytes * 8), 0, bytes == 4 ? 3 : (uint8_t)bytes, port};
}

static void fadt_registers(struct fadt *f)
{
	f->sci = ACPIPM_SCI_GSI;
	f->pm1a_evt = ACPIPM_PM1_EVT;
	f->pm1a_cnt = ACPIPM_PM1_CNT;
	f->pm_tmr = ACPIPM_PM_TMR;
	f->gpe0 = ACPIPM_GPE0;
	f->pm1_evt_len = 4;
	f->pm1_cnt_len = 2;
	f->pm_tmr_len = 4;
	f->gpe0_len = ACPIPM_GPE0_LEN;
	f->x_pm1a_evt = io_port(ACPIPM_PM1_EVT, 4);
	f->x_pm1a_evt.access = 2;
	f->x_pm1a_cnt = io_port(ACPIPM_PM1_CNT, 2);
	f->x_pm_tmr = io_port(ACPIPM_PM_TMR, 4);
	f->x_gpe0 = io_port(ACPIPM_GPE0, ACPIPM_GPE0_LEN);
	f->x_gpe0.access = 1;
	f->reset = io_port(ACPIPM_RESET_PORT, 1);
	f->reset_value = ACPIPM_RESET_VAL;
}

static uint32_t add_fadt(struct acpi_tables *t, const struct acpi_config *c, uint32_t dsdt,
			 uint32_t facs)
{
	uint32_t at = add(t, sizeof(struct fadt));
	struct fadt *f = (void *)(t->buf + at);

	fadt_registers(f);
	put_link(t, at + offsetof(struct fadt, facs), 4, facs);
	put_link(t, at + offsetof(struct fadt, dsdt), 4, dsdt);
	put_link(t, at + offsetof(struct fadt, x_dsdt), 8, dsdt);
	f->profile = 1;                        /* desktop */
	f->c2_latency = f->c3_latency = 0xfff; /* neither state */
	f->century = 0x32;
	f->boot_arch = BOOT_LEGACY | BOOT_8042 | (c->has_vga ? 0 : BOOT_NO_VGA);
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_32 |
		   FADT_RESET_REG;
	f->minor = 3;
	memcpy(&f->hypervisor, "Baton\0\0", 8);
	finish(t, at, "FACP", 6);
	return at;
}

/* Bytes of one MADT entry, appended to the table at the end. */
static void madt_entry(struct acpi_tables *t, const uint8_t *entry)
{
	if (!range_ok(t->len, entry[1], t->cap)) {
		t->full = true;
		return;
	}
	memcpy(t->buf + t->len, entry, entry[1]);
	t->len += entry[1];
}

static uint32_t add_madt(struct acpi_tables *t, unsigned nvcpus)
{
	static const uint8_t ioapic[] = {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0};
	static const uint8_t timer[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0}; /* IRQ 0 is at pin 2 */
	static const uint8_t sci[] = {2, 10, 0, ACPIPM_SCI_GSI, ACPIPM_SCI_GSI,
				      0, 0,  0, 0x0d,           0}; /* level, active high */
	static const uint8_t nmi[] = {4, 6, 0xff, 0, 0, 1};         /* LINT1 of every processor */
	uint32_t fixed[2] = {LAPIC_BASE, 1}; /* flags: there is a PIC as well */
	uint32_t at = add(t, sizeof(struct sdt_header) + sizeof(fixed));

	memcpy(t->buf + at + sizeof(struct sdt_header), fixed, sizeof(fixed));
	for (unsigned i = 0; i < nvcpus; i++)
		madt_entry(t, (uint8_t[]){0, 8, (uint8_t)i, (uint8_t)i, 1, 0, 0, 0});
	madt_entry(t, ioapic);
	madt_entry(t, timer);
	madt_entry(t, sci);
	madt_entry(t, nmi);
	finish(t, at, "APIC", 4);
	return at;
}

static uint32_t add_mcfg(struct acpi_tables *t, uint64_t ecam)
{
	uint32_t at = add(t, sizeof(struct sdt_header) + 8 + 16);
	uint8_t *entry = t->buf + at + sizeof(struct sdt_header) + 8;

	memcpy(entry, &ecam, 8);
	entry[11] = PCI_LAST_BUS; /* segment and first bus are 0 */
	finish(t, at, "MCFG", 1);
	return at;
}

static uint32_t add_hpet(struct acpi_tables *t)
{
	struct {
		uint32_t id;
		struct gas base;
		uint8_t number;
		uint16_t min_tick;
		uint8_t protection;
	} __attribute__((packed)) body = {.id = HPET_ID, .base = {0, 64, 0, 0, HPET_BASE}};
	uint32_t at = add(t, sizeof(struct sdt_header) + sizeof(body));

	memcpy(t->buf + at + sizeof(struct sdt_header), &body, sizeof(body));
	finish(t, at, "HPET", 1);
	return at;
}

static void add_xsdt(struct acpi_tables *t, const uint32_t *tables, unsigned n)
{
	t->xsdt = add(t, sizeof(struct sdt_header) + 8 * n);
	for (unsigned i = 0; i < n; i++)
		put_link(t, t->xsdt + (uint32_t)sizeof(struct sdt_header) + 8 * i, 8, tables[i]);
	finish(t, t->xsdt, "XSDT", 1);
}

void acpi_write_tables(struct acpi_tables *t, const struct acpi_config *c)
{
	uint32_t table[ACPI_MAX_TABLES], dsdt = add_dsdt(t, c);
	unsigned n = 0;

	table[n++] = add_fadt(t, c, dsdt, add_facs(t));
	table[n++] = add_madt(t, c->nvcpus);
	if (c->ecam != UINT64_MAX)
		table[n++] = add_mcfg(t, c->ecam);
	if (c->has_hpet)
		table[n++] = add_hpet(t);
	add_xsdt(t, table, n);
}

void acpi_write_rsdp(uint8_t rsdp[ACPI_RSDP_SIZE], gpa_t xsdt)
{
	struct rsdp r = {.revision = 2, .length = sizeof(r), .xsdt = xsdt};

	memcpy(r.signature, "RSD PTR ", 8);
	memcpy(r.oem_id, "BATON ", 6);
	r.checksum = checksum(&r, 20);
	r.extended_checksum = checksum(&r, sizeof(r));
	memcpy(rsdp, &r, sizeof(r));
}

/* The RSDP is at the start, the tables follow behind its 64 bytes. */
int acpi_build(struct guest_memory *m, const struct acpi_config *c, gpa_t *rsdp, struct err *e)
{
	const size_t head = align_up(ACPI_RSDP_SIZE, 64);
	uint8_t *area = mem_ptr(m, BOOT_TABLES, BOOT_TABLES_SIZE, true);
	struct acpi_tables t = {.base = BOOT_TABLES + head, .cap = BOOT_TABLES_SIZE - head};

	if (!area)
		return err_set(e, -ENOSPC, "boot: no RAM for the ACPI tables");
	memset(area, 0, BOOT_TABLES_SIZE);
	t.buf = area + head;
	acpi_write_tables(&t, c);
	acpi_write_rsdp(area, t.base + t.xsdt);
	*rsdp = BOOT_TABLES;
	mem_written(m, BOOT_TABLES, BOOT_TABLES_SIZE);
	if (t.full)
		return err_set(e, -ENOSPC, "boot: ACPI tables for %u processors do not fit",
			       c->nvcpus);
	return 0;
}
