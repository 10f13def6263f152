/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PS/2 keyboard and mouse, as they speak to the controller (i8042.c): each has a queue of bytes
 * that wait for it. All that they are is what a save holds.
 * (IBM PS/2 hardware interface technical reference, "Keyboard" and "Auxiliary device".)
 */
#ifndef VMM_DEVICE_PS2_PS2_H
#define VMM_DEVICE_PS2_PS2_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_QUEUE 64

#define PS2_ACK         0xfa
#define PS2_RESEND      0xfe
#define PS2_SELFTEST_OK 0xaa

struct ps2_queue {
	uint8_t data[PS2_QUEUE], head, len;
};

struct ps2_keyboard {
	struct ps2_queue queue;
	uint8_t argument_of; /* waits for this command's argument */
	uint8_t scan_set;    /* 1 or 2 */
	uint8_t leds;        /* scroll, num, caps lock: bits 0 to 2 */
	uint8_t scanning;
};

struct ps2_mouse {
	struct ps2_queue queue;
	uint8_t argument_of;
	uint8_t reporting, remote, doubled; /* by itself; only when asked; scaling 2:1 */
	uint8_t resolution, rate;
	uint8_t id;            /* 0: three bytes a report, 3: with a wheel, 4: and five buttons */
	uint8_t last_rates[2]; /* the two before `rate`: certain sequences change the id */
	uint8_t buttons, reported_buttons;
	int16_t dx, dy, wheel; /* moved and not reported yet */
};

static inline unsigned ps2_room(const struct ps2_queue *q)
{
	return PS2_QUEUE - q->len;
}

static inline void ps2_put(struct ps2_queue *q, const uint8_t *data, unsigned len)
{
	for (unsigned i = 0; i < len && q->len < PS2_QUEUE; i++, q->len++)
		q->data[(q->head + q->len) % PS2_QUEUE] = data[i];
}

void ps2_keyboard_reset(struct ps2_keyboard *k);
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t val);
/* A key (input.h) goes down or up; false: no room for it now. */
bool ps2_keyboard_key(struct ps2_keyboard *k, unsigned code, bool down);

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t val);
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons);
/* Puts movements that wait into the queue, as far as there is room. */
void ps2_mouse_report(struct ps2_mouse *m);

/* scancodes.c: a set 2 byte as the controller passes it on when it translates to set 1. */
uint8_t ps2_translate(uint8_t set2);
/* The bytes of a key in a scan code set; how many, at most 8; 0: the keyboard has no such key. */
unsigned ps2_scan_code(unsigned set, unsigned code, bool down, uint8_t out[8]);

#endif
