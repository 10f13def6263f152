/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by character and by name. */
#include "vmm/backend/keymap.h"

#include <linux/input-event-codes.h>
#include <string.h>
#include <strings.h>

/* A row of the keyboard: keys one after the other, what they type without and with Shift. */
static const struct {
	unsigned first;
	const char *plain, *shifted;
} rows[] = {
	{KEY_1, "1234567890-=", "!@#$%^&*()_+"},
	{KEY_Q, "qwertyuiop[]", "QWERTYUIOP{}"},
	{KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{KEY_SPACE, " ", ""},
	{KEY_ENTER, "\n", ""},
	{KEY_TAB, "\t", ""},
	{KEY_BACKSPACE, "\b", ""},
	{KEY_ESC, "\033", ""},
};

unsigned key_of_char(unsigned c, bool *shift)
{
	for (size_t i = 0; c && c < 0x80 && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *plain = strchr(rows[i].plain, (int)c);
		const char *shifted = strchr(rows[i].shifted, (int)c);

		*shift = !plain;
		if (plain)
			return rows[i].first + (unsigned)(plain - rows[i].plain);
		if (shifted)
			return rows[i].first + (unsigned)(shifted - rows[i].shifted);
	}
	return 0;
}

static const struct {
	const char *name;
	unsigned key;
} names[] = {
	{"ret", KEY_ENTER},
	{"enter", KEY_ENTER},
	{"return", KEY_ENTER},
	{"esc", KEY_ESC},
	{"escape", KEY_ESC},
	{"tab", KEY_TAB},
	{"spc", KEY_SPACE},
	{"space", KEY_SPACE},
	{"backspace", KEY_BACKSPACE},
	{"ctrl", KEY_LEFTCTRL},
	{"ctrl_r", KEY_RIGHTCTRL},
	{"alt", KEY_LEFTALT},
	{"alt_r", KEY_RIGHTALT},
	{"altgr", KEY_RIGHTALT},
	{"shift", KEY_LEFTSHIFT},
	{"shift_r", KEY_RIGHTSHIFT},
	{"meta", KEY_LEFTMETA},
	{"meta_r", KEY_RIGHTMETA},
	{"menu", KEY_COMPOSE},
	{"caps_lock", KEY_CAPSLOCK},
	{"num_lock", KEY_NUMLOCK},
	{"scroll_lock", KEY_SCROLLLOCK},
	{"insert", KEY_INSERT},
	{"delete", KEY_DELETE},
	{"del", KEY_DELETE},
	{"home", KEY_HOME},
	{"end", KEY_END},
	{"pgup", KEY_PAGEUP},
	{"pgdn", KEY_PAGEDOWN},
	{"up", KEY_UP},
	{"down", KEY_DOWN},
	{"left", KEY_LEFT},
	{"right", KEY_RIGHT},
	{"print", KEY_SYSRQ},
	{"sysrq", KEY_SYSRQ},
	{"pause", KEY_PAUSE},
	{"minus", KEY_MINUS},
	{"equal", KEY_EQUAL},
	{"comma", KEY_COMMA},
	{"dot", KEY_DOT},
	{"slash", KEY_SLASH},
	{"backslash", KEY_BACKSLASH},
	{"semicolon", KEY_SEMICOLON},
	{"apostrophe", KEY_APOSTROPHE},
	{"grave_accent", KEY_GRAVE},
	{"bracket_left", KEY_LEFTBRACE},
	{"bracket_right", KEY_RIGHTBRACE},
	{"less", KEY_102ND},
	{"kp_enter", KEY_KPENTER},
	{"kp_add", KEY_KPPLUS},
	{"kp_subtract", KEY_KPMINUS},
	{"kp_multiply", KEY_KPASTERISK},
	{"kp_divide", KEY_KPSLASH},
	{"kp_decimal", KEY_KPDOT},
	{"kp_0", KEY_KP0},
	{"kp_1", KEY_KP1},
	{"kp_2", KEY_KP2},
	{"kp_3", KEY_KP3},
	{"kp_4", KEY_KP4},
	{"kp_5", KEY_KP5},
	{"kp_6", KEY_KP6},
	{"kp_7", KEY_KP7},
	{"kp_8", KEY_KP8},
	{"kp_9", KEY_KP9},
	{"f1", KEY_F1},
	{"f2", KEY_F2},
	{"f3", KEY_F3},
	{"f4", KEY_F4},
	{"f5", KEY_F5},
	{"f6", KEY_F6},
	{"f7", KEY_F7},
	{"f8", KEY_F8},
	{"f9", KEY_F9},
	{"f10", KEY_F10},
	{"f11", KEY_F11},
	{"f12", KEY_F12},
};

unsigned key_of_name(const char *name, size_t len)
{
	bool shift;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == len && !strncasecmp(names[i].name, name, len))
			return names[i].key;
	return len == 1 ? key_of_char((unsigned char)*name, &shift) : 0;
}
