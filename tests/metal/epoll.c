// SPDX-License-Identifier: Apache-2.0
/* A thread sleeps in epoll_wait() while another changes the set: prints what was not as on Linux.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ROUNDS 200

static int set;
static int told[2]; /* a pipe: which number came */

static void *sleeper(void *opaque)
{
	struct epoll_event ev;
	uint64_t count;

	(void)opaque;
	while (epoll_wait(set, &ev, 1, -1) == 1) {
		if (read(ev.data.fd, &count, sizeof(count)) != sizeof(count) ||
		    write(told[1], &ev.data.fd, sizeof(int)) != sizeof(int))
			exit(2);
	}
	return NULL;
}

/* The set's sleeper must hear of a file that it was not asleep on, also when that is written later.
 */
static void add_then_signal(unsigned delay)
{
	int fd = eventfd(0, EFD_NONBLOCK), got = -1;
	struct epoll_event ev = {EPOLLIN, {.fd = fd}};
	uint64_t one = 1;

	if (fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev))
		exit(3);
	usleep(delay);
	if (write(fd, &one, sizeof(one)) != sizeof(one) ||
	    read(told[0], &got, sizeof(got)) != sizeof(got) || got != fd)
		exit(4);
	if (epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL))
		exit(5);
	close(fd);
}

int main(void)
{
	pthread_t thread;

	set = epoll_create1(0);
	if (set < 0 || pipe(told) || pthread_create(&thread, NULL, sleeper, NULL))
		return 1;
	for (unsigned i = 0; i < ROUNDS; i++)
		add_then_signal(i % 4 * 500);
	puts("all heard");
	return 0;
}
