/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub's socket: one debugger at a time. Its arrival stops the target, its going (or loss) lets
 * the target run without breakpoints. On the main loop, machine lock held.
 */
#ifndef VMM_GDB_SERVER_H
#define VMM_GDB_SERVER_H

#include "vmm/gdb/address.h"
#include "vmm/gdb/session.h"
#include "vmm/loop.h"

struct gdb_server;

/*
 * `listener` is gdb_listen()'s of `a`, whose socket file is removed at the end; taken over, unless
 * this fails. `target` is copied.
 */
int gdb_server_open(struct gdb_server **out, const struct gdb_address *a, int listener,
		    const struct gdb_target *target, struct loop *loop, struct err *e);
/* Tells a debugger the exit status. */
void gdb_server_close(struct gdb_server *g, int status);

bool gdb_server_has_client(const struct gdb_server *g);
/* A vCPU has stopped and all stand. false: there is no debugger. */
bool gdb_server_stopped(struct gdb_server *g, unsigned cpu, const struct engine_stop *stop);

#endif
