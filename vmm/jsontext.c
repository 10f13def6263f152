/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/jsontext.h"

#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *text)
{
	json_t *o = json_string(text);
	char *ascii = o ? NULL : strdup(text);

	for (char *p = ascii; p && *p; p++)
		if (*p & 0x80)
			*p = '?';
	if (ascii)
		o = json_string(ascii);
	free(ascii);
	return o;
}
