/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to a running VM's control socket (vmm/control.h describes what it understands). */
#ifndef MANAGER_CONTROL_CLIENT_H
#define MANAGER_CONTROL_CLIENT_H

#include <jansson.h>

#include "base/err.h"

/*
 * One call; `result` (may be NULL) receives the answer, which the caller frees with json_decref().
 * Gives up after ten seconds.
 */
int control_call(const char *socket_path, const char *method, json_t **result, struct err *e);

#endif
