/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

/* Bytes of the control character that begins here; 0: it is none. */
static unsigned control_length(const unsigned char *c)
{
	if (*c < 0x20 || *c == 0x7f)
		return 1;
	return *c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0; /* U+0080 to U+009F */
}

void make_printable(char *text)
{
	while (*text) {
		unsigned n = control_length((const unsigned char *)text);

		for (unsigned i = 0; i < n; i++)
			text[i] = '?';
		text += n ? n : 1;
	}
}
