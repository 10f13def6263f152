// SPDX-License-Identifier: Apache-2.0
/*
 * A debugger of few words, where gdb does not run: sends packets of gdb's remote serial protocol to
 * a socket and prints the answers, a line each.
 *
 *     rsp SOCKET PACKET...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *stub;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	while (connect(fd, (struct sockaddr *)&a, sizeof(a))) /* it may not be there yet */
		usleep(100000);
	stub = fdopen(fd, "r+");
	if (!stub)
		fail(path);
	setbuf(stub, NULL);
}

static void send_packet(const char *text)
{
	unsigned char sum = 0;

	for (const char *p = text; *p; p++)
		sum += (unsigned char)*p;
	if (fprintf(stub, "$%s#%02x", text, sum) < 0)
		fail("send");
}

static void print_answer(void)
{
	int c;

	while ((c = getc(stub)) != '$') /* acknowledgements */
		if (c == EOF)
			fail("receive");
	while ((c = getc(stub)) != '#' && c != EOF)
		putchar(c);
	getc(stub);
	getc(stub);
	putc('+', stub);
	putchar('\n');
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	connect_to(argv[1]);
	for (int i = 2; i < argc; i++) {
		send_packet(argv[i]);
		print_answer();
	}
	return 0;
}
