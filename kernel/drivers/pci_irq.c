/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts of PCI devices: MSI-X, MSI, or the line that firmware joined to an ISA interrupt. */
#include "kernel/cpu/apic.h"
#include "kernel/drivers/pci.h"

#define MSI_ADDRESS 0xfee00000u
#define MSI_ENABLE  (1u << 0)
#define MSI_WIDE    (1u << 7)
#define MSI_COUNT   (7u << 4) /* log2 of the vectors in use */
#define MSIX_MASK   (1u << 14)
#define MSIX_ENABLE (1u << 15)

/* The devices take the CPUs in turn. An address has room for 8 bits of an APIC's ID. */
static uint32_t next_address(void)
{
	static unsigned turn;
	uint32_t id = cpus[__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % ncpus].apic_id;

	return MSI_ADDRESS | (id < 256 ? id : cpus[0].apic_id) << 12;
}

/* ---- messages -------------------------------------------------------------------------------- */

static unsigned msix_entries(const struct pci_device *d)
{
	return (pci_read(d, d->msix + 2, 2) & 0x7ff) + 1;
}

static bool map_msix(struct pci_device *d)
{
	uint32_t where = pci_read(d, d->msix + 4, 4); /* BAR in bits 2-0, offset */
	unsigned n = msix_entries(d);

	d->msix_table = pci_map(d, where & 7, where & ~7u, n * 16UL);
	if (!d->msix_table)
		return false;
	for (unsigned i = 0; i < n; i++)
		d->msix_table[i * 4 + 3] |= 1; /* masked */
	pci_write(d, d->msix + 2, 2, (pci_read(d, d->msix + 2, 2) & ~MSIX_MASK) | MSIX_ENABLE);
	return true;
}

static int set_msix(struct pci_device *d, unsigned n, irq_fn *fn, void *opaque)
{
	volatile uint32_t *entry;
	unsigned vector;

	if (n >= msix_entries(d) || (!d->msix_table && !map_msix(d)))
		return -ENODEV;
	vector = irq_alloc(fn, opaque);
	if (!vector)
		return -ENODEV;
	entry = d->msix_table + n * 4;
	entry[0] = next_address();
	entry[1] = 0;
	entry[2] = vector;
	entry[3] &= ~1u;
	return 0;
}

static int set_msi(struct pci_device *d, irq_fn *fn, void *opaque)
{
	unsigned control = pci_read(d, d->msi + 2, 2), wide = control & MSI_WIDE ? 4 : 0;
	unsigned vector = irq_alloc(fn, opaque);

	if (!vector)
		return -ENODEV;
	pci_write(d, d->msi + 4, 4, next_address());
	if (wide)
		pci_write(d, d->msi + 8, 4, 0);
	pci_write(d, d->msi + 8 + wide, 2, vector);
	pci_write(d, d->msi + 2, 2, (control & ~MSI_COUNT) | MSI_ENABLE);
	return 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Who shares a line; entries are only added, at the front. */
static struct line_user {
	irq_fn *fn;
	void *opaque;
	struct line_user *next;
} * lines[16];

static void line_interrupt(void *opaque)
{
	struct line_user **line = opaque;

	for (struct line_user *u = __atomic_load_n(line, __ATOMIC_ACQUIRE); u; u = u->next)
		u->fn(u->opaque);
}

static int set_line(struct pci_device *d, irq_fn *fn, void *opaque)
{
	unsigned line = pci_read(d, PCI_LINE, 1), vector;
	struct line_user *u;

	if (!pci_read(d, PCI_PIN, 1) || line >= ARRAY_SIZE(lines))
		return -ENODEV;
	u = pci_alloc(d, sizeof(*u));
	vector = u && !lines[line] ? irq_alloc(line_interrupt, &lines[line]) : 0;
	if (!u || (!lines[line] && !vector))
		return -ENODEV;
	*u = (struct line_user){fn, opaque, lines[line]};
	__atomic_store_n(&lines[line], u, __ATOMIC_RELEASE);
	if (vector)
		ioapic_route_pci(line, vector);
	pci_write(d, PCI_COMMAND, 2, pci_read(d, PCI_COMMAND, 2) & ~(unsigned)PCI_COMMAND_NO_INTX);
	return 0;
}

int pci_irq(struct pci_device *d, unsigned n, irq_fn *fn, void *opaque)
{
	int rc = -ENODEV;

	if (d->msix)
		rc = set_msix(d, n, fn, opaque);
	else if (n == 0)
		rc = d->msi ? set_msi(d, fn, opaque) : set_line(d, fn, opaque);
	if (rc)
		klog("pci %s: no interrupt %u", d->name, n);
	else
		d->interrupts = true;
	return rc;
}
