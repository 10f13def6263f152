/* SPDX-License-Identifier: Apache-2.0 */
/* Scan codes: what a key sends in sets 1 and 2. Keys are numbered as in Linux. */
#include <linux/input-event-codes.h>
#include <string.h>

#include "vmm/device/ps2/ps2.h"

#define EXTENDED   0xe0
#define SET2_BREAK 0xf0
#define SET1_BREAK 0x80
#define TABLE_SIZE 128
#define SET2_F7    0x83 /* the two codes of set 2 above the table */
#define SET2_SYSRQ 0x84
#define SET1_F7    0x41
#define SET1_SYSRQ 0x54

/* Set 1 code of each set 2 code. Those of keys that do not exist are translated all the same. */
static const uint8_t set1[TABLE_SIZE] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t ps2_translate(uint8_t set2)
{
	if (set2 < TABLE_SIZE)
		return set1[set2];
	if (set2 == SET2_F7)
		return SET1_F7;
	return set2 == SET2_SYSRQ ? SET1_SYSRQ : set2;
}

static uint8_t set2_of(uint8_t code)
{
	const uint8_t *p = memchr(set1, code, TABLE_SIZE);

	if (code == SET1_F7)
		return SET2_F7;
	return p ? (uint8_t)(p - set1) : 0;
}

/* Keys behind an 0xe0, by their set 1 code. */
static const struct {
	uint8_t key, code;
} extended[] = {
	{KEY_KPENTER, 0x1c},   {KEY_RIGHTCTRL, 0x1d}, {KEY_KPSLASH, 0x35}, {KEY_SYSRQ, 0x37},
	{KEY_RIGHTALT, 0x38},  {KEY_HOME, 0x47},      {KEY_UP, 0x48},      {KEY_PAGEUP, 0x49},
	{KEY_LEFT, 0x4b},      {KEY_RIGHT, 0x4d},     {KEY_END, 0x4f},     {KEY_DOWN, 0x50},
	{KEY_PAGEDOWN, 0x51},  {KEY_INSERT, 0x52},    {KEY_DELETE, 0x53},  {KEY_LEFTMETA, 0x5b},
	{KEY_RIGHTMETA, 0x5c}, {KEY_COMPOSE, 0x5d},
};

/* Down to F12 Linux's numbers are the set 1 codes. */
static uint8_t find(unsigned code, bool *is_extended)
{
	*is_extended = false;
	if (code <= KEY_F12 && code != 0x54 && code != 0x55)
		return (uint8_t)code;
	*is_extended = true;
	for (unsigned i = 0; i < sizeof(extended) / sizeof(extended[0]); i++)
		if (extended[i].key == code)
			return extended[i].code;
	return 0;
}

/* Sent once, when the key goes down. */
static unsigned pause_key(unsigned set, bool down, uint8_t out[8])
{
	static const uint8_t one[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
	static const uint8_t two[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};

	if (!down)
		return 0;
	memcpy(out, set == 1 ? one : two, set == 1 ? sizeof(one) : sizeof(two));
	return set == 1 ? sizeof(one) : sizeof(two);
}

unsigned ps2_scan_code(unsigned set, unsigned code, bool down, uint8_t out[8])
{
	unsigned n = 0;
	bool is_extended;
	uint8_t c = find(code, &is_extended);

	if (code == KEY_PAUSE)
		return pause_key(set, down, out);
	if (set == 2 && c)
		c = set2_of(c);
	if (!c)
		return 0;
	if (is_extended)
		out[n++] = EXTENDED;
	if (set == 2 && !down)
		out[n++] = SET2_BREAK;
	out[n++] = set == 1 && !down ? c | SET1_BREAK : c;
	return n;
}
