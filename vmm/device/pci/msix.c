/* SPDX-License-Identifier: Apache-2.0 */
/* MSI-X: the vector table, masks and pending bits of a function. (PCI 3.0 section 6.8.2.) */
#include <errno.h>

#include "base/num.h"
#include "vmm/device/pci/pci.h"

#define CTRL_ENABLE     0x8000
#define CTRL_MASK_ALL   0x4000
#define VECTOR_MASKED   0x1
#define WORDS_PER_ENTRY 4

int pci_add_msix(struct pci_function *f, unsigned nvectors, unsigned bar, uint32_t table,
		 uint32_t pba, struct err *e)
{
	uint8_t cap[12] = {0}, writable[12] = {0};
	int at;

	if (!nvectors || nvectors > PCI_MSIX_MAX)
		return err_set(e, -EINVAL, "%s: %u interrupt vectors", f->name, nvectors);
	pci_put16(cap, 2, (uint16_t)(nvectors - 1));
	pci_put32(cap, 4, table | bar);
	pci_put32(cap, 8, pba | bar);
	pci_put16(writable, 2, CTRL_ENABLE | CTRL_MASK_ALL);
	at = pci_add_cap(f, PCI_CAP_MSIX, cap, writable, sizeof(cap), e);
	if (at < 0)
		return at;
	f->msix_cap = (unsigned)at;
	f->nvectors = nvectors;
	return 0;
}

static uint16_t control(const struct pci_function *f)
{
	return f->msix_cap ? pci_get16(f->hw->cfg, f->msix_cap + 2) : 0;
}

bool pci_msix_enabled(const struct pci_function *f)
{
	return control(f) & CTRL_ENABLE;
}

static bool may_send(const struct pci_function *f, unsigned v)
{
	return (control(f) & (CTRL_ENABLE | CTRL_MASK_ALL)) == CTRL_ENABLE &&
	       !(f->hw->msix[v * WORDS_PER_ENTRY + 3] & VECTOR_MASKED);
}

static void send(struct pci_function *f, unsigned v)
{
	const uint32_t *entry = &f->hw->msix[v * WORDS_PER_ENTRY];

	f->hw->msix_pending &= ~(1u << v);
	pci_host_msi(f->host, (uint64_t)entry[1] << 32 | entry[0], entry[2]);
}

void pci_msix_fire(struct pci_function *f, unsigned vector)
{
	if (vector >= f->nvectors)
		return;
	if (may_send(f, vector))
		send(f, vector);
	else
		f->hw->msix_pending |= 1u << vector;
}

static void send_pending(struct pci_function *f)
{
	for (unsigned v = 0; v < f->nvectors; v++)
		if (f->hw->msix_pending >> v & 1 && may_send(f, v))
			send(f, v);
}

void pci_msix_config_written(struct pci_function *f)
{
	send_pending(f);
}

static uint32_t part(uint32_t word, uint64_t off, unsigned size)
{
	word >>= (off & 3) * 8;
	return size >= 4 ? word : word & ((1u << size * 8) - 1);
}

uint32_t pci_msix_table_read(struct pci_function *f, uint64_t off, unsigned size)
{
	if (!range_ok(off, size, (uint64_t)f->nvectors * WORDS_PER_ENTRY * 4))
		return 0;
	return part(f->hw->msix[off / 4], off, size);
}

void pci_msix_table_write(struct pci_function *f, uint64_t off, unsigned size, uint32_t val)
{
	/* Only aligned DWORDs and QWORDs are allowed; the bus splits the latter. */
	if (size != 4 || off % 4 ||
	    !range_ok(off, size, (uint64_t)f->nvectors * WORDS_PER_ENTRY * 4))
		return;
	if (off / 4 % WORDS_PER_ENTRY == 3)
		val &= VECTOR_MASKED;
	f->hw->msix[off / 4] = val;
	send_pending(f);
}

uint32_t pci_msix_pba_read(struct pci_function *f, uint64_t off, unsigned size)
{
	return off < 4 ? part(f->hw->msix_pending, off, size) : 0;
}
