/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, commands and completions of NVMe controllers (NVM Express 1.4, chapters 3 to 5). */
#ifndef KERNEL_DRIVERS_NVME_H
#define KERNEL_DRIVERS_NVME_H

#include <stdint.h>

enum {
	CAP = 0x00,
	CC = 0x14,
	CSTS = 0x1c,
	AQA = 0x24,
	ASQ = 0x28,
	ACQ = 0x30,
	BELLS = 0x1000,
};

#define CC_ENABLE   0x460001u /* entries of 64 and 16 bytes, pages of 4 KiB */
#define CSTS_READY  1u
#define CSTS_FAILED 2u

enum { /* commands of the admin queue */
	CREATE_SQ = 1,
	CREATE_CQ = 5,
	IDENTIFY = 6,
	SET_FEATURES = 9,
};

enum { /* what IDENTIFY tells of */
	ABOUT_NAMESPACE = 0,
	ABOUT_CONTROLLER = 1,
	ABOUT_LIST = 2,
};

struct command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t namespace, reserved[2];
	uint64_t metadata, prp1, prp2;
	uint32_t arg[6];
};

struct completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, id, status; /* status: bit 0 is the phase */
};

#endif
