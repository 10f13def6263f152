/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and memory of AHCI controllers (Serial ATA AHCI 1.3.1, chapters 3 and 4). */
#ifndef KERNEL_DRIVERS_AHCI_H
#define KERNEL_DRIVERS_AHCI_H

#include <stdint.h>

/* Of the controller. */
enum {
	CAP = 0x00,
	GHC = 0x04,
	IS = 0x08,
	PI = 0x0c,
	PORTS = 0x100,
	PORT_SIZE = 0x80,
};

#define CAP_64BIT  (1u << 31)
#define GHC_RESET  (1u << 0)
#define GHC_IRQ    (1u << 1)
#define GHC_ENABLE (1u << 31)

/* Of a port. */
enum {
	PX_CLB = 0x00,
	PX_FB = 0x08,
	PX_IS = 0x10,
	PX_IE = 0x14,
	PX_CMD = 0x18,
	PX_TFD = 0x20,
	PX_SIG = 0x24,
	PX_SSTS = 0x28,
	PX_SERR = 0x30,
	PX_CI = 0x38,
};

#define CMD_START      (1u << 0)
#define CMD_POWER      (3u << 1) /* spin up, power on */
#define CMD_RECEIVE    (1u << 4)
#define CMD_RECEIVING  (1u << 14)
#define CMD_RUNNING    (1u << 15)
#define CMD_CURRENT(v) ((v) >> 8 & 31)
#define IRQ_ERRORS     0x78000000u
#define IRQ_DONE       0x0000002fu
#define TFD_BUSY       0x88u
#define SSTS_MASK      15u
#define SSTS_LINK      3u
#define SIG_DISK       0x101u

/* An entry of the command list. */
struct command {
	uint32_t flags, bytes;
	uint64_t table;
	uint32_t reserved[4];
};

#define COMMAND_FIS_WORDS 5u
#define COMMAND_WRITE     (1u << 6)
#define COMMAND_ONE_PIECE (1u << 16)

/* A command table: a register FIS (host to device), and the one piece of memory. */
struct table {
	uint8_t type, flags, command, features;
	uint32_t lba_low : 24, device : 8;
	uint32_t lba_high : 24, features_high : 8;
	uint16_t count;
	uint8_t reserved[0x72];
	uint64_t phys;
	uint32_t reserved2, last; /* number of the last byte */
	uint8_t pad[0x70];
};
_Static_assert(sizeof(struct table) == 0x100, "AHCI 4.2.3: tables begin at multiples of 128");

#define FIS_TO_DEVICE 0x27
#define FIS_COMMAND   0x80
#define DEVICE_LBA    0x40

#endif
