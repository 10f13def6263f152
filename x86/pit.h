/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8254 interval timer (Intel data sheet): channel 0 interrupts, channel 2 drives the speaker
 * and is watched through port 61h. Freestanding: the state and what happens to it at a given time,
 * which is counted in ticks of the chip since an instant that the owner chooses. Used by the VMM's
 * device and by the bare-metal kernel. The caller locks.
 *
 * A channel is a start time and a count; output and counter are computed when somebody looks. The
 * owner's timer serves channel 0's rising edges only. Interrupts that come late are not made up
 * for: several missed ones are a single edge, and the phase is kept. (What a guest has not
 * acknowledged merges in the interrupt controller anyway; systems that count ticks have better
 * clocks.)
 */
#ifndef X86_PIT_H
#define X86_PIT_H

#include <stdbool.h>
#include <stdint.h>

#define PIT_HZ 1193182ull /* ticks a second */

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

struct pit_hw { /* what a save holds */
	struct pit_channel ch[3];
	uint8_t port61;
};

uint64_t pit_ticks_at(uint64_t ns);
uint64_t pit_ns_of(uint64_t ticks); /* the first nanosecond at which pit_ticks_at() gives `ticks` */

void pit_hw_reset(struct pit_hw *p);
/* The first channel that is in no possible state, or -1. For state from elsewhere. */
int pit_hw_bad_channel(const struct pit_hw *p);

/* Ports 40h to 43h as 0 to 3. True: channel 0 changed, so that line and next edge are others. */
bool pit_hw_write(struct pit_hw *p, unsigned port, uint8_t val, uint64_t now);
uint8_t pit_hw_read(struct pit_hw *p, unsigned port, uint64_t now);
void pit_hw_write61(struct pit_hw *p, uint8_t val, uint64_t now);
uint8_t pit_hw_read61(const struct pit_hw *p, uint64_t now);

/*
 * The interrupt line between edges. Periodic modes keep it up from the first edge on: a low phase
 * that nobody can measure is left out, and programming the channel is no edge by itself.
 */
bool pit_hw_line(const struct pit_hw *p, uint64_t now);
/* Nanosecond of the line's next rising edge, 0 for none; `last_ns`: when the last was given. */
uint64_t pit_hw_next_edge(const struct pit_hw *p, uint64_t now, uint64_t last_ns);

#endif
