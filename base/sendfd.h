/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes over a Unix stream socket, with a few open descriptors beside them (unix(7)). */
#ifndef BASE_SENDFD_H
#define BASE_SENDFD_H

#include <sys/types.h>

#define SENDFD_MAX 32 /* at once */

/* send() with MSG_NOSIGNAL; `n` descriptors, at most SENDFD_MAX, go along. */
ssize_t sendfd(int sock, const void *data, size_t len, const int *fds, unsigned n);

/* recv() with MSG_DONTWAIT; fds[0 .. *n) are the descriptors that came along (close-on-exec). */
ssize_t recvfd(int sock, void *data, size_t len, int fds[SENDFD_MAX], unsigned *n);

#endif
