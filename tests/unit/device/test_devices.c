/* SPDX-License-Identifier: Apache-2.0 */
/* Register scripts for the legacy devices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/device/board.h"
#include "vmm/device.h"

/* clang-format off: a row is a sentence */

/* PIC: initialise both chips at vectors 20h and 28h, all inputs open. */
#define PIC_INIT                                                                                  \
	{WR, 0x20, 0x11}, {WR, 0x21, 0x20}, {WR, 0x21, 0x04}, {WR, 0x21, 0x01}, {WR, 0xa0, 0x11}, \
		{WR, 0xa1, 0x28}, {WR, 0xa1, 0x02}, {WR, 0xa1, 0x01}, {WR, 0x21, 0x00},           \
	{                                                                                         \
		WR, 0xa1, 0x00                                                                    \
	}

static const struct step pic_mask[] = {
	PIC_INIT,         {WR, 0x21, 0xfb}, {RD, 0x21, 0xfb}, {WR, 0xa1, 0x7f}, {RD, 0xa1, 0x7f},
	{LINE, 3, 1},     {EXT, 0, 0},      {RD, 0x20, 0x08}, /* requested, masked */
	{WR, 0x21, 0x00}, {EXT, 0, 1},      {ACK, 0, 0x23},   {EXT, 0, 0},
};
static const struct step pic_priority[] = {
	PIC_INIT,         {LINE, 5, 1},     {EXT, 0, 1},    {ACK, 0, 0x25},
	{EXT, 0, 0},      {LINE, 7, 1},     {EXT, 0, 0},    /* lower: waits */
	{LINE, 1, 1},     {EXT, 0, 1},      {ACK, 0, 0x21}, /* higher: nests */
	{WR, 0x20, 0x0b}, {RD, 0x20, 0x22},                 /* in service: 1 and 5 */
	{WR, 0x20, 0x20}, {RD, 0x20, 0x20}, {EXT, 0, 0},    {WR, 0x20, 0x65},
	{RD, 0x20, 0x00}, {EXT, 0, 1},      {ACK, 0, 0x27},
};
static const struct step pic_slave[] = {
	PIC_INIT,         {LINE, 12, 1}, {EXT, 0, 1},      {ACK, 0, 0x2c},
	{LINE, 8, 1},     {EXT, 0, 0},   {WR, 0xa0, 0x20}, {EXT, 0, 0},
	{WR, 0x20, 0x20}, {EXT, 0, 1},   {ACK, 0, 0x28},
};
static const struct step pic_spurious[] = {
	PIC_INIT,
	{ACK, 0, 0x27},
	{WR, 0x20, 0x0b},
	{RD, 0x20, 0x00},
	/* the slave's request is masked between request and acknowledge */
	{WR, 0x4d1, 0x04},
	{LINE, 10, 1},
	{EXT, 0, 1},
	{LINE, 10, 0},
	{EXT, 0, 0},
};
static const struct step pic_edge[] = {
	PIC_INIT,         {LINE, 4, 1}, {ACK, 0, 0x24},
	{WR, 0x20, 0x20}, {EXT, 0, 0}, /* still up: no second one */
	{LINE, 4, 0},     {LINE, 4, 1}, {EXT, 0, 1},
};
static const struct step pic_level[] = {
	PIC_INIT,          {WR, 0x4d0, 0xff}, {RD, 0x4d0, 0xf8}, {WR, 0x4d1, 0xff},
	{RD, 0x4d1, 0xde}, {LINE, 11, 1},     {ACK, 0, 0x2b},    {WR, 0xa0, 0x20},
	{WR, 0x20, 0x20},  {EXT, 0, 1}, /* again */
	{LINE, 11, 0},     {EXT, 0, 0},
};
static const struct step pic_modes[] = {
	PIC_INIT,         {WR, 0x21, 0x00}, {WR, 0x20, 0x11}, {WR, 0x21, 0x20},
	{WR, 0x21, 0x04}, {WR, 0x21, 0x03}, {LINE, 6, 1},     {ACK, 0, 0x26},
	{WR, 0x20, 0x0b}, {RD, 0x20, 0x00}, /* automatic EOI */
	{WR, 0x20, 0xc3}, {LINE, 3, 1},     {LINE, 4, 1},     {ACK, 0, 0x24},
	{ACK, 0, 0x23},                     /* 3 lowest */
	{WR, 0x20, 0x0e}, {RD, 0x20, 0x00}, /* poll: nothing */
	{LINE, 1, 1},     {WR, 0x20, 0x0e}, {RD, 0x20, 0x81}, {EXT, 0, 0},
};

#define IOAPIC 0xfec00000
#define RTE(pin, low, high)                                                                        \
	{WR, IOAPIC, 0x11 + 2 * (pin)}, {WR, IOAPIC + 0x10, high}, {WR, IOAPIC, 0x10 + 2 * (pin)}, \
	{                                                                                          \
		WR, IOAPIC + 0x10, low                                                             \
	}

static const struct step ioapic_registers[] = {
	{WR, IOAPIC, 0x00},
	{WR, IOAPIC + 0x10, 0xffffffff},
	{RD, IOAPIC + 0x10, 0x0f000000},
	{WR, IOAPIC, 0x01},
	{RD, IOAPIC + 0x10, 0x00170011},
	{RD, IOAPIC, 0x01},
	{WR, IOAPIC, 0x10},
	{RD, IOAPIC + 0x10, 0x00010000}, /* masked at reset */
	{WR, IOAPIC + 0x10, 0xffffffff},
	{RD, IOAPIC + 0x10, 0x0001afff},
	{WR, IOAPIC, 0x11},
	{WR, IOAPIC + 0x10, 0xffffffff},
	{RD, IOAPIC + 0x10, 0xff000000},
	{WR, IOAPIC, 0x3f},
	{RD, IOAPIC + 0x10, 0x00000000},
	{WR, IOAPIC, 0xff},
	{WR, IOAPIC + 0x10, 0x12345678},
	{RD, IOAPIC + 0x10, 0x00000000},
	{RD, IOAPIC + 1, 0xff, 1},
	{RD, IOAPIC + 0x800, 0},
};
static const struct step ioapic_edge[] = {
	RTE(4, 0x00000830, 0x03000000), /* vector 30h, logical, destination 3 */
	{LINE, 4, 1},
	{MSI, 1, 0x30},
	{DEST, 0, 0x03004},
	{LINE, 4, 1},
	{MSI, 0, 0},
	{LINE, 4, 0},
	{LINE, 4, 1},
	{MSI, 1, 0x30},
	RTE(4, 0x00010030, 0),
	{LINE, 4, 0},
	{LINE, 4, 1},
	{MSI, 0, 0}, /* masked: lost */
	RTE(4, 0x00000030, 0),
	{MSI, 0, 0},
	RTE(2, 0x00000031, 0),
	{LINE, 0, 1},
	{MSI, 1, 0x31}, /* the PIT's override */
};
static const struct step ioapic_level[] = {
	RTE(20, 0x0000a040, 0x01000000),
	{LINE, 20, 1},
	{MSI, 1, 0xc040},
	{DEST, 0, 0x01000},
	{WR, IOAPIC, 0x38},
	{RD, IOAPIC + 0x10, 0x0000e040}, /* remote IRR */
	{LINE, 20, 0},
	{LINE, 20, 1},
	{MSI, 0, 0},
	{EOI, 0, 0x41},
	{MSI, 0, 0},
	{EOI, 0, 0x40},
	{MSI, 1, 0xc040}, /* still up: again */
	{LINE, 20, 0},
	{EOI, 0, 0x40},
	{MSI, 0, 0},
	{RD, IOAPIC + 0x10, 0x0000a040},
	/* masked while up, opened later */
	RTE(20, 0x0001a040, 0),
	{LINE, 20, 1},
	{MSI, 0, 0},
	RTE(20, 0x0000a140, 0),
	{MSI, 1, 0xc140},
	{DEST, 0, 0x00008}, /* lowest priority: redirection hint */
	/* a detour through edge mode clears remote IRR */
	RTE(20, 0x00010040, 0),
	{RD, IOAPIC + 0x10, 0x00010040},
};

static const struct step pit_square[] = {
	{WR, 0x43, 0x36}, {WR, 0x40, 0xa9}, {WR, 0x40, 0x04}, /* 1193: 1 ms */
	{EDGES, 0, 0},    {ADV, 0, 999},    {EDGES, 0, 0},    {ADV, 0, 2},
	{EDGES, 0, 1},    {ADV, 0, 10000},  {EDGES, 0, 10},   {RD, 0x43, 0xff},
};
static const struct step pit_rate[] = {
	{WR, 0x43, 0x34}, {WR, 0x40, 0x9c}, {WR, 0x40, 0x2e}, /* 11932: 10 ms */
	{ADV, 0, 100100}, {EDGES, 0, 10},   {WR, 0x43, 0x00}, /* latch */
	{ADV, 0, 5000},   {RD, 0x40, ANY},  {RD, 0x40, 0x2e}, /* 100 us into a period: 11813 */
	{RD, 0x40, ANY},  {RD, 0x40, 0x16},                   /* 5100 us: 5847 */
};
static const struct step pit_terminal[] = {
	{WR, 0x43, 0x30}, {IRQ, 0, 0},   {WR, 0x40, 0x98}, {WR, 0x40, 0x0a}, /* 2712: 2273 us */
	{ADV, 0, 2000},   {IRQ, 0, 0},   {WR, 0x43, 0xe2}, {RD, 0x40, 0x30}, /* status: OUT low,
										loaded */
	{ADV, 0, 1000},   {EDGES, 0, 1}, {IRQ, 0, 1},      {WR, 0x43, 0xe2}, {RD, 0x40, 0xb0},
	{ADV, 0, 100000}, {EDGES, 0, 0}, {WR, 0x43, 0x30}, {IRQ, 0, 0},
};
static const struct step pit_storm[] = {
	/* a period of one tick: interrupts stay at least 20 us apart */
	{WR, 0x43, 0x14}, {WR, 0x40, 0x01}, {ADV, 0, 1000},
	{EDGES, 0, 50},   {ADV, 0, 1000},   {EDGES, 0, 50},
};
static const struct step pit_speaker[] = {
	{WR, 0x61, 0x00},
	{RD, 0x61, 0x20},
	{WR, 0x61, 0x01},
	{WR, 0x43, 0xb0},
	{RD, 0x61, 0x01},
	{WR, 0x42, 0x00},
	{WR, 0x42, 0x10}, /* 4096: 3433 us */
	{ADV, 0, 3000},
	{RD, 0x61, 0x01}, /* 198 refreshes */
	{ADV, 0, 444},
	{RD, 0x61, 0x21},
	/* with the gate down the count stands */
	{WR, 0x43, 0xb0},
	{WR, 0x42, 0x00},
	{WR, 0x42, 0x10},
	{WR, 0x61, 0x00},
	{ADV, 0, 90000},
	{RD, 0x61, 0x00},
	{RD, 0x42, 0x00},
	{RD, 0x42, 0x10},
	{WR, 0x61, 0x03},
	{ADV, 0, 3500},
	{RD, 0x61, 0x23},
};
static const struct step pit_bcd[] = {
	{WR, 0x43, 0x71}, {WR, 0x41, 0x00}, {WR, 0x41, 0x10}, /* channel 1, mode 0, BCD 1000 */
	{RD, 0x41, 0x00}, {RD, 0x41, 0x10}, {ADV, 0, 84},     {RD, 0x41, 0x00},
	{RD, 0x41, 0x09}, {WR, 0x43, 0x50}, {WR, 0x41, 0x80}, {RD, 0x41, 0x80}, /* low byte only */
	{WR, 0x43, 0xee}, {WR, 0x43, 0xff}, {WR, 0x43, 0xc0},
};

#define CMOS_RD(reg, val)     \
	{WR, 0x70, reg},      \
	{                     \
		RD, 0x71, val \
	}
#define CMOS_WR(reg, val)     \
	{WR, 0x70, reg},      \
	{                     \
		WR, 0x71, val \
	}

static const struct step rtc_time[] = {
	CMOS_RD(0x00, 0x20), CMOS_RD(0x02, 0x13), CMOS_RD(0x04, 0x22),
	CMOS_RD(0x06, 0x03), CMOS_RD(0x07, 0x14), CMOS_RD(0x08, 0x11),
	CMOS_RD(0x09, 0x23), CMOS_RD(0x32, 0x20), CMOS_RD(0x0d, 0x80),
	{RD, 0x70, 0xff},    CMOS_WR(0x0b, 0x06), CMOS_RD(0x04, 22), /* binary */
	CMOS_WR(0x0b, 0x00), CMOS_RD(0x04, 0x90),                    /* 12 h: 10 pm */
	{ADV, 0, 999000},    CMOS_RD(0x00, 0x20), CMOS_WR(0x0b, 0x02),
	CMOS_RD(0x0a, 0x26), {ADV, 0, 800},       CMOS_RD(0x0a, 0xa6),
	{ADV, 0, 200},       CMOS_RD(0x00, 0x21), CMOS_RD(0x0a, 0x26),
};
static const struct step rtc_set[] = {
	CMOS_WR(0x0b, 0x82),
	CMOS_WR(0x00, 0x58),
	CMOS_WR(0x02, 0x59),
	CMOS_WR(0x04, 0x23),
	CMOS_WR(0x07, 0x28),
	CMOS_WR(0x08, 0x02),
	CMOS_WR(0x09, 0x24),
	{ADV, 0, 5000000},
	CMOS_RD(0x00, 0x58),
	CMOS_WR(0x0b, 0x02),
	{ADV, 0, 2000000},
	CMOS_RD(0x00, 0x00),
	CMOS_RD(0x04, 0x00),
	CMOS_RD(0x07, 0x29),
	CMOS_RD(0x08, 0x02), /* leap day */
	CMOS_RD(0x06, 0x05), /* Thursday */
	/* nonsense is brought into range */
	CMOS_WR(0x08, 0xff),
	CMOS_RD(0x08, 0x12),
	CMOS_WR(0x07, 0x00),
	CMOS_RD(0x07, 0x01),
};
static const struct step rtc_update_irq[] = {
	CMOS_WR(0x0a, 0x20), CMOS_RD(0x0c, 0x00), CMOS_WR(0x0b, 0x12), {ADV, 0, 999999},
	{IRQ, 8, 0},         {ADV, 0, 1},         {IRQ, 8, 1},         {ADV, 0, 5000000},
	{EDGES, 8, 1},       CMOS_RD(0x0c, 0x90), {IRQ, 8, 0},         CMOS_RD(0x0c, 0x00),
	{ADV, 0, 1000000},   {EDGES, 8, 1},       CMOS_WR(0x0b, 0x02), CMOS_RD(0x0c, ANY),
	{ADV, 0, 1000000},   {IRQ, 8, 0},         CMOS_RD(0x0c, 0x10),
};
static const struct step rtc_periodic[] = {
	CMOS_WR(0x0a, 0x26), CMOS_WR(0x0b, 0x42), {ADV, 0, 977}, {EDGES, 8, 1},
	{ADV, 0, 100000},    {EDGES, 8, 0}, /* not read: they coalesce */
	CMOS_RD(0x0c, 0xc0), {ADV, 0, 977},       {EDGES, 8, 1}, CMOS_WR(0x0a, 0x20),
	CMOS_RD(0x0c, 0xc0), {ADV, 0, 100000},    {IRQ, 8, 0}, /* rate 0: off */
};
static const struct step rtc_alarm[] = {
	CMOS_WR(0x0a, 0x20),  CMOS_WR(0x01, 0x25), CMOS_WR(0x03, 0xff), CMOS_WR(0x05, 0xff),
	CMOS_WR(0x0b, 0x22),  {ADV, 0, 4999999},   {IRQ, 8, 0},         {ADV, 0, 1},
	{IRQ, 8, 1},          CMOS_RD(0x0c, 0xb0), {ADV, 0, 60000000},  {EDGES, 8, 2},
	CMOS_RD(0x0c, 0xb0),  CMOS_WR(0x05, 0x23), CMOS_WR(0x03, 0x00), CMOS_WR(0x01, 0x00),
	{ADV, 0, 2734000000}, {IRQ, 8, 0},         {ADV, 0, 1000000},   {IRQ, 8, 1},
};
static const struct step rtc_memory[] = {
	/* 5 GiB: 2.75 below 4 GiB, 2.25 above */
	CMOS_RD(0x15, 0x80), CMOS_RD(0x16, 0x02), CMOS_RD(0x17, 0xff), CMOS_RD(0x18, 0xff),
	CMOS_RD(0x34, 0x00), CMOS_RD(0x35, 0xaf), CMOS_RD(0x5b, 0x00), CMOS_RD(0x5c, 0x90),
	CMOS_RD(0x5d, 0x00), CMOS_WR(0x50, 0xa5), CMOS_RD(0x50, 0xa5), {RESET},
	CMOS_RD(0x50, 0xa5),
};

static const struct step uart_registers[] = {
	{WR, 0x3fb, 0x03}, {RD, 0x3fb, 0x03}, {WR, 0x3fb, 0x83}, {WR, 0x3f8, 0x0c},
	{WR, 0x3f9, 0x01}, {RD, 0x3f8, 0x0c}, {RD, 0x3f9, 0x01}, {WR, 0x3fb, 0x1b},
	{RD, 0x3fb, 0x1b}, {WR, 0x3ff, 0x5a}, {RD, 0x3ff, 0x5a}, {WR, 0x3fc, 0xff},
	{RD, 0x3fc, 0x1f}, {WR, 0x3f9, 0xff}, {RD, 0x3f9, 0x0f}, {WR, 0x3f9, 0x00},
	{RD, 0x3fa, 0x01}, {WR, 0x3fa, 0x01}, {RD, 0x3fa, 0xc1}, {WR, 0x3fa, 0x00},
	{RD, 0x3fa, 0x01}, {RD, 0x3fd, 0x60},
};
static const struct step uart_transmit[] = {
	{WR, 0x3f8, 'b'},  {WR, 0x3f8, 'a'}, {OUT, 0, 'b'},     {OUT, 0, 'a'},
	{OUT, 0, 0x100},   {IRQ, 4, 0},      {WR, 0x3f9, 0x02}, {IRQ, 4, 1},
	{RD, 0x3fa, 0x02}, {IRQ, 4, 0},      {RD, 0x3fa, 0x01}, {WR, 0x3f8, 't'},
	{IRQ, 4, 1},       {EDGES, 4, 2},    {WR, 0x3f9, 0x00}, {IRQ, 4, 0},
};
static const struct step uart_receive[] = {
	{WR, 0x3f9, 0x01}, {IN, 0, 'x'},      {IRQ, 4, 1},    {RD, 0x3fa, 0x04}, {RD, 0x3fd, 0x61},
	{IN, 0, 'y'},      {RD, 0x3fd, 0x61}, /* no room: kept by the host */
	{RD, 0x3f8, 'x'},  {RD, 0x3f8, 'y'},  {RD, 0x3f8, 0}, {IRQ, 4, 0},       {RD, 0x3fd, 0x60},
};
static const struct step uart_fifo[] = {
	{WR, 0x3f9, 0x01}, {WR, 0x3fa, 0x81}, /* trigger at 8 */
	{WR, 0x3fb, 0x83}, {WR, 0x3f8, 1},    {WR, 0x3f9, 0}, {WR, 0x3fb, 0x03}, {IN, 0, 1},
	{IN, 0, 2},        {IRQ, 4, 0},       {ADV, 0, 340},  {IRQ, 4, 0},       {ADV, 0, 10},
	{IRQ, 4, 1},       {RD, 0x3fa, 0xcc}, {RD, 0x3f8, 1}, {IRQ, 4, 0},       {ADV, 0, 350},
	{IRQ, 4, 1},       {RD, 0x3f8, 2},    {IRQ, 4, 0},    {IN, 0, 1},        {IN, 0, 2},
	{IN, 0, 3},        {IN, 0, 4},        {IN, 0, 5},     {IN, 0, 6},        {IN, 0, 7},
	{IRQ, 4, 0},       {IN, 0, 8},        {IRQ, 4, 1},    {RD, 0x3fa, 0xc4}, {WR, 0x3fa, 0x83},
	{IRQ, 4, 0},       {RD, 0x3fd, 0x60},
};
static const struct step uart_loop[] = {
	{RD, 0x3fe, 0xb0}, {WR, 0x3fc, 0x10}, {RD, 0x3fe, 0x0b},
	{RD, 0x3fe, 0x00}, {WR, 0x3fc, 0x1f}, {RD, 0x3fe, 0xfb},
	{WR, 0x3fc, 0x1b}, {RD, 0x3fe, 0xb4}, /* RI's trailing edge */
	{WR, 0x3f8, 0x55}, {OUT, 0, 0x100},   {RD, 0x3f8, 0x55},
	{WR, 0x3f8, 1},    {WR, 0x3f8, 2},    {WR, 0x3f9, 0x04},
	{IRQ, 4, 1},       {RD, 0x3fa, 0x06}, {RD, 0x3fd, 0x63},
	{IRQ, 4, 0},       {RD, 0x3f8, 2},    {WR, 0x3f9, 0x08},
	{WR, 0x3fc, 0x10}, {IRQ, 4, 1},       {RD, 0x3fa, 0x00},
	{RD, 0x3fe, 0x0b}, {IRQ, 4, 0},
};

static const struct step kbd_controller[] = {
	{RD, 0x64, 0x14}, {WR, 0x64, 0xaa}, {RD, 0x64, 0x1d}, {RD, 0x60, 0x55}, {RD, 0x64, 0x1c},
	{WR, 0x64, 0x20}, {RD, 0x60, 0x47}, {WR, 0x64, 0x60}, {WR, 0x60, 0x65}, {WR, 0x64, 0x20},
	{RD, 0x60, 0x65}, {WR, 0x64, 0xab}, {RD, 0x60, 0x00}, {WR, 0x64, 0xa9}, {RD, 0x60, 0x00},
	{WR, 0x64, 0xa7}, {WR, 0x64, 0x20}, {RD, 0x60, 0x65}, {WR, 0x64, 0xa8}, {WR, 0x64, 0x20},
	{RD, 0x60, 0x45}, {WR, 0x64, 0xd0}, {RD, 0x60, 0xcf}, {WR, 0x64, 0x00}, {RD, 0x64, 0x1c},
};
static const struct step kbd_keyboard[] = {
	{WR, 0x60, 0xf2}, {IRQ, 1, 1},      {RD, 0x60, 0xfa}, {RD, 0x60, 0xab}, {RD, 0x60, 0x41},
	{IRQ, 1, 0},      {EDGES, 1, 3},    {WR, 0x60, 0xed}, {RD, 0x60, 0xfa}, {WR, 0x60, 0x02},
	{RD, 0x60, 0xfa}, {WR, 0x60, 0xff}, {RD, 0x60, 0xfa}, {RD, 0x60, 0xaa}, {WR, 0x60, 0xee},
	{RD, 0x60, 0xee}, {WR, 0x60, 0xf0}, {RD, 0x60, 0xfa}, {WR, 0x60, 0x00}, {RD, 0x60, 0xfa},
	{RD, 0x60, 0x41}, {WR, 0x60, 0x13}, {RD, 0x60, 0xfe}, {WR, 0x64, 0xad}, {WR, 0x64, 0x60},
	{WR, 0x60, 0x74}, {RD, 0x64, 0x14}, /* disabled */
};
static const struct step kbd_mouse[] = {
	{WR, 0x64, 0xd4}, {WR, 0x60, 0xf2}, {IRQ, 12, 1},     {RD, 0x64, 0x35}, {RD, 0x60, 0xfa},
	{RD, 0x60, 0x00}, {IRQ, 12, 0},     {WR, 0x64, 0xd3}, {WR, 0x60, 0x5a}, {RD, 0x64, 0x35},
	{RD, 0x60, 0x5a}, {WR, 0x64, 0xd4}, {WR, 0x60, 0xe9}, {RD, 0x60, 0xfa}, {RD, 0x60, 0x00},
	{RD, 0x60, 0x02}, {RD, 0x60, 0x64}, {RD, 0x64, 0x14},
};
/* Keys by Linux's numbers: 30 a, 65 F7, 103 up, 119 pause, 97 right Ctrl. */
#define UP 0x100
static const struct step kbd_keys[] = {
	{KEY, 30, 1},      {IRQ, 1, 1},      {RD, 0x60, 0x1e}, {IRQ, 1, 0},
	{KEY, UP | 30, 1}, {RD, 0x60, 0x9e}, {KEY, 65, 1},     {RD, 0x60, 0x41},
	{KEY, UP | 65, 1}, {RD, 0x60, 0xc1}, {KEY, 103, 1},    {KEY, UP | 103, 1},
	{RD, 0x60, 0xe0},  {RD, 0x60, 0x48}, {RD, 0x60, 0xe0}, {RD, 0x60, 0xc8},
	{KEY, 119, 1},     {RD, 0x60, 0xe1}, {RD, 0x60, 0x1d}, {RD, 0x60, 0x45},
	{RD, 0x60, 0xe1},  {RD, 0x60, 0x9d}, {RD, 0x60, 0xc5}, {KEY, UP | 119, 1},
	{RD, 0x64, 0x14},  {WR, 0x60, 0xf5}, {RD, 0x60, 0xfa}, {KEY, 30, 1},
	{RD, 0x64, 0x14}, /* not scanning */
	{WR, 0x60, 0xf4},  {RD, 0x60, 0xfa}, {KEY, 30, 1},     {RD, 0x60, 0x1e},
};
static const struct step kbd_sets[] = {
	{WR, 0x64, 0x60},  {WR, 0x60, 0x05}, /* no translation */
	{KEY, 30, 1},      {RD, 0x60, 0x1c},  {KEY, UP | 30, 1}, {RD, 0x60, 0xf0}, {RD, 0x60, 0x1c},
	{KEY, UP | 97, 1}, {RD, 0x60, 0xe0},  {RD, 0x60, 0xf0},  {RD, 0x60, 0x14}, {KEY, 65, 1},
	{RD, 0x60, 0x83},  {WR, 0x60, 0xf0},  {RD, 0x60, 0xfa},  {WR, 0x60, 0x03}, {RD, 0x60, 0xfe},
	{WR, 0x60, 0xf0},  {RD, 0x60, 0xfa},  {WR, 0x60, 0x01},  {RD, 0x60, 0xfa}, {KEY, 30, 1},
	{RD, 0x60, 0x1e},  {KEY, UP | 97, 1}, {RD, 0x60, 0xe0},  {RD, 0x60, 0x9d}, {RD, 0x64, 0x14},
};
/* A keyboard whose guest does not read says so when it is full, and loses nothing it has taken. */
static const struct step kbd_full[] = {
	{WR, 0x64, 0x60},
	{WR, 0x60, 0x05},
#define EIGHT               \
	{                   \
		KEY, 119, 1 \
	}
	EIGHT,
	EIGHT,
	EIGHT,
	EIGHT,
	EIGHT,
	EIGHT,
	EIGHT,
	EIGHT,
	{KEY, 119, 0},
	{KEY, 30, 1},
	{KEY, 30, 0},
	{RD, 0x60, 0xe1},
	{KEY, 30, 1},
};
#define TO_MOUSE(val)                      \
	{WR, 0x64, 0xd4}, {WR, 0x60, val}, \
	{                                  \
		RD, 0x60, 0xfa             \
	}
static const struct step mouse_moves[] = {
	{MOVE, 0, 0x000105}, {RD, 0x64, 0x14}, /* not reporting yet */
	TO_MOUSE(0xf4),      {MOVE, 0, 0x00fd05}, {IRQ, 12, 1},     {RD, 0x64, 0x35},
	{RD, 0x60, 0x08},    {RD, 0x60, 0x05},    {RD, 0x60, 0x03}, {IRQ, 12, 0},
	{MOVE, 1, 0x0002ff}, {RD, 0x60, 0x39},    {RD, 0x60, 0xff}, {RD, 0x60, 0xfe},
	{MOVE, 4, 0},        {RD, 0x60, 0x0a},    {RD, 0x60, 0x00}, {RD, 0x60, 0x00},
	{MOVE, 4, 0x010000}, {RD, 0x64, 0x14}, /* it has no wheel */
	TO_MOUSE(0xeb),      {RD, 0x60, 0x0a},    {RD, 0x60, 0x00}, {RD, 0x60, 0x00},
	TO_MOUSE(0xe9),      {RD, 0x60, 0x21},    {RD, 0x60, 0x02}, {RD, 0x60, 0x64},
	{WR, 0x64, 0xd4},    {WR, 0x60, 0xe0},    {RD, 0x60, 0xfe}, {RD, 0x64, 0x14},
};
static const struct step mouse_wheel[] = {
	TO_MOUSE(0xf3),   TO_MOUSE(200),    TO_MOUSE(0xf3),   TO_MOUSE(100),    TO_MOUSE(0xf3),
	TO_MOUSE(80),     TO_MOUSE(0xf2),   {RD, 0x60, 0x03}, TO_MOUSE(0xf4),   {MOVE, 0, 0xff0000},
	{RD, 0x60, 0x08}, {RD, 0x60, 0x00}, {RD, 0x60, 0x00}, {RD, 0x60, 0xff}, TO_MOUSE(0xf3),
	TO_MOUSE(200),    TO_MOUSE(0xf3),   TO_MOUSE(200),    TO_MOUSE(0xf3),   TO_MOUSE(80),
	TO_MOUSE(0xf2),   {RD, 0x60, 0x04}, TO_MOUSE(0xff),   {RD, 0x60, 0xaa}, {RD, 0x60, 0x00},
	TO_MOUSE(0xf2),   {RD, 0x60, 0x00}, {RD, 0x64, 0x14},
};
static const struct step kbd_reset[] = {
	{EVENT, 0, NO_EVENT}, {WR, 0x64, 0xfe},          {EVENT, 0, MACHINE_RESET},
	{WR, 0x64, 0xff},     {EVENT, 0, NO_EVENT},      {WR, 0x64, 0xd1},
	{WR, 0x60, 0xde},     {EVENT, 0, MACHINE_RESET}, {RD, 0x92, 0x02},
	{WR, 0x92, 0x00},     {RD, 0x92, 0x00},          {EVENT, 0, NO_EVENT},
	{WR, 0x92, 0x03},     {EVENT, 0, MACHINE_RESET},
};

static const struct step acpi_power[] = {
	{RD, 0x604, 0x0001, 2},
	{RD, 0x600, 0x0000, 4},
	{POWER},
	{IRQ, 9, 0},
	{RD, 0x600, 0x0100, 2},
	{WR, 0x602, 0x0100, 2},
	{IRQ, 9, 1},
	{WR, 0x600, 0x0100, 2},
	{IRQ, 9, 0},
	{RD, 0x602, 0x0100, 2},
	{WR, 0x604, 0x0000, 2},
	{EVENT, 0, NO_EVENT},
	{WR, 0x604, 0x3400, 2},
	{EVENT, 0, NO_EVENT},
	{WR, 0x604, 0x2000, 2},
	{EVENT, 0, MACHINE_POWEROFF},
	{RD, 0x604, 0x0001, 2},
};
static const struct step acpi_timer[] = {
	{RD, 0x608, 0, 4},
	{ADV, 0, 1000000},
	{RD, 0x608, 3579545, 4},
	{WR, 0x608, 0, 4},
	{RD, 0x608, 3579545, 4},
	{RD, 0x600, 0, 2},
	{WR, 0x602, 1, 2},
	{ADV, 0, 1343484},
	{IRQ, 9, 0},
	{ADV, 0, 2},
	{IRQ, 9, 1},
	{RD, 0x600, 1, 2},
	{WR, 0x600, 1, 2},
	{IRQ, 9, 0},
	{WR, 0x622, 0x1234, 2},
	{RD, 0x622, 0x1234, 2},
	{RD, 0x620, 0, 2},
	{IRQ, 9, 0},
};

#define HPET(reg) (0xfed00000 + (reg))
static const struct step hpet_registers[] = {
	{RD, HPET(0), 0x8086a201}, /* 64 bits, three timers, legacy lines */
	{RD, HPET(4), 10000000},   /* femtoseconds: 100 MHz */
	{RD, HPET(0x100), 0x8030},
	{RD, HPET(0x104), 0x00f00000},
	{WR, HPET(0xf0), 1000},
	{ADV, 0, 10},
	{RD, HPET(0xf0), 1000}, /* it stands */
	{WR, HPET(0x10), 1},
	{ADV, 0, 10},
	{RD, HPET(0xf0), 2000},
	{WR, HPET(0xf0), 0}, /* not while it runs */
	{RD, HPET(0xf0), 2000},
	{WR, HPET(0x10), 0},
	{ADV, 0, 10},
	{RD, HPET(0xf0), 2000},
	{RESET},
	{RD, HPET(0xf0), 0},
};
static const struct step hpet_once[] = {
	{WR, HPET(0x100), 0x2804}, /* line 20, edges */
	{WR, HPET(0x108), 10000},
	{WR, HPET(0x10c), 0},
	{WR, HPET(0x10), 1},
	{ADV, 0, 99},
	{EDGES, 20, 0},
	{ADV, 0, 2},
	{EDGES, 20, 1},
	{ADV, 0, 1000000},
	{EDGES, 20, 0},
	{WR, HPET(0x100), 0x2904}, /* 32 bits: again after 42.9 s */
	{ADV, 0, 41900000},
	{EDGES, 20, 0},
	{ADV, 0, 200000},
	{EDGES, 20, 1},
};
static const struct step hpet_period[] = {
	{WR, HPET(0x100), 0x284c},
	{WR, HPET(0x108), 100000}, /* each millisecond */
	{WR, HPET(0x10), 1},
	{ADV, 0, 10001},
	{EDGES, 20, 10},
	{WR, HPET(0x100), 0x284c},
	{WR, HPET(0x108), 1}, /* each tick: interrupts stay 20 us apart */
	{ADV, 0, 1000},
	{EDGES, 20, 50},
};
static const struct step hpet_level[] = {
	{WR, HPET(0x100), 0x2806},
	{WR, HPET(0x108), 10000},
	{WR, HPET(0x10c), 0},
	{WR, HPET(0x10), 1},
	{ADV, 0, 101},
	{IRQ, 20, 1},
	{RD, HPET(0x20), 1},
	{WR, HPET(0x20), 1},
	{IRQ, 20, 0},
};
static const struct step hpet_message[] = {
	{WR, HPET(0x130), 0x4e},
	{WR, HPET(0x134), 0xfee00000},
	{WR, HPET(0x120), 0x4004},
	{WR, HPET(0x128), 5000},
	{WR, HPET(0x12c), 0},
	{WR, HPET(0x10), 1},
	{ADV, 0, 51},
	{MSI, 1, 0x4e},
};
/* The lines of PIT and RTC are the timer's while it wants them. */
static const struct step hpet_legacy[] = {
	{WR, 0x43, 0x36},        {WR, 0x40, 0xa9},
	{WR, 0x40, 0x04}, /* the PIT: each millisecond */
	{ADV, 0, 1001},          {EDGES, 0, 1},
	{WR, HPET(0x100), 0x4c}, {WR, HPET(0x108), 1000000}, /* 10 ms */
	{WR, HPET(0x10), 3},     {ADV, 0, 10001},
	{EDGES, 0, 1},           {WR, HPET(0x10), 1},
	{ADV, 0, 10000},         {EDGES, 0, 10},
};
static const struct step debug_ports[] = {
	{WR, 0xf4, 0x10},    {EVENT, 33, MACHINE_EXIT},
	{WR, 0xf4, 0xff, 4}, {EVENT, 255, MACHINE_EXIT},
	{WR, 0xf4, 0, 2},    {EVENT, 1, MACHINE_EXIT},
	{RD, 0xf4, 0, 4},    {RD, 0x402, 0xe9},
	{WR, 0x402, 'q'},    {OUT, 0, 'q'},
};

/* clang-format on */

static const struct script scripts[] = {
	SCRIPT(pic_mask),       SCRIPT(pic_priority),     SCRIPT(pic_slave),
	SCRIPT(pic_spurious),   SCRIPT(pic_edge),         SCRIPT(pic_level),
	SCRIPT(pic_modes),      SCRIPT(ioapic_registers), SCRIPT(ioapic_edge),
	SCRIPT(ioapic_level),   SCRIPT(pit_square),       SCRIPT(pit_rate),
	SCRIPT(pit_terminal),   SCRIPT(pit_storm),        SCRIPT(pit_speaker),
	SCRIPT(pit_bcd),        SCRIPT(rtc_time),         SCRIPT(rtc_set),
	SCRIPT(rtc_update_irq), SCRIPT(rtc_periodic),     SCRIPT(rtc_alarm),
	SCRIPT(rtc_memory),     SCRIPT(uart_registers),   SCRIPT(uart_transmit),
	SCRIPT(uart_receive),   SCRIPT(uart_fifo),        SCRIPT(uart_loop),
	SCRIPT(kbd_controller), SCRIPT(kbd_keyboard),     SCRIPT(kbd_mouse),
	SCRIPT(kbd_keys),       SCRIPT(kbd_sets),         SCRIPT(kbd_full),
	SCRIPT(mouse_moves),    SCRIPT(mouse_wheel),      SCRIPT(kbd_reset),
	SCRIPT(acpi_power),     SCRIPT(acpi_timer),       SCRIPT(hpet_registers),
	SCRIPT(hpet_once),      SCRIPT(hpet_period),      SCRIPT(hpet_level),
	SCRIPT(hpet_message),   SCRIPT(hpet_legacy),      SCRIPT(debug_ports),
};

#define NSCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

static void run_straight(void **state)
{
	assert_true(board_run(*state, false));
}

static void run_reloaded(void **state)
{
	assert_true(board_run(*state, true));
}

int main(void)
{
	struct CMUnitTest tests[2 * NSCRIPTS];

	for (size_t i = 0; i < 2 * NSCRIPTS; i++)
		tests[i] = (struct CMUnitTest){.name = scripts[i / 2].name,
					       .test_func = i & 1 ? run_reloaded : run_straight,
					       .initial_state = (void *)&scripts[i / 2]};
	return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
