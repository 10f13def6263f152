/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sendfd.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Aligned as the kernel's header wants it. */
union ancillary {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(SENDFD_MAX * sizeof(int))];
};

ssize_t sendfd(int sock, const void *data, size_t len, const int *fds, unsigned n)
{
	union ancillary a = {.header = {CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	const struct msghdr m = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &a,
				 .msg_controllen = CMSG_SPACE(n * sizeof(int))};

	if (!n)
		return send(sock, data, len, MSG_NOSIGNAL);
	memcpy(CMSG_DATA(&a.header), fds, n * sizeof(int));
	return sendmsg(sock, &m, MSG_NOSIGNAL);
}

static unsigned take_fds(struct msghdr *m, int fds[SENDFD_MAX])
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	size_t len;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len < CMSG_LEN(0))
		return 0;
	len = c->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(c), len);
	return (unsigned)(len / sizeof(int));
}

ssize_t recvfd(int sock, void *data, size_t len, int fds[SENDFD_MAX], unsigned *n)
{
	union ancillary a = {0};
	struct iovec iov = {data, len};
	/* The kernel closes what does not fit. */
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &a,
			   .msg_controllen = CMSG_LEN(SENDFD_MAX * sizeof(int))};
	ssize_t got = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*n = 0;
	if (got >= 0)
		*n = take_fds(&m, fds);
	return got;
}
