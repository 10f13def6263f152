/* SPDX-License-Identifier: Apache-2.0 */
/* The transceiver behind MDIC (8.x and 13.4.3) and the EEPROM (5.6), by register and by its pins.
 */
#include "vmm/device/e1000/e1000.h"

#include <string.h>

/* ---- transceiver: a Marvell 88E1011 with the link up at 1000 Mbit/s -----------------------------
 */

#define PHY_ADDRESS     1
#define PHY_CONTROL     0
#define CONTROL_RESET   0x8000
#define CONTROL_RESTART 0x0200

#define MDIC_DATA  0xffffu
#define MDIC_WRITE (1u << 26)
#define MDIC_READ  (2u << 26)
#define MDIC_READY (1u << 28)
#define MDIC_ERROR (1u << 30)

static const uint16_t phy_initial[E1000_PHY_REGS] = {
	[0] = 0x1140,                                /* full duplex, autonegotiation */
	[1] = 0x796d,                                /* link up, negotiated */
	[2] = 0x0141,                                /* identity */
	[3] = 0x0c20,  [4] = 0x0de1,                 /* what we and the partner can */
	[5] = 0x41e1,  [9] = 0x0e00,  [10] = 0x3c00, /* 1000BASE-T, partner too */
	[15] = 0x3000, [16] = 0x0360, [17] = 0xac08, /* 1000 Mbit/s, full duplex, resolved, up */
	[20] = 0x0d60,
};

/* Registers that a driver may change. */
static const uint32_t phy_writable = 1u << 0 | 1u << 4 | 1u << 9 | 1u << 16 | 1u << 18 | 1u << 20 |
				     1u << 24 | 1u << 29 | 1u << 30;

void phy_reset(struct e1000 *n)
{
	memcpy(n->hw.phy, phy_initial, sizeof(n->hw.phy));
}

static void phy_write(struct e1000 *n, unsigned reg, uint16_t val)
{
	if (!(phy_writable >> reg & 1))
		return;
	if (reg == PHY_CONTROL && (val & CONTROL_RESET)) {
		phy_reset(n);
		return;
	}
	if (reg == PHY_CONTROL && (val & CONTROL_RESTART))
		e1000_raise(n, E1000_INT_LINK);
	n->hw.phy[reg] = reg == PHY_CONTROL ? val & ~CONTROL_RESTART : val;
}

void phy_access(struct e1000 *n, uint32_t mdic)
{
	unsigned reg = mdic >> 16 & 31, address = mdic >> 21 & 31;

	if (address != PHY_ADDRESS)
		mdic |= MDIC_ERROR;
	else if (mdic & MDIC_READ)
		mdic = (mdic & ~MDIC_DATA) | n->hw.phy[reg];
	else if (mdic & MDIC_WRITE)
		phy_write(n, reg, (uint16_t)mdic);
	n->hw.mdic = mdic | MDIC_READY;
}

/* ---- EEPROM: 64 words on a Microwire bus --------------------------------------------------------
 */

#define EECD_CLOCK   0x001
#define EECD_SELECT  0x002
#define EECD_IN      0x004
#define EECD_OUT     0x008
#define EECD_REQUEST 0x040
#define EECD_GRANT   0x080
#define EECD_PRESENT 0x100
#define EECD_KEPT    (EECD_CLOCK | EECD_SELECT | EECD_IN | EECD_REQUEST)

#define EERD_START 0x01
#define EERD_DONE  0x10

#define COMMAND_BITS 9 /* start bit, two of opcode, six of address */
#define OPCODE_READ  6 /* start bit included */
#define CHECKSUM     0xbaba

void eeprom_fill(struct e1000 *n, const uint8_t mac[6])
{
	uint16_t sum = 0, *w = n->eeprom;

	memset(w, 0, sizeof(n->eeprom));
	for (unsigned i = 0; i < 3; i++)
		w[i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
	w[0x0a] = 0x4408; /* initialisation: the identities below are valid */
	w[0x0b] = 0x1100; /* subsystem, its vendor, device, vendor */
	w[0x0c] = 0x1af4;
	w[0x0d] = 0x100e;
	w[0x0e] = 0x8086;
	for (unsigned i = 0; i < E1000_EEPROM_WORDS - 1; i++)
		sum = (uint16_t)(sum + w[i]);
	w[E1000_EEPROM_WORDS - 1] = (uint16_t)(CHECKSUM - sum);
}

/* Bits are taken, and after the command given, when the clock rises. */
void eeprom_clock(struct e1000 *n, uint32_t eecd)
{
	struct e1000_hw *h = &n->hw;
	uint32_t rises = eecd & ~h->eecd;

	h->eecd = eecd & EECD_KEPT;
	if (rises & EECD_SELECT)
		h->eeprom_in = h->eeprom_count = 0;
	if (!(eecd & EECD_SELECT) || !(rises & EECD_CLOCK))
		return;
	if (h->eeprom_count < COMMAND_BITS) {
		h->eeprom_in = (uint16_t)(h->eeprom_in << 1 | !!(eecd & EECD_IN));
		h->eeprom_count++;
		h->eeprom_out = 0;
	} else {
		h->eeprom_out = (h->eeprom_out & 31) == 16 ? 1 : h->eeprom_out + 1;
	}
}

uint32_t eeprom_pins(const struct e1000 *n)
{
	const struct e1000_hw *h = &n->hw;
	uint32_t pins = h->eecd | EECD_PRESENT | (h->eecd & EECD_REQUEST ? EECD_GRANT : 0);
	bool reading = h->eeprom_count == COMMAND_BITS && h->eeprom_in >> 6 == OPCODE_READ;
	uint16_t word = n->eeprom[h->eeprom_in & (E1000_EEPROM_WORDS - 1)];

	if (!reading) /* ready */
		return pins | EECD_OUT;
	if (h->eeprom_out >= 1 && h->eeprom_out <= 16 && (word >> (16 - h->eeprom_out) & 1))
		pins |= EECD_OUT;
	return pins;
}

void eeprom_read(struct e1000 *n, uint32_t eerd)
{
	unsigned word = eerd >> 8 & 0xff;

	n->hw.eerd = eerd & 0xff00;
	if (eerd & EERD_START)
		n->hw.eerd |= EERD_DONE |
			      (word < E1000_EEPROM_WORDS ? (uint32_t)n->eeprom[word] << 16 : 0);
}
