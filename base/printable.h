/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts from files, guests and other processes on their way to a terminal, where control characters
 * (ECMA-48: C0, DEL and C1) would move the cursor, change the title, or answer in the user's name.
 */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

/* Puts a question mark in place of each byte of a control character; `text` is UTF-8, perhaps cut.
 */
void make_printable(char *text);

#endif
