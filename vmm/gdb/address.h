/* SPDX-License-Identifier: Apache-2.0 */
/* Where the debugger's stub listens: "PORT[,wait][,i386]" or "unix:PATH[,wait][,i386]". */
#ifndef VMM_GDB_ADDRESS_H
#define VMM_GDB_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct gdb_address {
	char path[108]; /* of a Unix socket; "": `port` of 127.0.0.1 */
	uint16_t port;
	bool wait; /* the vCPUs stand until a debugger lets them go */
	bool i386; /* the target is described as a 32-bit processor */
};

#define GDB_ADDRESS_TEXT 128

int gdb_address_parse(struct gdb_address *a, const char *text, struct err *e);
/* The same text again. */
void gdb_address_print(const struct gdb_address *a, char out[GDB_ADDRESS_TEXT]);

#endif
