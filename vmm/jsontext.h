/* SPDX-License-Identifier: Apache-2.0 */
/* Names of files in JSON: they need not be UTF-8, which JSON's strings must be. */
#ifndef VMM_JSONTEXT_H
#define VMM_JSONTEXT_H

#include <jansson.h>

/* `text` as it is or, if it is not UTF-8, with ? for what is not ASCII. NULL: out of memory. */
json_t *json_text(const char *text);

#endif
