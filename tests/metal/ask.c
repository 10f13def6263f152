// SPDX-License-Identifier: Apache-2.0
/* "ask SOCKET REQUEST": one line to a VM's control socket, without files beside it; its answer. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char answer[4096];
	ssize_t n;

	if (argc != 3 || strlen(argv[1]) >= sizeof(a.sun_path))
		return 2;
	strcpy(a.sun_path, argv[1]);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) || dprintf(fd, "%s\n", argv[2]) < 0) {
		perror(argv[1]);
		return 1;
	}
	n = read(fd, answer, sizeof(answer));
	return n > 0 && write(STDOUT_FILENO, answer, (size_t)n) == n ? 0 : 1;
}
