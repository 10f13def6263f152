/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into the state of a machine: one that runs, was saved, is in a snapshot, or in a file. */
#ifndef MANAGER_INSPECT_H
#define MANAGER_INSPECT_H

#include <jansson.h>

#include "manager/snapshot.h"

/*
 * `what` is a file, if it has a "/" in it or no VM has this name, else a VM that runs or was saved;
 * with `snapshot` (NULL: none) that snapshot of it. The JSON is that of inspect_state(). A VM that
 * runs stands still for some milliseconds.
 */
int inspect(struct manager *m, const char *what, const char *snapshot, json_t **out, struct err *e);

#endif
