/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that a debugger connects to. */
#ifndef VMM_GDB_LISTENER_H
#define VMM_GDB_LISTENER_H

#include "vmm/gdb/address.h"

/*
 * *fd: listens at `a`, on 127.0.0.1 or as a Unix socket of mode 0600, and is the caller's. A socket
 * file that nobody listens on any more is replaced; whatever else has that name is left alone and
 * an error. Also for a process outside the VM's, which hands the descriptor over: the sandbox
 * (vmm/sandbox/sandbox.h) makes sockets in few places, and connects to none to see if it is stale.
 */
int gdb_listen(const struct gdb_address *a, int *fd, struct err *e);
/* Does it listen, as one that was handed over must? Others are ready, with nobody to accept. */
bool gdb_is_listener(int fd);

#endif
