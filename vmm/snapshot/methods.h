/* SPDX-License-Identifier: Apache-2.0 */
/* The control methods that save a machine: "save" and "snapshot". */
#ifndef VMM_SNAPSHOT_METHODS_H
#define VMM_SNAPSHOT_METHODS_H

#include "vmm/control/control.h"
#include "vmm/machine.h"

extern const struct control_method snapshot_methods[];

/* "saving", "snapshot", "merging"; NULL: nothing. */
const char *machine_doing(const struct machine *m);

/* Ends what a method has begun, because the machine goes. NULL is allowed. */
void save_cancel(struct save *s);

#endif
