/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on stderr. Each line is written at once, so that lines of several threads don't mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void log_line(const char *level, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	fprintf(stderr, "baton: %s%s\n", level, text);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line("", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line("warning: ", fmt, ap);
	va_end(ap);
}

void log_guest_error(unsigned long *count, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_fetch_add(count, 1, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	log_line("guest error: ", fmt, ap);
	va_end(ap);
}
