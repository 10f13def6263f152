/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of interrupt controllers and interval timer as a save holds them, whether our own
 * models have the chips or an engine (KVM) does. pic.c, ioapic.c and pit.c say what they mean.
 */
#ifndef VMM_DEVICE_CHIPS_H
#define VMM_DEVICE_CHIPS_H

#include <stdint.h>

#include "vmm/state/state.h"

#define IOAPIC_PINS 24

struct pic_chip {
	uint8_t irr, isr, imr;
	uint8_t lines; /* inputs as they are now, for edge detection */
	uint8_t elcr;  /* 1: level-triggered input */
	uint8_t base;  /* ICW2: first vector */
	uint8_t icw1;
	uint8_t next_icw; /* 2..4: what the next write to the data port is; 0: the mask */
	uint8_t icw4;
	uint8_t lowest; /* input of lowest priority */
	uint8_t ocw3; /* bit 0: reads of the command port give the ISR, 1: poll, 2: special mask */
	uint8_t rotate_aeoi;
};

#define OCW3_READ_ISR 1
#define OCW3_POLL     2
#define OCW3_SMM      4
#define ICW4_AEOI     0x02
#define ICW4_SFNM     0x10

struct pic_hw {
	struct pic_chip chip[2]; /* master, slave */
};

struct ioapic_hw {
	uint64_t rte[IOAPIC_PINS];
	uint32_t lines; /* inputs as they are now */
	uint32_t id;
	uint8_t index; /* IOREGSEL */
};

struct pit_channel {
	uint64_t start;  /* tick at which the count was loaded or the gate triggered */
	uint64_t frozen; /* ticks that had passed when the gate went down */
	uint32_t count;  /* 1..65536 */
	uint16_t latch;
	uint8_t control;   /* bits 5:0 of the control word: access, mode, BCD */
	uint8_t is_loaded; /* a count was written since the control word */
	uint8_t gate;
	uint8_t write_low; /* first byte of a two-byte count */
	uint8_t write_second, read_second;
	uint8_t latched; /* bytes of `latch` still to be read */
	uint8_t status, status_latched;
};

#define PIT_HZ 1193182ull /* ticks a second; `start` counts them in VM time */

struct pit_hw {
	struct pit_channel ch[3];
	uint8_t port61;
};

/* All three, as they go to and from an engine that contains them. */
struct engine_chips {
	struct pic_hw pic;
	struct ioapic_hw ioapic;
	struct pit_hw pit;
};

extern const struct state_desc pic_state, ioapic_state, pit_state;

#endif
