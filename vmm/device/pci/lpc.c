/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge to the PC's own devices, with the registers of Intel's ICH9 that firmware programs
 * (data sheet 316972, sections 13.1 and 13.8): where PCI interrupts go in a machine without I/O
 * APIC, and ports that belong to no other device. ACPI registers stay at their place whatever
 * PMBASE says; there is no system management mode.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/device/acpipm.h"
#include "vmm/device/pci/models.h"
#include "vmm/device/pci/pci.h"

#define LPC_SLOT 31
#define NPINS    4

#define REG_PMBASE    0x40
#define REG_ACPI_CTRL 0x44
#define REG_PIRQ_A    0x60 /* A to D; E to H at 0x68 hold what the guest writes */
#define REG_PIRQ_E    0x68
#define REG_RCBA      0xf0

#define PIRQ_OFF  0x80
#define ISA_LINES 0xdef8u /* interrupts that a PCI interrupt can become: not 0, 1, 2, 8, 13 */

#define PORT_APM    0xb2 /* command and status, two bytes that keep what is written */
#define PORT_SMI    (ACPIPM_PM1_EVT + 0x30)
#define SMI_APMC_EN 0x20 /* firmware takes this for "management mode is set up" and keeps off */

struct lpc_hw {
	struct pci_hw pci;
	uint8_t apm[2];
};

struct lpc {
	struct device dev;
	struct device_env env;
	struct lpc_hw hw;
	struct pci_function fn;
	bool pin[NPINS];
	uint16_t driven; /* ISA lines held up for PCI interrupts */
};

/* ---- interrupts -------------------------------------------------------------------------------
 */

static uint16_t wanted_lines(const struct lpc *l)
{
	uint16_t lines = 0;

	for (unsigned i = 0; i < NPINS; i++) {
		uint8_t route = l->hw.pci.cfg[REG_PIRQ_A + i];

		if (l->pin[i] && !(route & PIRQ_OFF))
			lines |= (uint16_t)(1u << (route & 15));
	}
	return lines & ISA_LINES;
}

static void update_lines(struct lpc *l)
{
	uint16_t now = wanted_lines(l), changed = now ^ l->driven;

	l->driven = now;
	for (unsigned i = 0; i < 16; i++) {
		struct irq_line line = {l->env.irq, i};

		if (changed >> i & 1)
			irq_set(&line, now >> i & 1);
	}
}

static void pin_changed(void *opaque, unsigned pin, bool level)
{
	struct lpc *l = opaque;

	l->pin[pin] = level;
	update_lines(l);
}

static void touched(void *opaque, unsigned reg, unsigned size, bool write)
{
	(void)reg;
	(void)size;
	if (write)
		update_lines(opaque);
}

/* ---- ports ------------------------------------------------------------------------------------
 */

static uint64_t apm_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return ((struct lpc *)dev)->hw.apm[off];
}

static void apm_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	((struct lpc *)dev)->hw.apm[off] = (uint8_t)val;
}

static uint64_t smi_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)size;
	return off ? 0 : SMI_APMC_EN;
}

static void smi_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)dev;
	(void)off;
	(void)size;
	(void)val;
}

static const struct {
	uint64_t port, len;
	struct io_ops ops;
	const char *name;
} ports[] = {
	{PORT_APM, 2, {apm_read, apm_write, 1}, "apm"},
	{PORT_SMI, 8, {smi_read, smi_write, 4}, "smi"},
};

#define NPORTS (sizeof(ports) / sizeof(ports[0]))

/* ---- life -------------------------------------------------------------------------------------
 */

static void lpc_reset(struct device *d)
{
	struct lpc *l = (struct lpc *)d;

	memset(l->hw.apm, 0, sizeof(l->hw.apm));
	pci_reset(&l->fn);
	update_lines(l);
}

static void lpc_destroy(struct device *d)
{
	struct lpc *l = (struct lpc *)d;

	if (l->fn.host)
		pci_host_watch_pins(l->fn.host, NULL, NULL);
	pci_detach(&l->fn);
	for (unsigned i = 0; i < NPORTS; i++)
		bus_remove(l->env.pio, ports[i].port, l);
	free(l);
}

static void add_registers(struct pci_function *f)
{
	const uint16_t command = PCI_CMD_IO | PCI_CMD_MEMORY | PCI_CMD_MASTER;

	/* Without BARs the bits do nothing, but UEFI's drivers insist on setting them. */
	pci_put16(f->initial, PCI_REG_COMMAND, command);
	pci_put16(f->writable, PCI_REG_COMMAND, command);
	f->initial[PCI_REG_HEADER] = PCI_HEADER_MULTIFUNCTION;
	pci_put32(f->initial, REG_PMBASE, ACPIPM_PM1_EVT | 1);
	pci_put32(f->writable, REG_PMBASE, 0xff80);
	f->initial[REG_ACPI_CTRL] = 0x80;
	f->writable[REG_ACPI_CTRL] = 0x87;
	for (unsigned i = 0; i < NPINS; i++) {
		f->initial[REG_PIRQ_A + i] = f->initial[REG_PIRQ_E + i] = PIRQ_OFF;
		f->writable[REG_PIRQ_A + i] = f->writable[REG_PIRQ_E + i] = 0x8f;
	}
	pci_put32(f->writable, REG_RCBA, 0xffffc001);
}

static int plug(struct lpc *l, struct err *e)
{
	static const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x2918,
		.subvendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 2,
		.class_code = 0x060100,
	};
	int rc;

	l->fn = (struct pci_function){.name = "ich9-lpc",
				      .fixed_place = true,
				      .slot = LPC_SLOT,
				      .touched = touched,
				      .opaque = l};
	rc = pci_attach(l->env.pci, &l->fn, &l->hw.pci, &id, e);
	for (unsigned i = 0; i < NPORTS && !rc; i++)
		rc = bus_add(l->env.pio, ports[i].port, ports[i].len, &ports[i].ops, l,
			     ports[i].name, e);
	return rc;
}

static int lpc_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct lpc *l = calloc(1, sizeof(*l));

	(void)conf;
	if (!l)
		return err_set(e, -ENOMEM, "ich9-lpc: out of memory");
	l->dev.ops = &lpc_ops;
	l->env = *env;
	if (plug(l, e)) {
		lpc_destroy(&l->dev);
		return e->code;
	}
	add_registers(&l->fn);
	pci_host_watch_pins(l->fn.host, pin_changed, l);
	lpc_reset(&l->dev);
	*out = &l->dev;
	return 0;
}

static void *lpc_hw(struct device *d)
{
	return &((struct lpc *)d)->hw;
}

static int lpc_loaded(struct device *d, struct err *e)
{
	struct lpc *l = (struct lpc *)d;
	int rc;

	rc = pci_loaded(&l->fn, e);
	if (rc)
		return rc;
	update_lines(l);
	return 0;
}

static const struct state_field lpc_fields[] = {
	ST_ARR(1, struct lpc_hw, apm),
	PCI_STATE(10, struct lpc_hw, pci),
	ST_END,
};

static const struct state_desc lpc_state = {"ich9-lpc", 1, sizeof(struct lpc_hw), lpc_fields};

const struct device_ops lpc_ops = {
	.name = "ich9-lpc",
	.help = "bridge to the PC's own devices",
	.create = lpc_create,
	.reset = lpc_reset,
	.destroy = lpc_destroy,
	.state = &lpc_state,
	.hw = lpc_hw,
	.loaded = lpc_loaded,
};
