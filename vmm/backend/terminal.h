/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal's settings, which belong to the whole process: the one piece of state that is not
 * per instance, because exit and signal handlers must find it. Raw mode is undone by
 * terminal_restore(), at exit(), and by signals that would end the process and that nobody else
 * handles.
 */
#ifndef VMM_BACKEND_TERMINAL_H
#define VMM_BACKEND_TERMINAL_H

#include "base/err.h"

/* Puts the terminal `fd` into raw mode. -EBUSY when one is already. */
int terminal_raw(int fd, struct err *e);
/* Async-signal-safe: for crash handlers of others, too. Does nothing when nothing was changed. */
void terminal_restore(void);

#endif
