/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a command is making: Ctrl-C and a request to end (SIGINT, SIGTERM, SIGHUP) remove it
 * before they end the process. There are one set of handlers and one such file in a process; who
 * has the signals blocked or ignored, keeps them so.
 */
#ifndef BASE_UNFINISHED_H
#define BASE_UNFINISHED_H

/* `path` stays the caller's and valid until unfinished_end(). */
void unfinished_begin(const char *path);
void unfinished_end(void);

#endif
