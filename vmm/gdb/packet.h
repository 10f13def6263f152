/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of gdb's remote protocol ("Debugging with GDB", appendix E): $DATA#CHECKSUM, answered by
 * + or -, and single bytes outside packets.
 */
#ifndef VMM_GDB_PACKET_H
#define VMM_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GDB_PACKET_SIZE 16384 /* of DATA, in both directions */

enum gdb_event {
	GDB_NOTHING,   /* more bytes are needed */
	GDB_PACKET,    /* a whole one, its checksum right: `data`, `len`, and a 0 behind it */
	GDB_BAD,       /* a wrong checksum, or one too long */
	GDB_ACK,       /* + */
	GDB_NACK,      /* - */
	GDB_INTERRUPT, /* Ctrl-C, 03h */
};

struct gdb_reader {
	enum {
		OUTSIDE,
		INSIDE,
		ESCAPED,
		CHECK_HIGH,
		CHECK_LOW
	} state;
	bool too_long;
	uint8_t sum, check;
	size_t len;
	char data[GDB_PACKET_SIZE + 1];
};

enum gdb_event gdb_read_byte(struct gdb_reader *r, uint8_t byte);

/* Frames `data` into `out`, which has room for GDB_FRAME_SIZE(len) bytes; returns the length. */
#define GDB_FRAME_SIZE(len) (2 * (len) + 4)
size_t gdb_frame(const char *data, size_t len, char *out);

/* -1 for what is no hexadecimal digit. */
int gdb_hex_digit(char c);
/* Two digits a byte, low digits of each byte last; no 0 at the end. */
char *gdb_hex_encode(char *out, const void *bytes, size_t len);
/* false: not 2 * len digits. */
bool gdb_hex_decode(const char *text, size_t text_len, void *bytes, size_t len);
/* A hexadecimal number of 1 to 16 digits; moves *p behind it. */
bool gdb_hex_number(const char **p, uint64_t *n);

#endif
