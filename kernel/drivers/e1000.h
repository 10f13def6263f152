/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and descriptors of Intel's gigabit cards (8254x Software Developer's Manual, 317453).
 */
#ifndef KERNEL_DRIVERS_E1000_H
#define KERNEL_DRIVERS_E1000_H

#include <stdint.h>

/* Registers (13.4). Those of a ring stand at the same places behind RX and TX. */
enum {
	CTRL = 0x0000,
	STATUS = 0x0008,
	ICR = 0x00c0, /* reading clears it */
	IMS = 0x00d0,
	IMC = 0x00d8,
	RCTL = 0x0100,
	TCTL = 0x0400,
	TIPG = 0x0410,
	RX = 0x2800,
	TX = 0x3800,
	RING_BASE = 0x00,
	RING_LENGTH = 0x08,
	RING_HEAD = 0x10,
	RING_TAIL = 0x18,
	RAL = 0x5400, /* the card's own address */
	REGISTERS = 0x6000,
};

#define CTRL_SET_LINK_UP (1u << 6 | 1u << 5) /* and find out the speed */
#define CTRL_CLEAR       (1u << 3 | 1u << 7 | 1u << 31)
#define CTRL_RESET       (1u << 26)
#define STATUS_LINK      (1u << 1)
#define INT_RECEIVE      (1u << 7 | 1u << 6 | 1u << 4)
/* On; all addresses; broadcasts; without FCS. Buffers have 2048 bytes. */
#define RCTL_VALUE (1u << 1 | 1u << 3 | 1u << 4 | 1u << 15 | 1u << 26)
/* On; padding; 15 tries, collision distance 64. */
#define TCTL_VALUE (1u << 1 | 1u << 3 | 15u << 4 | 64u << 12)
#define TIPG_VALUE (10u | 8u << 10 | 6u << 20)

enum {
	DONE = 1, /* status */
	END_OF_PACKET = 2,
	CMD_SEND = 1 | 2 | 8, /* a whole frame, with FCS, tell when done */
};

struct descriptor {
	uint64_t phys;
	uint16_t len;
	uint8_t checksum_offset, command; /* received: the checksum */
	uint8_t status;
	uint8_t errors;
	uint16_t special;
};

#endif
