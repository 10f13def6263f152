/* SPDX-License-Identifier: Apache-2.0 */
/* How much of its memory the guest has: what the control socket may ask of the balloon. */
#ifndef VMM_MACHINEBALLOON_H
#define VMM_MACHINEBALLOON_H

#include "vmm/control/control.h"

extern const struct control_method machine_balloon_methods[];

#endif
