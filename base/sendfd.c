/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sendfd.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Room for one descriptor, aligned as the kernel's header wants it. */
union ancillary {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

ssize_t sendfd(int sock, const void *data, size_t len, int fd)
{
	union ancillary a = {.header = {CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &a, .msg_controllen = sizeof(a)};
	ssize_t n = -1;

	errno = ENOSYS;
	memcpy(CMSG_DATA(&a.header), &fd, sizeof(fd));
	if (fd >= 0)
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	return n < 0 && errno == ENOSYS ? send(sock, data, len, MSG_NOSIGNAL) : n;
}

/* The kernel closes what does not fit: see recvfd(). */
static int take_fd(struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

ssize_t recvfd(int sock, void *data, size_t len, int *fd)
{
	union ancillary a = {0};
	struct iovec iov = {data, len};
	/* Without the space behind, where a second one would fit. */
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &a,
			   .msg_controllen = CMSG_LEN(sizeof(*fd))};
	ssize_t n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n < 0 && errno == ENOSYS)
		return recv(sock, data, len, MSG_DONTWAIT);
	if (n >= 0)
		*fd = take_fd(&m);
	return n;
}
