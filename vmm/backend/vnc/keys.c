/* SPDX-License-Identifier: Apache-2.0 */
/* Which key a viewer means: by X11 keysym (keysymdef.h), or by scan code of the key itself. */
#include <linux/input-event-codes.h>
#include <stddef.h>

#include "vmm/backend/keymap.h"
#include "vmm/backend/vnc/internal.h"

/* Keysyms that are no characters, in order. */
static const struct {
	uint16_t keysym;
	uint8_t key;
} keysyms[] = {
	{0xfe03, KEY_RIGHTALT},   {0xfe20, KEY_TAB},        {0xff08, KEY_BACKSPACE},
	{0xff09, KEY_TAB},        {0xff0d, KEY_ENTER},      {0xff13, KEY_PAUSE},
	{0xff14, KEY_SCROLLLOCK}, {0xff15, KEY_SYSRQ},      {0xff1b, KEY_ESC},
	{0xff50, KEY_HOME},       {0xff51, KEY_LEFT},       {0xff52, KEY_UP},
	{0xff53, KEY_RIGHT},      {0xff54, KEY_DOWN},       {0xff55, KEY_PAGEUP},
	{0xff56, KEY_PAGEDOWN},   {0xff57, KEY_END},        {0xff61, KEY_SYSRQ},
	{0xff63, KEY_INSERT},     {0xff67, KEY_COMPOSE},    {0xff6b, KEY_PAUSE},
	{0xff7f, KEY_NUMLOCK},    {0xff8d, KEY_KPENTER},    {0xff95, KEY_KP7},
	{0xff96, KEY_KP4},        {0xff97, KEY_KP8},        {0xff98, KEY_KP6},
	{0xff99, KEY_KP2},        {0xff9a, KEY_KP9},        {0xff9b, KEY_KP3},
	{0xff9c, KEY_KP1},        {0xff9d, KEY_KP5},        {0xff9e, KEY_KP0},
	{0xff9f, KEY_KPDOT},      {0xffaa, KEY_KPASTERISK}, {0xffab, KEY_KPPLUS},
	{0xffad, KEY_KPMINUS},    {0xffae, KEY_KPDOT},      {0xffaf, KEY_KPSLASH},
	{0xffb0, KEY_KP0},        {0xffb1, KEY_KP1},        {0xffb2, KEY_KP2},
	{0xffb3, KEY_KP3},        {0xffb4, KEY_KP4},        {0xffb5, KEY_KP5},
	{0xffb6, KEY_KP6},        {0xffb7, KEY_KP7},        {0xffb8, KEY_KP8},
	{0xffb9, KEY_KP9},        {0xffbe, KEY_F1},         {0xffbf, KEY_F2},
	{0xffc0, KEY_F3},         {0xffc1, KEY_F4},         {0xffc2, KEY_F5},
	{0xffc3, KEY_F6},         {0xffc4, KEY_F7},         {0xffc5, KEY_F8},
	{0xffc6, KEY_F9},         {0xffc7, KEY_F10},        {0xffc8, KEY_F11},
	{0xffc9, KEY_F12},        {0xffe1, KEY_LEFTSHIFT},  {0xffe2, KEY_RIGHTSHIFT},
	{0xffe3, KEY_LEFTCTRL},   {0xffe4, KEY_RIGHTCTRL},  {0xffe5, KEY_CAPSLOCK},
	{0xffe7, KEY_LEFTMETA},   {0xffe8, KEY_RIGHTMETA},  {0xffe9, KEY_LEFTALT},
	{0xffea, KEY_RIGHTALT},   {0xffeb, KEY_LEFTMETA},   {0xffec, KEY_RIGHTMETA},
	{0xffff, KEY_DELETE},
};

/* The viewer sends Shift as a key of its own. */
unsigned vnc_key_of_keysym(uint32_t keysym)
{
	bool shift;

	if (keysym >= 0x20 && keysym < 0x7f)
		return key_of_char(keysym, &shift);
	for (size_t i = 0; i < sizeof(keysyms) / sizeof(keysyms[0]); i++)
		if (keysyms[i].keysym == keysym)
			return keysyms[i].key;
	return 0;
}

/* Scan codes behind an 0xe0, by their second byte. */
static const uint8_t extended[128] = {
	[0x1c] = KEY_KPENTER,  [0x1d] = KEY_RIGHTCTRL, [0x35] = KEY_KPSLASH, [0x37] = KEY_SYSRQ,
	[0x38] = KEY_RIGHTALT, [0x46] = KEY_PAUSE,     [0x47] = KEY_HOME,    [0x48] = KEY_UP,
	[0x49] = KEY_PAGEUP,   [0x4b] = KEY_LEFT,      [0x4d] = KEY_RIGHT,   [0x4f] = KEY_END,
	[0x50] = KEY_DOWN,     [0x51] = KEY_PAGEDOWN,  [0x52] = KEY_INSERT,  [0x53] = KEY_DELETE,
	[0x5b] = KEY_LEFTMETA, [0x5c] = KEY_RIGHTMETA, [0x5d] = KEY_COMPOSE,
};

/* Up to 0x58 Linux numbers keys by their set 1 scan codes. */
unsigned vnc_key_of_scancode(uint32_t xt)
{
	if (xt >> 8 == 0xe0)
		xt = (xt & 0x7f) | 0x80;
	if (xt & 0x80)
		return xt < 0x100 ? extended[xt & 0x7f] : 0;
	return xt <= KEY_F12 ? xt : 0;
}
