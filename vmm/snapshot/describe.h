/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine is, as far as its guest can tell: the text at the head of a saved state.
 *
 *   { "machine": {...}, "about": {...} }
 *
 * "machine" must be the same where the state is loaded; "about" tells people where it is from.
 */
#ifndef VMM_SNAPSHOT_DESCRIBE_H
#define VMM_SNAPSHOT_DESCRIBE_H

#include <jansson.h>

#include "vmm/machine.h"

/* NULL when memory is short. */
json_t *machine_describe(const struct machine *m);

/* -EINVAL and a sentence that names the first difference between the "machine" parts. */
int description_match(const json_t *saved, const json_t *here, struct err *e);

#endif
