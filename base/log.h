/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a running program for the person who started it: one line on stderr each.
 * A guest can provoke warnings without end, so guest-caused ones go through log_once().
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A guest's misdeed: counts it in `*count` (shown by statistics) and prints the sentence the first
 * time only. `count` belongs to the device instance, so two devices each get their line.
 */
void log_guest_error(unsigned long *count, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
