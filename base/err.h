/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error convention of the project.
 *
 * A function that can fail for a reason a person must read returns 0 or a negative errno and takes
 * a `struct err *` as its last parameter. The sentence is written where the fact is known; callers
 * on the way up may put words in front of it. The object lives on the caller's stack, owns
 * nothing and needs no clean-up. `e` may be NULL where the caller does not want the sentence.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
	int code;       /* negative errno, 0 while nothing failed */
	char text[400]; /* one printable line, names the field and the remedy */
};

/* Sets the sentence and returns `code` (negative errno), so that `return err_set(...)` reads well.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the sentence that is there; returns e->code. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
