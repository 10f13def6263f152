/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed ACPI tables: RSDP, XSDT, FADT, FACS, MADT, MCFG, and the header of the DSDT. */
#include "vmm/boot/acpi.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/aml.h"
#include "vmm/boot/layout.h"
#include "vmm/device/acpipm.h"
#include "vmm/device/pci/layout.h"

#define IOAPIC_BASE 0xfec00000u
#define LAPIC_BASE  0xfee00000u

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

#define FADT_WBINVD     (1u << 0)
#define FADT_PROC_C1    (1u << 2)
#define FADT_SLP_BUTTON (1u << 5) /* no fixed sleep button */
#define FADT_FIX_RTC    (1u << 6) /* the RTC's wake status is not in PM1 */
#define FADT_TMR_32     (1u << 8)
#define FADT_RESET_REG  (1u << 10)
#define BOOT_LEGACY     (1u << 0)
#define BOOT_8042       (1u << 1)
#define BOOT_NO_VGA     (1u << 2)

/* Tables are appended here, each 64-byte aligned (the FACS needs that). */
struct area {
	uint8_t *buf;
	size_t len, cap;
	bool full;
};

static uint8_t *area_add(struct area *a, size_t len, gpa_t *gpa)
{
	size_t at = align_up(a->len, 64);

	if (!range_ok(at, len, a->cap)) {
		a->full = true;
		at = 0; /* overwritten, and refused at the end */
	}
	a->len = at + len;
	*gpa = BOOT_TABLES + at;
	return a->buf + at;
}

static uint8_t checksum(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *b++);
	return (uint8_t)-sum;
}

/* Fills the header last: it holds the checksum of the whole table. */
static void finish(void *table, const char *signature, uint8_t revision, size_t len)
{
	struct sdt_header *h = table;

	memcpy(h->signature, signature, 4);
	h->length = (uint32_t)len;
	h->revision = revision;
	h->checksum = 0;
	memcpy(h->oem_id, "BATON ", 6);
	memcpy(h->oem_table_id, "BATONPC ", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "BATN", 4);
	h->creator_revision = 1;
	h->checksum = checksum(table, len);
}

static gpa_t add_dsdt(struct area *a)
{
	struct aml code;
	gpa_t gpa;
	uint8_t *table = area_add(a, sizeof(struct sdt_header), &gpa);

	code = (struct aml){.buf = a->buf + a->len, .cap = a->cap - a->len};
	acpi_write_dsdt(&code);
	a->full |= code.full;
	a->len += code.len;
	finish(table, "DSDT", 2, sizeof(struct sdt_header) + code.len);
	return gpa;
}

static gpa_t add_facs(struct area *a)
{
	gpa_t gpa;
	uint8_t *facs = area_add(a, 64, &gpa);
	uint32_t length = 64;

	memcpy(facs, "FACS", 4);
	memcpy(facs + 4, &length, 4);
	facs[32] = 2; /* version */
	return gpa;
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

static gpa_t add_fadt(struct area *a, gpa_t dsdt, gpa_t facs)
{
	gpa_t gpa;
	struct fadt *f = (void *)area_add(a, sizeof(*f), &gpa);

	fadt_registers(f);
	f->facs = (uint32_t)facs;
	f->dsdt = (uint32_t)dsdt;
	f->x_dsdt = dsdt;
	f->profile = 1;                        /* desktop */
	f->c2_latency = f->c3_latency = 0xfff; /* neither state */
	f->century = 0x32;
	f->boot_arch = BOOT_LEGACY | BOOT_8042 | BOOT_NO_VGA;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_32 |
		   FADT_RESET_REG;
	f->minor = 3;
	memcpy(&f->hypervisor, "Baton\0\0", 8);
	finish(f, "FACP", 6, sizeof(*f));
	return gpa;
}

/* Bytes of one MADT entry, appended to the table that ends at a->len. */
static void madt_entry(struct area *a, const uint8_t *entry)
{
	if (!range_ok(a->len, entry[1], a->cap)) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->len, entry, entry[1]);
	a->len += entry[1];
}

static gpa_t add_madt(struct area *a, unsigned nvcpus)
{
	static const uint8_t ioapic[] = {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0};
	static const uint8_t timer[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0}; /* IRQ 0 is at pin 2 */
	static const uint8_t sci[] = {2, 10, 0, ACPIPM_SCI_GSI, ACPIPM_SCI_GSI,
				      0, 0,  0, 0x0d,           0}; /* level, active high */
	static const uint8_t nmi[] = {4, 6, 0xff, 0, 0, 1};         /* LINT1 of every processor */
	gpa_t gpa;
	uint8_t *table = area_add(a, sizeof(struct sdt_header) + 8, &gpa);
	uint32_t fixed[2] = {LAPIC_BASE, 1}; /* flags: there is a PIC as well */

	memcpy(table + sizeof(struct sdt_header), fixed, 8);
	for (unsigned i = 0; i < nvcpus; i++)
		madt_entry(a, (uint8_t[]){0, 8, (uint8_t)i, (uint8_t)i, 1, 0, 0, 0});
	madt_entry(a, ioapic);
	madt_entry(a, timer);
	madt_entry(a, sci);
	madt_entry(a, nmi);
	finish(table, "APIC", 4, (size_t)(a->buf + a->len - table));
	return gpa;
}

static gpa_t add_mcfg(struct area *a)
{
	static const uint64_t ecam = PCI_ECAM_BASE;
	const size_t len = sizeof(struct sdt_header) + 8 + 16;
	gpa_t gpa;
	uint8_t *table = area_add(a, len, &gpa);
	uint8_t *entry = table + sizeof(struct sdt_header) + 8;

	memcpy(entry, &ecam, 8);
	entry[11] = 0xff; /* last bus; segment and first bus are 0 */
	finish(table, "MCFG", 1, len);
	return gpa;
}

static gpa_t add_xsdt(struct area *a, const gpa_t *tables, size_t n)
{
	gpa_t gpa;
	uint8_t *xsdt = area_add(a, sizeof(struct sdt_header) + 8 * n, &gpa);

	memcpy(xsdt + sizeof(struct sdt_header), tables, 8 * n);
	finish(xsdt, "XSDT", 1, sizeof(struct sdt_header) + 8 * n);
	return gpa;
}

static void fill_rsdp(struct rsdp *r, gpa_t xsdt)
{
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem_id, "BATON ", 6);
	r->revision = 2;
	r->length = sizeof(*r);
	r->xsdt = xsdt;
	r->checksum = checksum(r, 20);
	r->extended_checksum = checksum(r, sizeof(*r));
}

int acpi_build(struct guest_memory *m, unsigned nvcpus, gpa_t *rsdp, struct err *e)
{
	struct area a = {.buf = mem_ptr(m, BOOT_TABLES, BOOT_TABLES_SIZE, true),
			 .cap = BOOT_TABLES_SIZE};
	gpa_t tables[3], dsdt;
	struct rsdp *root;

	if (!a.buf)
		return err_set(e, -ENOSPC, "boot: no RAM for the ACPI tables");
	memset(a.buf, 0, a.cap);
	root = (void *)area_add(&a, sizeof(*root), rsdp);
	dsdt = add_dsdt(&a);
	tables[0] = add_fadt(&a, dsdt, add_facs(&a));
	tables[1] = add_madt(&a, nvcpus);
	tables[2] = add_mcfg(&a);
	fill_rsdp(root, add_xsdt(&a, tables, 3));
	mem_written(m, BOOT_TABLES, BOOT_TABLES_SIZE);
	if (a.full)
		return err_set(e, -ENOSPC, "boot: ACPI tables for %u processors do not fit",
			       nvcpus);
	return 0;
}
