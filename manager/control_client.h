/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to a running VM's control socket (vmm/control.h describes what it understands). */
#ifndef MANAGER_CONTROL_CLIENT_H
#define MANAGER_CONTROL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sendfd.h"

/*
 * One call. `params` is an object of named parameters, taken over (NULL: none); `result` (may be
 * NULL) receives the answer, which the caller frees with json_decref(). A method's error comes as
 * its own errno and sentence. Gives up after ten seconds of silence.
 */
int control_call(const char *socket_path, const char *method, json_t *params, json_t **result,
		 struct err *e);

/* The same with an open descriptor sent along, which stays the caller's. */
int control_call_fd(const char *socket_path, const char *method, json_t *params, int fd,
		    json_t **result, struct err *e);

/* A question that is answered at once: gives up after a second, for lists of many VMs. */
int control_ask(const char *socket_path, const char *method, json_t **result, struct err *e);

/* How far a long call is: `done` of `total` units of `what`, as the method counts them. */
typedef void control_progress_fn(void *opaque, const char *what, uint64_t done, uint64_t total);

/* Open files that go along, so that the VM's process need not open them (vmm/sandbox/sandbox.h). */
struct control_files {
	int fd[SENDFD_MAX];
	unsigned n;
};

/*
 * Opens one for reading and writing; `direct`: a second time, past the page cache. A block device
 * is also claimed (O_EXCL, for reading) if nobody has done so.
 */
int control_files_add(struct control_files *f, const char *path, bool direct, struct err *e);
void control_files_close(struct control_files *f);

/* A call that may take long, with files and a function that hears of the progress; both may be
 * NULL. */
int control_call_long(const char *socket_path, const char *method, json_t *params,
		      const struct control_files *files, json_t **result,
		      control_progress_fn *progress, void *opaque, struct err *e);

#endif
