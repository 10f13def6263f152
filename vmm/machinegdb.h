/* SPDX-License-Identifier: Apache-2.0 */
/* The machine under a debugger: what the stub (vmm/gdb/) is given to work on. */
#ifndef VMM_MACHINEGDB_H
#define VMM_MACHINEGDB_H

#include "vmm/control/control.h"
#include "vmm/gdb/address.h"
#include "vmm/machine.h"

/*
 * Opens the stub; with `wait` the vCPUs do not start. `listener`: gdb_listen()'s, taken over; -1:
 * the stub makes it itself. Main thread, lock held or not needed yet.
 */
int machine_gdb_open(struct machine *m, const struct gdb_address *a, int listener, struct err *e);
void machine_gdb_close(struct machine *m, int status);

/* On a vCPU's thread, lock held: it has left guest code with RUN_DEBUG. */
void machine_gdb_stop(struct vcpu *c);
/* The same after a triple fault; false: no debugger wants to see it, or it has. */
bool machine_gdb_crash(struct vcpu *c);

/* The control method that opens the stub of a running VM, or tells where it is open. */
extern const struct control_method machine_gdb_methods[];

#endif
