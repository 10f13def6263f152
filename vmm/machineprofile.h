/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of the guest: a timer of the main loop asks each running vCPU where it is. */
#ifndef VMM_MACHINEPROFILE_H
#define VMM_MACHINEPROFILE_H

#include "vmm/control/control.h"
#include "vmm/machine.h"

extern const struct control_method machine_profile_methods[];

/* Ends one that is being taken; its caller is told. */
void machine_profile_cancel(struct machine *m);

#endif
