/* SPDX-License-Identifier: Apache-2.0 */
/* The mouse: its commands, and movements as reports of three or four bytes. */
#include <stddef.h>

#include "vmm/device/ps2/ps2.h"

#define CMD_SCALING_1  0xe6
#define CMD_SCALING_2  0xe7
#define CMD_RESOLUTION 0xe8
#define CMD_STATUS     0xe9
#define CMD_STREAM     0xea
#define CMD_READ       0xeb
#define CMD_REMOTE     0xf0
#define CMD_IDENTIFY   0xf2
#define CMD_RATE       0xf3
#define CMD_ENABLE     0xf4
#define CMD_DISABLE    0xf5
#define CMD_DEFAULTS   0xf6
#define CMD_RESET      0xff

#define REPORT_ONE   0x08 /* always set */
#define REPORT_X_NEG 0x10
#define REPORT_Y_NEG 0x20

#define MOVE_MAX 4096 /* what is remembered for a guest that does not listen */

static int clamp(int v, int least, int most)
{
	return v < least ? least : v > most ? most : v;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	*m = (struct ps2_mouse){.resolution = 2, .rate = 100};
}

static void put1(struct ps2_mouse *m, uint8_t val)
{
	ps2_put(&m->queue, &val, 1);
}

/* ---- reports -------------------------------------------------------------------------------- */

static unsigned report_size(const struct ps2_mouse *m)
{
	return m->id ? 4 : 3;
}

/* Up is positive on the wire. Buttons: left, right, middle. */
static void put_report(struct ps2_mouse *m)
{
	int dx = clamp(m->dx, -255, 255), dy = clamp(-m->dy, -255, 255);
	int wheel = clamp(m->wheel, -8, 7);
	uint8_t b = m->buttons,
		buttons = (uint8_t)((b & 1) | (b >> 2 & 1) << 1 | (b >> 1 & 1) << 2);
	uint8_t report[4] = {
		(uint8_t)(REPORT_ONE | buttons | (dx < 0 ? REPORT_X_NEG : 0) |
			  (dy < 0 ? REPORT_Y_NEG : 0)),
		(uint8_t)dx,
		(uint8_t)dy,
		(uint8_t)(m->id == 4 ? wheel & 0x0f : wheel),
	};

	m->dx = (int16_t)(m->dx - dx);
	m->dy = (int16_t)(m->dy + dy);
	m->wheel = m->id ? (int16_t)(m->wheel - wheel) : 0;
	m->reported_buttons = b;
	ps2_put(&m->queue, report, report_size(m));
}

static bool has_news(const struct ps2_mouse *m)
{
	return m->dx || m->dy || (m->wheel && m->id) || m->buttons != m->reported_buttons;
}

void ps2_mouse_report(struct ps2_mouse *m)
{
	while (m->reporting && !m->remote && has_news(m) && ps2_room(&m->queue) >= report_size(m))
		put_report(m);
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons)
{
	m->dx = (int16_t)clamp(m->dx + clamp(dx, -MOVE_MAX, MOVE_MAX), -MOVE_MAX, MOVE_MAX);
	m->dy = (int16_t)clamp(m->dy + clamp(dy, -MOVE_MAX, MOVE_MAX), -MOVE_MAX, MOVE_MAX);
	m->wheel = (int16_t)clamp(m->wheel + clamp(wheel, -100, 100), -100, 100);
	m->buttons = buttons & 7;
	if (!m->reporting)
		m->dx = m->dy = m->wheel = 0;
	ps2_mouse_report(m);
}

/* ---- commands ------------------------------------------------------------------------------- */

/* Drivers ask for a wheel by setting three rates in a row, and for five buttons by three others. */
static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
	if (m->last_rates[1] == 200 && m->rate == 100 && rate == 80)
		m->id = 3;
	if (m->last_rates[1] == 200 && m->rate == 200 && rate == 80 && m->id)
		m->id = 4;
	m->last_rates[0] = m->last_rates[1];
	m->last_rates[1] = m->rate;
	m->rate = rate;
}

static void take_argument(struct ps2_mouse *m, uint8_t val)
{
	uint8_t command = m->argument_of;

	m->argument_of = 0;
	if (command == CMD_RATE)
		set_rate(m, val);
	else if (command == CMD_RESOLUTION)
		m->resolution = val & 3;
	put1(m, PS2_ACK);
}

static void put_status(struct ps2_mouse *m)
{
	uint8_t b = m->buttons;
	uint8_t status[3] = {(uint8_t)(m->remote << 6 | m->reporting << 5 | m->doubled << 4 |
				       (b & 1) << 2 | (b >> 1 & 1) << 1 | (b >> 2 & 1)),
			     m->resolution, m->rate};

	ps2_put(&m->queue, status, sizeof(status));
}

static void defaults(struct ps2_mouse *m)
{
	m->reporting = m->remote = m->doubled = 0;
	m->resolution = 2;
	m->rate = 100;
	m->dx = m->dy = m->wheel = 0;
}

/* False: no such command. Its answer stands behind the acknowledgement. */
static bool execute(struct ps2_mouse *m, uint8_t val)
{
	put1(m, PS2_ACK);
	switch (val) {
	case CMD_SCALING_1:
	case CMD_SCALING_2:
		m->doubled = val == CMD_SCALING_2;
		return true;
	case CMD_STREAM:
	case CMD_REMOTE:
		m->remote = val == CMD_REMOTE;
		return true;
	case CMD_RESOLUTION:
	case CMD_RATE:
		m->argument_of = val;
		return true;
	case CMD_STATUS:
		put_status(m);
		return true;
	case CMD_READ:
		put_report(m);
		return true;
	case CMD_IDENTIFY:
		put1(m, m->id);
		return true;
	case CMD_ENABLE:
	case CMD_DISABLE:
		m->reporting = val == CMD_ENABLE;
		return true;
	case CMD_DEFAULTS:
		defaults(m);
		return true;
	case CMD_RESET:
		ps2_mouse_reset(m);
		ps2_put(&m->queue, (const uint8_t[]){PS2_ACK, PS2_SELFTEST_OK, 0x00}, 3);
		return true;
	default:
		return false;
	}
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t val)
{
	if (m->argument_of) {
		take_argument(m, val);
		return;
	}
	m->queue.len = 0; /* a command ends whatever it was still saying */
	if (execute(m, val))
		return;
	m->queue.len = 0;
	put1(m, PS2_RESEND);
}
