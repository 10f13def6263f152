/* SPDX-License-Identifier: Apache-2.0 */
/* The card's registers and life: see e1000.h. */
#include "vmm/device/e1000/e1000.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR_REGS      0
#define BAR_REGS_SIZE 0x20000
#define BAR_IO        1
#define BAR_IO_SIZE   0x40

#define STATUS_UP     0x00000083 /* full duplex, link up, 1000 Mbit/s */
#define VLAN_ETHER    0x8100
#define RING_LEN_MASK 0x000fff80
#define RING_BASE     0xfffffff0

/* ---- interrupts (3.4) ---------------------------------------------------------------------------
 */

static void update_irq(struct e1000 *n)
{
	pci_intx(&n->fn, n->hw.cause & n->hw.mask);
}

void e1000_raise(struct e1000 *n, uint32_t causes)
{
	n->hw.cause |= causes;
	update_irq(n);
}

/* ---- reset -------------------------------------------------------------------------------------
 */

/* The address comes from the EEPROM. */
static void reset_registers(struct e1000 *n)
{
	struct pci_hw pci = n->hw.pci;

	memset(&n->hw, 0, sizeof(n->hw));
	n->hw.pci = pci;
	n->hw.vet = VLAN_ETHER;
	n->hw.address[0] = n->eeprom[0] | (uint32_t)n->eeprom[1] << 16;
	n->hw.address[1] = n->eeprom[2] | E1000_RAH_VALID;
	phy_reset(n);
	update_irq(n);
}

/* ---- registers: tables -------------------------------------------------------------------------
 */

/* A register that is a field, with the bits a guest can write. */
struct plain {
	uint16_t at;
	uint16_t field; /* offset in struct e1000_hw */
	uint32_t writable;
};

#define PLAIN(at, name, mask)                                 \
	{                                                     \
		(at), offsetof(struct e1000_hw, name), (mask) \
	}

static const struct plain plain[] = {
	PLAIN(E1000_MDIC, mdic, 0),
	PLAIN(E1000_EERD, eerd, 0),
	PLAIN(E1000_VET, vet, 0xffff),
	PLAIN(E1000_ITR, itr, 0xffff),
	PLAIN(E1000_IMS, mask, 0),
	PLAIN(E1000_CTRL, ctrl, ~E1000_CTRL_RESET),
	PLAIN(E1000_CTRL + 4, ctrl, 0), /* a copy */
	PLAIN(E1000_RCTL, rctl, UINT32_MAX),
	PLAIN(E1000_TCTL, tctl, UINT32_MAX),
	PLAIN(E1000_RDBAL, rx_base_low, RING_BASE),
	PLAIN(E1000_RDBAH, rx_base_high, UINT32_MAX),
	PLAIN(E1000_RDLEN, rx_len, RING_LEN_MASK),
	PLAIN(E1000_RDH, rx_head, 0xffff),
	PLAIN(E1000_RDT, rx_tail, 0xffff),
	PLAIN(E1000_TDBAL, tx_base_low, RING_BASE),
	PLAIN(E1000_TDBAH, tx_base_high, UINT32_MAX),
	PLAIN(E1000_TDLEN, tx_len, RING_LEN_MASK),
	PLAIN(E1000_TDH, tx_head, 0xffff),
	PLAIN(E1000_TDT, tx_tail, 0xffff),
	/* Flow control, timers and thresholds that this card has no use for. */
	PLAIN(0x0018, kept[0], UINT32_MAX),
	PLAIN(0x0028, kept[1], UINT32_MAX),
	PLAIN(0x002c, kept[2], UINT32_MAX),
	PLAIN(0x0030, kept[3], UINT32_MAX),
	PLAIN(0x0170, kept[4], UINT32_MAX),
	PLAIN(0x0410, kept[5], UINT32_MAX),
	PLAIN(0x0e00, kept[6], UINT32_MAX),
	PLAIN(0x1000, kept[7], UINT32_MAX),
	PLAIN(0x2160, kept[8], UINT32_MAX),
	PLAIN(0x2168, kept[9], UINT32_MAX),
	PLAIN(0x2820, kept[10], UINT32_MAX),
	PLAIN(0x282c, kept[11], UINT32_MAX),
	PLAIN(0x3820, kept[12], UINT32_MAX),
	PLAIN(0x3828, kept[13], UINT32_MAX),
	PLAIN(0x382c, kept[14], UINT32_MAX),
	PLAIN(0x5000, kept[15], UINT32_MAX),
};

static uint32_t *field_of(struct e1000 *n, const struct plain *p)
{
	return (uint32_t *)((uint8_t *)&n->hw + p->field);
}

static const struct plain *find_plain(unsigned off)
{
	for (unsigned i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (plain[i].at == off)
			return &plain[i];
	return NULL;
}

/* Tables of registers. */
static uint32_t *find_element(struct e1000 *n, unsigned off)
{
	struct e1000_hw *h = &n->hw;

	if (off >= E1000_MTA && off < E1000_MTA + sizeof(h->multicast))
		return &h->multicast[(off - E1000_MTA) / 4];
	if (off >= E1000_RA && off < E1000_RA + sizeof(h->address))
		return &h->address[(off - E1000_RA) / 4];
	if (off >= E1000_VFTA && off < E1000_VFTA + sizeof(h->vlan))
		return &h->vlan[(off - E1000_VFTA) / 4];
	return NULL;
}

/* ---- registers: what does something ------------------------------------------------------------
 */

static uint32_t take_all(uint32_t *reg)
{
	uint32_t val = *reg;

	*reg = 0;
	return val;
}

static uint32_t read_cause(struct e1000 *n)
{
	uint32_t cause = take_all(&n->hw.cause);

	update_irq(n);
	return cause;
}

static uint32_t reg_read(struct e1000 *n, unsigned off)
{
	const struct plain *p = find_plain(off);
	uint32_t *element = find_element(n, off);

	switch (off) {
	case E1000_STATUS:
		return STATUS_UP;
	case E1000_EECD:
		return eeprom_pins(n);
	case E1000_ICR:
		return read_cause(n);
	case E1000_GPRC:
		return take_all(&n->hw.received);
	case E1000_GPTC:
		return take_all(&n->hw.transmitted);
	}
	return p ? *field_of(n, p) : element ? *element : 0;
}

static void receive_on(struct e1000 *n)
{
	if (n->backend)
		n->backend->ops->resume(n->backend);
}

/* After a plain register got its value. */
static void written(struct e1000 *n, unsigned off)
{
	switch (off) {
	case E1000_TDT:
	case E1000_TCTL:
		e1000_transmit(n);
		break;
	case E1000_RDT:
	case E1000_RCTL:
		receive_on(n);
		break;
	}
}

static void reg_write(struct e1000 *n, unsigned off, uint32_t val)
{
	const struct plain *p = find_plain(off);
	uint32_t *element = find_element(n, off);

	switch (off) {
	case E1000_CTRL:
		if (val & E1000_CTRL_RESET)
			reset_registers(n);
		break;
	case E1000_EECD:
		eeprom_clock(n, val);
		return;
	case E1000_EERD:
		eeprom_read(n, val);
		return;
	case E1000_MDIC:
		phy_access(n, val);
		return;
	case E1000_ICR:
		n->hw.cause &= ~val;
		break;
	case E1000_ICS:
		n->hw.cause |= val;
		break;
	case E1000_IMS:
		n->hw.mask |= val;
		break;
	case E1000_IMC:
		n->hw.mask &= ~val;
		break;
	}
	if (p && p->writable)
		*field_of(n, p) = val & p->writable;
	else if (element)
		*element = val;
	update_irq(n);
	written(n, off);
}

static uint64_t regs_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return reg_read(dev, (unsigned)off & ~3u);
}

static void regs_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	reg_write(dev, (unsigned)off & ~3u, (uint32_t)val);
}

/* The window in I/O space: address, then data (13.3). */
static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
	struct e1000 *n = dev;

	(void)size;
	if (off == 0)
		return n->hw.io_address;
	return off == 4 && n->hw.io_address < BAR_REGS_SIZE ? reg_read(n, n->hw.io_address & ~3u)
							    : 0;
}

static void io_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct e1000 *n = dev;

	(void)size;
	if (off == 0)
		n->hw.io_address = (uint32_t)val & 0x1ffff;
	else if (off == 4)
		reg_write(n, n->hw.io_address & ~3u, (uint32_t)val);
}

static const struct io_ops regs_io = {regs_read, regs_write, 4};
static const struct io_ops window_io = {io_read, io_write, 4};

/* ---- life --------------------------------------------------------------------------------------
 */

static void e1000_reset(struct device *d)
{
	struct e1000 *n = (struct e1000 *)d;

	reset_registers(n);
	pci_reset(&n->fn);
}

static void e1000_destroy(struct device *d)
{
	struct e1000 *n = (struct e1000 *)d;

	if (n->backend)
		n->backend->client = (struct netdev_client){0};
	pci_detach(&n->fn);
	free(n->frame);
	free(n);
}

static int plug(struct e1000 *n, struct err *e)
{
	static const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x100e,
		.subvendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 3,
		.class_code = 0x020000,
		.intx = true,
	};
	int rc;

	n->fn = (struct pci_function){.name = "e1000"};
	rc = pci_attach(n->env.pci, &n->fn, &n->hw.pci, &id, e);
	if (!rc)
		rc = pci_add_bar(&n->fn, BAR_REGS, PCI_BAR_MEM32, BAR_REGS_SIZE, &regs_io, n, e);
	if (!rc)
		rc = pci_add_bar(&n->fn, BAR_IO, PCI_BAR_IO, BAR_IO_SIZE, &window_io, n, e);
	return rc;
}

static int parse_mac(const char *text, uint8_t mac[6], struct err *e)
{
	int used = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &used) != 6 ||
	    text[used] || (mac[0] & 1))
		return err_set(e, -EINVAL,
			       "e1000: mac=%s is not a card's address like "
			       "52:54:00:12:34:56",
			       text);
	return 0;
}

static int e1000_create(struct device **out, const struct device_env *env, struct device_conf *conf,
			struct err *e)
{
	struct e1000 *n = calloc(1, sizeof(*n));
	uint8_t mac[6];

	if (!n)
		return err_set(e, -ENOMEM, "e1000: out of memory");
	n->dev.ops = &e1000_ops;
	n->env = *env;
	n->frame = malloc(E1000_FRAME_MAX);
	if (!n->frame)
		err_set(e, -ENOMEM, "e1000: out of memory");
	if (!n->frame || parse_mac(device_conf_str(conf, "mac", "52:54:00:12:34:56"), mac, e) ||
	    plug(n, e)) {
		e1000_destroy(&n->dev);
		return e->code;
	}
	eeprom_fill(n, mac);
	n->backend = conf->backend;
	if (n->backend)
		n->backend->client = (struct netdev_client){
			.receive = e1000_receive, .batch_done = e1000_received_batch, .opaque = n};
	e1000_reset(&n->dev);
	*out = &n->dev;
	return 0;
}

static void *e1000_hw(struct device *d)
{
	return &((struct e1000 *)d)->hw;
}

/* Heads and tails are checked against the ring whenever it is used. */
static int e1000_loaded(struct device *d, struct err *e)
{
	struct e1000 *n = (struct e1000 *)d;
	int rc;

	if (n->hw.eeprom_count > 9 || n->hw.eeprom_out > 16)
		return err_set(e, -EINVAL, "e1000: eeprom_count: more bits than the chip takes");
	rc = pci_loaded(&n->fn, e);
	if (rc)
		return rc;
	n->hw.io_address &= 0x1ffff;
	update_irq(n);
	receive_on(n);
	return 0;
}

static void e1000_stats(struct device *d, stat_fn *fn, void *opaque)
{
	const struct e1000 *n = (const struct e1000 *)d;

	fn(opaque, "rx_frames", n->rx_frames);
	fn(opaque, "rx_bytes", n->rx_bytes);
	fn(opaque, "rx_dropped", n->rx_dropped);
	fn(opaque, "tx_frames", n->tx_frames);
	fn(opaque, "tx_bytes", n->tx_bytes);
	fn(opaque, "guest_errors", n->guest_errors);
}

static void e1000_boot_path(struct device *d, unsigned unit, char *path, size_t len)
{
	(void)unit;
	snprintf(path, len, "/pci@i0cf8/ethernet@%x/ethernet-phy@0", ((struct e1000 *)d)->fn.slot);
}

static const struct state_field fields[] = {
	ST(1, struct e1000_hw, ctrl),
	ST(2, struct e1000_hw, eecd),
	ST(3, struct e1000_hw, eerd),
	ST(4, struct e1000_hw, mdic),
	ST(5, struct e1000_hw, vet),
	ST(6, struct e1000_hw, cause),
	ST(7, struct e1000_hw, mask),
	ST(8, struct e1000_hw, itr),
	ST(9, struct e1000_hw, rctl),
	ST(10, struct e1000_hw, tctl),
	ST(11, struct e1000_hw, rx_base_low),
	ST(12, struct e1000_hw, rx_base_high),
	ST(13, struct e1000_hw, rx_len),
	ST(14, struct e1000_hw, rx_head),
	ST(15, struct e1000_hw, rx_tail),
	ST(16, struct e1000_hw, tx_base_low),
	ST(17, struct e1000_hw, tx_base_high),
	ST(18, struct e1000_hw, tx_len),
	ST(19, struct e1000_hw, tx_head),
	ST(20, struct e1000_hw, tx_tail),
	ST(21, struct e1000_hw, received),
	ST(22, struct e1000_hw, transmitted),
	ST_ARR(23, struct e1000_hw, multicast),
	ST_ARR(24, struct e1000_hw, address),
	ST_ARR(25, struct e1000_hw, vlan),
	ST_ARR(26, struct e1000_hw, kept),
	ST_ARR(27, struct e1000_hw, phy),
	ST(28, struct e1000_hw, io_address),
	ST_ARR(29, struct e1000_hw, context),
	ST(30, struct e1000_hw, eeprom_in),
	ST(31, struct e1000_hw, eeprom_count),
	ST(32, struct e1000_hw, eeprom_out),
	PCI_STATE(40, struct e1000_hw, pci),
	ST_END,
};

static const struct state_desc state = {"e1000", 1, sizeof(struct e1000_hw), fields};

const struct device_ops e1000_ops = {
	.name = "e1000",
	.help = "network card 82540EM [mac=ADDRESS]; made by --net user,model=e1000",
	.create = e1000_create,
	.reset = e1000_reset,
	.destroy = e1000_destroy,
	.state = &state,
	.hw = e1000_hw,
	.loaded = e1000_loaded,
	.stats = e1000_stats,
	.boot_path = e1000_boot_path,
};
