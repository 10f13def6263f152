/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two cascaded 8259A interrupt controllers of a PC with the edge/level registers 4d0h and 4d1h.
 * Names follow Intel's data sheet: ICW and OCW are the command words. Freestanding: the state and
 * what happens to it; wires and bus are the owner's. Used by the VMM's device and by the bare-metal
 * kernel. The caller locks. After any call that is not const the owner looks at pic_hw_output().
 */
#ifndef X86_PIC_H
#define X86_PIC_H

#include <stdbool.h>
#include <stdint.h>

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

struct pic_hw {                  /* what a save holds */
	struct pic_chip chip[2]; /* master, slave */
};

/* The bits of each chip's ELCR that a PC lets be written. */
extern const uint8_t pic_elcr_mask[2];

void pic_hw_reset(struct pic_hw *p); /* power-on; the inputs stay as they are */
/* Brings state from elsewhere into range. */
void pic_hw_sanitize(struct pic_hw *p);
void pic_hw_set(struct pic_hw *p, unsigned irq, bool level); /* irq 0..15; others and 2: ignored */
bool pic_hw_output(const struct pic_hw *p);                  /* INT to the processor */
/* INTA cycle: the vector to deliver; vector 7 of the chip that has nothing (spurious). */
uint8_t pic_hw_acknowledge(struct pic_hw *p);

/* Ports 20h, 21h (chip 0) and a0h, a1h (chip 1): `data` is the odd one. */
uint8_t pic_hw_read(struct pic_hw *p, unsigned chip, bool data);
void pic_hw_write(struct pic_hw *p, unsigned chip, bool data, uint8_t val);
/* Port 4d0h + chip; reads are p->chip[chip].elcr. */
void pic_hw_write_elcr(struct pic_hw *p, unsigned chip, uint8_t val);

#endif
