/* SPDX-License-Identifier: Apache-2.0 */
/* Listening on Unix sockets. */
#ifndef VMM_BACKEND_UNIXSOCKET_H
#define VMM_BACKEND_UNIXSOCKET_H

#include "base/err.h"

/*
 * A stream socket at `path`, mode 0600, not blocking. A socket file that nobody listens on any more
 * is replaced; anything else that is there is an error.
 */
int unix_listen(const char *path, int backlog, int *fd, struct err *e);

#endif
