/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's registers and life. (AHCI 1.3.1 chapter 3; section numbers below are its.) */
#include "vmm/device/ahci/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AHCI_SLOT 31
#define AHCI_FUNC 2
#define ABAR      5
#define ABAR_SIZE 0x1000

/* Generic host control (3.1). */
#define HBA_CAP   0x00
#define HBA_GHC   0x04
#define HBA_IS    0x08
#define HBA_PI    0x0c
#define HBA_VS    0x10
#define HBA_PORTS 0x100
#define PORT_SIZE 0x80

#define CAP_64BIT   (1u << 31)
#define CAP_NCQ     (1u << 30)
#define CAP_GEN3    (3u << 20)
#define CAP_AHCI    (1u << 18)
#define CAP_SLOTS   ((AHCI_SLOTS - 1u) << 8)
#define GHC_RESET   (1u << 0)
#define GHC_AE      (1u << 31) /* always: there is no legacy mode */
#define VERSION_1_3 0x00010300

/* Port registers (3.3). */
#define PX_CLB  0x00
#define PX_FB   0x08
#define PX_IS   0x10
#define PX_IE   0x14
#define PX_CMD  0x18
#define PX_TFD  0x20
#define PX_SIG  0x24
#define PX_SSTS 0x28
#define PX_SCTL 0x2c
#define PX_SERR 0x30
#define PX_SACT 0x34
#define PX_CI   0x38

#define IS_PRC   (1u << 22)
#define IE_KNOWN 0xfdc000ffu

#define CMD_POWER (3u << 1) /* spun up, powered */
#define CMD_CLO   (1u << 3)
#define CMD_FR    (1u << 14)
#define CMD_CR    (1u << 15)
#define CMD_ATAPI (1u << 24)
#define CMD_KEPT  (CMD_ST | CMD_FRE | CMD_ATAPI)

#define SCTL_DET 0x0f

static uint32_t present_ports(const struct ahci *a)
{
	uint32_t ports = 0;

	for (unsigned p = 0; p < AHCI_PORTS; p++)
		ports |= (uint32_t)a->drive[p].present << p;
	return ports;
}

static void hba_reset(struct ahci *a)
{
	for (unsigned p = 0; p < AHCI_PORTS; p++) {
		ahci_port_drain(a, p);
		a->hw.clb[p] = a->hw.fb[p] = 0;
		a->hw.pis[p] = a->hw.pie[p] = a->hw.cmd[p] = a->hw.sctl[p] = 0;
		ahci_port_reset(a, p);
		a->hw.serr[p] = 0;
	}
	a->hw.ghc = GHC_AE;
	a->hw.is = 0;
	ahci_update_irq(a);
}

/* ---- registers ----------------------------------------------------------------------------------
 */

static uint32_t half(uint64_t val, unsigned off)
{
	return (uint32_t)(val >> (off & 4) * 8);
}

static void set_half(uint64_t *reg, unsigned off, uint32_t val)
{
	unsigned shift = (off & 4) * 8;

	*reg = (*reg & ~(0xffffffffull << shift)) | (uint64_t)val << shift;
}

static uint32_t command_read(const struct ahci *a, unsigned p)
{
	uint32_t cmd = a->hw.cmd[p];

	return cmd | CMD_POWER | (cmd & CMD_ST ? CMD_CR : 0) | (cmd & CMD_FRE ? CMD_FR : 0);
}

static uint32_t port_read(struct ahci *a, unsigned p, unsigned off)
{
	const struct ahci_hw *h = &a->hw;

	switch (off) {
	case PX_CLB:
	case PX_CLB + 4:
		return half(h->clb[p], off);
	case PX_FB:
	case PX_FB + 4:
		return half(h->fb[p], off);
	case PX_IS:
		return h->pis[p] | (h->serr[p] & SERR_X ? IS_PRC : 0);
	case PX_IE:
		return h->pie[p];
	case PX_CMD:
		return command_read(a, p);
	case PX_TFD:
		return h->tfd[p];
	case PX_SIG:
		return h->sig[p];
	case PX_SSTS:
		return h->ssts[p];
	case PX_SCTL:
		return h->sctl[p];
	case PX_SERR:
		return h->serr[p];
	case PX_SACT:
		return h->sact[p];
	case PX_CI:
		return h->ci[p];
	}
	return 0;
}

static void command_write(struct ahci *a, unsigned p, uint32_t val)
{
	uint32_t old = a->hw.cmd[p];

	a->hw.cmd[p] = (old & CMD_CCS) | (val & CMD_KEPT);
	if (old & ~val & CMD_ST)
		ahci_port_stop(a, p);
	if (val & CMD_CLO)
		a->hw.tfd[p] &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
	if ((val & ~old & CMD_FRE) && a->drive[p].present && !a->hw.ci[p])
		ahci_send_signature(a, p);
	ahci_port_run(a, p);
}

static void control_write(struct ahci *a, unsigned p, uint32_t val)
{
	uint32_t old = a->hw.sctl[p];

	a->hw.sctl[p] = val & 0xfff;
	if ((old & SCTL_DET) == 1 && (val & SCTL_DET) == 0)
		ahci_port_reset(a, p);
}

static void port_write(struct ahci *a, unsigned p, unsigned off, uint32_t val)
{
	struct ahci_hw *h = &a->hw;

	switch (off) {
	case PX_CLB:
	case PX_CLB + 4:
		set_half(&h->clb[p], off, off == PX_CLB ? val & ~0x3ffu : val);
		break;
	case PX_FB:
	case PX_FB + 4:
		set_half(&h->fb[p], off, off == PX_FB ? val & ~0xffu : val);
		break;
	case PX_IS:
		h->pis[p] &= ~val;
		break;
	case PX_IE:
		h->pie[p] = val & IE_KNOWN;
		break;
	case PX_CMD:
		command_write(a, p, val);
		break;
	case PX_SCTL:
		control_write(a, p, val);
		break;
	case PX_SERR:
		h->serr[p] &= ~val;
		break;
	case PX_SACT:
		h->sact[p] |= h->cmd[p] & CMD_ST ? val : 0;
		break;
	case PX_CI:
		h->ci[p] |= h->cmd[p] & CMD_ST ? val : 0;
		ahci_port_run(a, p);
		break;
	}
	ahci_update_irq(a);
}

static uint64_t abar_read(void *dev, uint64_t off, unsigned size)
{
	struct ahci *a = dev;
	unsigned reg = (unsigned)off & ~3u;

	(void)size;
	if (reg >= HBA_PORTS && reg < HBA_PORTS + AHCI_PORTS * PORT_SIZE)
		return port_read(a, (reg - HBA_PORTS) / PORT_SIZE, (reg - HBA_PORTS) % PORT_SIZE);
	switch (reg) {
	case HBA_CAP:
		return CAP_64BIT | CAP_NCQ | CAP_GEN3 | CAP_AHCI | CAP_SLOTS | (AHCI_PORTS - 1);
	case HBA_GHC:
		return a->hw.ghc;
	case HBA_IS:
		return a->hw.is;
	case HBA_PI:
		return present_ports(a);
	case HBA_VS:
		return VERSION_1_3;
	}
	return 0;
}

static void abar_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct ahci *a = dev;
	unsigned port = ((unsigned)off - HBA_PORTS) / PORT_SIZE; /* wraps below */

	(void)size;
	if (off >= HBA_PORTS && port < AHCI_PORTS && a->drive[port].present)
		port_write(a, port, ((unsigned)off - HBA_PORTS) % PORT_SIZE, (uint32_t)val);
	else if (off == HBA_IS)
		a->hw.is &= ~(uint32_t)val;
	else if (off == HBA_GHC && (val & GHC_RESET))
		hba_reset(a);
	else if (off == HBA_GHC)
		a->hw.ghc = GHC_AE | ((uint32_t)val & GHC_IE);
	ahci_update_irq(a);
}

static const struct io_ops abar_io = {abar_read, abar_write, 4};

/* ---- life ---------------------------------------------------------------------------------------
 */

int ahci_change_disc(struct device *d, unsigned port, struct disk *disc, bool force, struct err *e)
{
	struct ahci *a = (struct ahci *)d;

	if (port >= AHCI_PORTS || !a->drive[port].cdrom)
		return err_set(e, -ENODEV, "ahci: there is no CD-ROM drive at port %u", port);
	if (a->hw.tray_locked[port] && !a->hw.tray_open[port] && a->drive[port].disk && !force)
		return err_set(e, -EBUSY,
			       "the guest uses the disc and has locked the tray; unmount it there, "
			       "or use --force");
	ahci_port_drain(a, port);
	a->drive[port].disk = disc;
	atapi_disc_changed(a, port, disc != NULL);
	return 0;
}

static void ahci_reset(struct device *d)
{
	struct ahci *a = (struct ahci *)d;

	hba_reset(a);
	pci_reset(&a->fn);
}

static void ahci_destroy(struct device *d)
{
	struct ahci *a = (struct ahci *)d;

	for (unsigned p = 0; p < AHCI_PORTS; p++)
		ahci_port_drain(a, p);
	pci_detach(&a->fn);
	for (unsigned i = 0; a->cmd && i < AHCI_PORTS * AHCI_SLOTS; i++)
		sg_free(&a->cmd[i].sg);
	free(a->cmd);
	free(a);
}

static int make_commands(struct ahci *a, struct err *e)
{
	a->cmd = calloc(AHCI_PORTS * AHCI_SLOTS, sizeof(*a->cmd));
	if (!a->cmd)
		return err_set(e, -ENOMEM, "ahci: out of memory");
	for (unsigned i = 0; i < AHCI_PORTS * AHCI_SLOTS; i++) {
		a->cmd[i].ahci = a;
		a->cmd[i].port = i / AHCI_SLOTS;
		a->cmd[i].slot = i % AHCI_SLOTS;
	}
	return 0;
}

static int plug(struct ahci *a, struct err *e)
{
	static const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x2922,
		.subvendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 2,
		.class_code = 0x010601,
		.intx = true,
	};
	int rc;

	a->fn = (struct pci_function){
		.name = "ahci", .fixed_place = true, .slot = AHCI_SLOT, .func = AHCI_FUNC};
	rc = pci_attach(a->env.pci, &a->fn, &a->hw.pci, &id, e);
	return rc ? rc : pci_add_bar(&a->fn, ABAR, PCI_BAR_MEM32, ABAR_SIZE, &abar_io, a, e);
}

static int ahci_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		       struct err *e)
{
	const struct ahci_setup *setup = conf->backend;
	struct ahci *a;

	if (!setup)
		return err_set(e, -EINVAL,
			       "ahci: it needs drives; use --disk FILE,bus=ahci or --cdrom FILE");
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(e, -ENOMEM, "ahci: out of memory");
	a->dev.ops = &ahci_ops;
	a->env = *env;
	memcpy(a->drive, setup->drive, sizeof(a->drive));
	if (make_commands(a, e) || plug(a, e)) {
		ahci_destroy(&a->dev);
		return e->code;
	}
	ahci_reset(&a->dev);
	*out = &a->dev;
	return 0;
}

/* A save must not miss commands that are on their way: they are finished first. */
static void *ahci_hw(struct device *d)
{
	struct ahci *a = (struct ahci *)d;

	for (unsigned p = 0; p < AHCI_PORTS; p++)
		ahci_port_drain(a, p);
	return &a->hw;
}

static int check_port(const struct ahci *a, unsigned p, struct err *e)
{
	const struct ahci_hw *h = &a->hw;

	if ((h->ssts[p] != 0) != a->drive[p].present)
		return err_set(e, -EINVAL, "ahci: ssts: port %u has %s drive here", p,
			       a->drive[p].present ? "a" : "no");
	if (h->failed_tag[p] >= AHCI_SLOTS)
		return err_set(e, -EINVAL, "ahci: failed_tag: %u is no tag", h->failed_tag[p]);
	if (h->multiple[p] > 16)
		return err_set(e, -EINVAL, "ahci: multiple: at most 16 sectors");
	return 0;
}

static int ahci_loaded(struct device *d, struct err *e)
{
	struct ahci *a = (struct ahci *)d;
	int rc;

	for (unsigned p = 0; p < AHCI_PORTS; p++) {
		rc = check_port(a, p, e);
		if (rc)
			return rc;
		a->hw.cmd[p] &= CMD_KEPT | CMD_CCS;
	}
	a->hw.ghc = GHC_AE | (a->hw.ghc & GHC_IE);
	rc = pci_loaded(&a->fn, e);
	if (rc)
		return rc;
	for (unsigned p = 0; p < AHCI_PORTS; p++)
		if (a->drive[p].present)
			ahci_port_run(a, p);
	ahci_update_irq(a);
	return 0;
}

static void ahci_stats(struct device *d, stat_fn *fn, void *opaque)
{
	const struct ahci *a = (const struct ahci *)d;

	fn(opaque, "reads", a->reads);
	fn(opaque, "writes", a->writes);
	fn(opaque, "flushes", a->flushes);
	fn(opaque, "packets", a->packets);
	fn(opaque, "read_bytes", a->read_bytes);
	fn(opaque, "written_bytes", a->written_bytes);
	fn(opaque, "io_errors", a->io_errors);
	fn(opaque, "guest_errors", a->guest_errors);
}

static void ahci_boot_path(struct device *d, unsigned unit, char *path, size_t len)
{
	(void)d;
	snprintf(path, len, "/pci@i0cf8/pci8086,2922@1f,2/drive@%x/disk@0", unit);
}

#define PORTS(tag, field) ST_ARR((tag), struct ahci_hw, field)

static const struct state_field fields[] = {
	ST(1, struct ahci_hw, ghc),
	ST(2, struct ahci_hw, is),
	PORTS(3, clb),
	PORTS(4, fb),
	PORTS(5, pis),
	PORTS(6, pie),
	PORTS(7, cmd),
	PORTS(8, tfd),
	PORTS(9, sig),
	PORTS(10, ssts),
	PORTS(11, sctl),
	PORTS(12, serr),
	PORTS(13, sact),
	PORTS(14, ci),
	PORTS(15, halted),
	PORTS(16, srst),
	PORTS(17, multiple),
	PORTS(18, failed_tag),
	PORTS(19, failed_status),
	PORTS(20, failed_error),
	PORTS(21, failed_lba),
	PORTS(22, sense),
	PORTS(23, asc),
	PORTS(24, changed),
	PORTS(25, event),
	PORTS(26, tray_open),
	PORTS(27, tray_locked),
	PCI_STATE(40, struct ahci_hw, pci),
	ST_END,
};

static const struct state_desc state = {"ahci", 1, sizeof(struct ahci_hw), fields};

const struct device_ops ahci_ops = {
	.name = "ahci",
	.help = "SATA controller; made by --disk FILE,bus=ahci and --cdrom",
	.create = ahci_create,
	.reset = ahci_reset,
	.destroy = ahci_destroy,
	.state = &state,
	.hw = ahci_hw,
	.loaded = ahci_loaded,
	.stats = ahci_stats,
	.boot_path = ahci_boot_path,
};
