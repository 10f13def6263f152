/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard: its commands, and keys as scan codes. */
#include <stddef.h>

#include "vmm/device/ps2/ps2.h"

#define CMD_LEDS     0xed
#define CMD_SCAN_SET 0xf0
#define CMD_ENABLE   0xf4
#define CMD_DISABLE  0xf5
#define CMD_DEFAULTS 0xf6
#define CMD_RESET    0xff

/* What it answers to a command; `argument`: one more byte follows and is acknowledged. */
static const struct reply {
	uint8_t command, argument, len, data[3];
} replies[] = {
	{CMD_LEDS, 1, 1, {PS2_ACK}},
	{0xee, 0, 1, {0xee}}, /* echo */
	{CMD_SCAN_SET, 1, 1, {PS2_ACK}},
	{0xf2, 0, 3, {PS2_ACK, 0xab, 0x83}}, /* identify: MF2 keyboard */
	{0xf3, 1, 1, {PS2_ACK}},             /* typematic rate */
	{CMD_ENABLE, 0, 1, {PS2_ACK}},
	{CMD_DISABLE, 0, 1, {PS2_ACK}},
	{CMD_DEFAULTS, 0, 1, {PS2_ACK}},
	{0xfa, 0, 1, {PS2_ACK}}, /* all keys typematic, make, break */
	{CMD_RESET, 0, 2, {PS2_ACK, PS2_SELFTEST_OK}},
};

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
	*k = (struct ps2_keyboard){.scan_set = 2, .scanning = 1};
}

static void take_argument(struct ps2_keyboard *k, uint8_t val)
{
	uint8_t reply[2] = {PS2_ACK, k->scan_set};
	uint8_t command = k->argument_of;
	bool sets = command == CMD_SCAN_SET;

	k->argument_of = 0;
	if (command == CMD_LEDS)
		k->leds = val & 7;
	if (sets && (val == 1 || val == 2))
		k->scan_set = val;
	if (sets && val > 2) /* set 3 was never used */
		reply[0] = PS2_RESEND;
	ps2_put(&k->queue, reply, sets && !val ? 2 : 1);
}

static const struct reply *find_reply(uint8_t command)
{
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		if (replies[i].command == command)
			return &replies[i];
	return NULL;
}

void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t val)
{
	static const uint8_t resend = PS2_RESEND;
	const struct reply *r = find_reply(val);

	if (k->argument_of) {
		take_argument(k, val);
		return;
	}
	k->queue.len = 0; /* a command ends whatever it was still saying */
	if (!r) {
		ps2_put(&k->queue, &resend, 1);
		return;
	}
	if (val == CMD_RESET || val == CMD_DEFAULTS)
		ps2_keyboard_reset(k);
	if (val == CMD_ENABLE || val == CMD_DISABLE)
		k->scanning = val == CMD_ENABLE;
	if (r->argument)
		k->argument_of = val;
	ps2_put(&k->queue, r->data, r->len);
}

bool ps2_keyboard_key(struct ps2_keyboard *k, unsigned code, bool down)
{
	uint8_t bytes[8];
	unsigned n = ps2_scan_code(k->scan_set, code, down, bytes);

	if (!k->scanning)
		return true; /* nobody wants to know */
	if (ps2_room(&k->queue) < n)
		return false;
	ps2_put(&k->queue, bytes, n);
	return true;
}
