/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's messages on the bare machine, by syslog(2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>

#include "cli/manage/manage.h"

/* syslog(2) */
enum {
	READ_ALL = 3,
	CONSOLE_OFF = 6,
};

#define LOG_SIZE 65536

void kernel_log_quiet(void)
{
	klogctl(CONSOLE_OFF, NULL, 0);
}

/* "<6>" in front of a line is its level. */
static void drop_levels(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (*p == '<' && (p == text || p[-1] == '\n') && strchr(p, '>'))
			p = strchr(p, '>');
		else
			*to++ = *p;
	}
	*to = 0;
}

void kernel_log_show(struct manage *m)
{
	char *text = malloc(LOG_SIZE + 1);
	int n = text ? klogctl(READ_ALL, text, LOG_SIZE) : -1;

	if (n < 0) {
		snprintf(m->message, sizeof(m->message), "The kernel does not show its messages.");
	} else {
		text[n] = 0;
		drop_levels(text);
		pager_show("Messages of the kernel", text);
	}
	free(text);
}

void kernel_log_refresh(struct manage *m)
{
	char text[sizeof(m->kernel)], *last;
	int n = klogctl(READ_ALL, text, sizeof(text) - 1);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	text[n] = 0;
	last = strrchr(text, '\n');
	last = last ? last + 1 : text;
	drop_levels(last);
	if (m->kernel[0] && strcmp(m->kernel, last))
		snprintf(m->message, sizeof(m->message), "kernel: %s", last);
	snprintf(m->kernel, sizeof(m->kernel), "%s", last);
}
