/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board with every legacy device on a clock that moves by hand, and scripts of register accesses
 * that run on it. Each script runs twice: straight through, and with all devices saved, destroyed,
 * created and loaded again before every step. The trace must be the same.
 */
#ifndef TESTS_UNIT_DEVICE_BOARD_H
#define TESTS_UNIT_DEVICE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_op {
	WR,    /* write `val` to `at`: a port, or above 0xffff memory */
	RD,    /* read `at`, expect `val` */
	IRQ,   /* expect line `at` at level `val` */
	EDGES, /* expect `val` rising edges of line `at` since the last EDGES of it */
	LINE,  /* drive line `at` to `val` */
	ADV,   /* advance the clock by `val` microseconds */
	ACK,   /* INTA cycle: expect vector `val` */
	EXT,   /* expect the PIC's output at `val` */
	EOI,   /* broadcast end of interrupt `val` to the I/O APIC */
	MSI,   /* expect that `at` messages were sent since the last MSI step, the last with data
		  `val` */
	DEST,  /* expect the last message's address bits 19:0 to be `val` */
	IN,    /* the host's side offers byte `val` to the UART */
	OUT,   /* expect that the UART sent byte `val`; 0x100: nothing */
	EVENT, /* expect machine event `val` (enum machine_event), status `at`; NO_EVENT: none */
	POWER, /* press the power button */
	KEY,   /* key `at` & 0xff goes down, or up with `at` & 0x100; expect it taken: `val` 1 */
	MOVE,  /* the mouse moves: x, y, wheel are bytes of `val`, `at` the buttons */
	RESET, /* reset every device */
};

#define NO_EVENT 99
#define ANY      0xffffffffu /* RD: any value */

struct step {
	enum step_op op;
	uint32_t at, val;
	unsigned size; /* 0: 1 for ports, 4 for memory */
};

struct script {
	const char *name;
	const struct step *steps;
	size_t n;
};

#define SCRIPT(s)                               \
	{                                       \
#s, s, sizeof(s) / sizeof(s[0]) \
	}

/* Prints the first step that differs and returns false. */
bool board_run(const struct script *s, bool reload);

struct board *board_create(void);
void board_destroy(struct board *b);
/* For the fuzzer: one step without any expectation; a saved state of a device with these bytes. */
void board_poke(struct board *b, const struct step *s);
bool board_load(struct board *b, unsigned device, const uint8_t *data, size_t len);

#endif
