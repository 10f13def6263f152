/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card that every operating system knows: Intel's 82540EM. (Software developer's manual
 * of the 8254x family, 317453; section numbers are its.) e1000.c has the registers, phy.c the
 * transceiver and the EEPROM, tx.c and rx.c the two directions.
 */
#ifndef VMM_DEVICE_E1000_E1000_H
#define VMM_DEVICE_E1000_E1000_H

#include "vmm/backend/netdev.h"
#include "vmm/device.h"
#include "vmm/device/pci/pci.h"

#define E1000_PHY_REGS     32
#define E1000_EEPROM_WORDS 64
#define E1000_FRAME_MAX    (65536 + 256) /* what segmentation may be given, with its headers */

/* Registers by their offsets (13.2). */
enum {
	E1000_CTRL = 0x0000,
	E1000_STATUS = 0x0008,
	E1000_EECD = 0x0010,
	E1000_EERD = 0x0014,
	E1000_MDIC = 0x0020,
	E1000_VET = 0x0038,
	E1000_ICR = 0x00c0,
	E1000_ITR = 0x00c4,
	E1000_ICS = 0x00c8,
	E1000_IMS = 0x00d0,
	E1000_IMC = 0x00d8,
	E1000_RCTL = 0x0100,
	E1000_TCTL = 0x0400,
	E1000_RDBAL = 0x2800,
	E1000_RDBAH = 0x2804,
	E1000_RDLEN = 0x2808,
	E1000_RDH = 0x2810,
	E1000_RDT = 0x2818,
	E1000_TDBAL = 0x3800,
	E1000_TDBAH = 0x3804,
	E1000_TDLEN = 0x3808,
	E1000_TDH = 0x3810,
	E1000_TDT = 0x3818,
	E1000_GPRC = 0x4074, /* good packets received, transmitted: cleared by reading */
	E1000_GPTC = 0x4080,
	E1000_MTA = 0x5200,
	E1000_RA = 0x5400,
	E1000_VFTA = 0x5600,
};

#define E1000_CTRL_RESET (1u << 26)
#define E1000_CTRL_VLAN  (1u << 30) /* tags are put in and taken out */
#define E1000_RAH_VALID  (1u << 31)

/* Causes of interrupts (13.4.17). */
#define E1000_INT_TXDW (1u << 0)
#define E1000_INT_TXQE (1u << 1)
#define E1000_INT_LINK (1u << 2)
#define E1000_INT_RXT0 (1u << 7)

/* All that a save holds. */
struct e1000_hw {
	struct pci_hw pci;
	uint32_t ctrl, eecd, eerd, mdic, vet, cause, mask, itr, rctl, tctl;
	uint32_t rx_base_low, rx_base_high, rx_len, rx_head, rx_tail;
	uint32_t tx_base_low, tx_base_high, tx_len, tx_head, tx_tail;
	uint32_t received, transmitted;
	uint32_t multicast[128], address[32], vlan[128];
	uint32_t
		kept[16]; /* registers that only remember: the table in e1000.c has their offsets */
	uint16_t phy[E1000_PHY_REGS];
	uint32_t io_address; /* of the I/O port window */
	uint8_t context[16]; /* the last transmit context descriptor */
	uint16_t eeprom_in;  /* bits that the driver has shifted in, and how many */
	uint8_t eeprom_count, eeprom_out;
};

struct e1000 {
	struct device dev;
	struct e1000_hw hw;
	struct device_env env;
	struct pci_function fn;
	struct netdev *backend;
	uint16_t eeprom[E1000_EEPROM_WORDS];
	uint8_t *frame; /* E1000_FRAME_MAX bytes: the one that is being sent */
	uint64_t rx_frames, rx_bytes, rx_dropped, tx_frames, tx_bytes;
	unsigned long guest_errors;
};

extern const struct device_ops e1000_ops; /* [mac=ADDRESS] backend: struct netdev */

/* ---- e1000.c */
void e1000_raise(struct e1000 *n, uint32_t causes);

/* ---- phy.c */
void phy_reset(struct e1000 *n);
void phy_access(struct e1000 *n, uint32_t mdic);
void eeprom_fill(struct e1000 *n, const uint8_t mac[6]);
void eeprom_clock(struct e1000 *n, uint32_t eecd); /* the driver moves the chip's pins */
uint32_t eeprom_pins(const struct e1000 *n);
void eeprom_read(struct e1000 *n, uint32_t eerd);

/* ---- tx.c, rx.c */
void e1000_transmit(struct e1000 *n);
bool e1000_receive(void *opaque, const uint8_t *frame, size_t len);
void e1000_received_batch(void *opaque);

#endif
