/* SPDX-License-Identifier: Apache-2.0 */
/* Whether Baton's own kernel is below, on a bare machine, or Linux. */
#ifndef BASE_METAL_H
#define BASE_METAL_H

#include <stdbool.h>

bool on_bare_metal(void);

#endif
