/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What baton-vmm gives up once it has opened what it needs, so that a guest that takes the process
 * over finds little to do with it:
 *
 *   files.c  Landlock (landlock(7)): files are opened in the VM's own folder only. Disks, kernels
 *            and firmware are open; discs, pictures, overlays and what else is wanted later come as
 *            open descriptors (control_take_fd()).
 *   calls.c  seccomp (seccomp(2)): the system calls of a running VM and no others. No program is
 *            started, no connection made, no new io_uring, by which both could be got round.
 *
 * Both come with no_new_privs and hold for every thread and process that is made later.
 */
#ifndef VMM_SANDBOX_SANDBOX_H
#define VMM_SANDBOX_SANDBOX_H

#include "base/err.h"
#include "vmm/spec.h"

/*
 * On the main thread, before there are others. The folder of the file `description` ("-": none) is
 * the VM's own. By spec.sandbox: "off" nothing; "on" everything, or
 * an error; else what this host's kernel has, and one line of the log says what it lacks.
 */
int sandbox_enter(const struct spec *s, const char *description, struct err *e);

/* The parts. -ENOSYS or -EOPNOTSUPP: this kernel has no such thing, or is told not to. */
int sandbox_files(const struct spec *s, const char *description, struct err *e);
int sandbox_calls(struct err *e);

#endif
