/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as people type them. */
#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int suffix_shift(const char *s)
{
	static const char units[] = "BKMGT";
	const char *u = *s ? strchr(units, toupper((unsigned char)*s)) : NULL;

	if (!u)
		return -1;
	if (s[1] && strcasecmp(s + 1, "b") && strcasecmp(s + 1, "ib"))
		return -1;
	if (u == units && s[1])
		return -1;
	return (int)(u - units) * 10;
}

int num_parse_size(const char *text, uint64_t bare, uint64_t *out, struct err *e)
{
	unsigned long long n;
	uint64_t unit = bare;
	char *end;
	int shift;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text))
		return err_set(e, -EINVAL, "\"%s\" is not a size; write for example 512M or 2G",
			       text);
	if (*end) {
		shift = suffix_shift(end);
		if (shift < 0)
			return err_set(e, -EINVAL,
				       "\"%s\" is not a size; write for example 512M or 2G", text);
		unit = 1ull << shift;
	}
	if (errno || __builtin_mul_overflow(n, unit, out) || *out >> 63)
		return err_set(e, -ERANGE, "\"%s\" is too large", text);
	return 0;
}
