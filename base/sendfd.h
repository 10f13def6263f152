/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes over a Unix stream socket, with at most one open descriptor beside them (unix(7)). */
#ifndef BASE_SENDFD_H
#define BASE_SENDFD_H

#include <sys/types.h>

/* send() with MSG_NOSIGNAL; `fd` goes along unless it is -1. A kernel without descriptors over
 * sockets sends the bytes alone. */
ssize_t sendfd(int sock, const void *data, size_t len, int fd);

/* recv() with MSG_DONTWAIT; *fd is the descriptor that came along (close-on-exec), or -1. */
ssize_t recvfd(int sock, void *data, size_t len, int *fd);

#endif
