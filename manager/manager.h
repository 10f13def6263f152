/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMs of one user: which exist, under which names, and how to speak to them. There is no
 * daemon: each running VM has a folder, and a lock in it that its process holds for as long as it
 * lives.
 *
 *   STATE/vms/NAME/spec.json    the description it was started with
 *   STATE/vms/NAME/lock         held (flock) by the VM's process; contains its process id
 *   RUNTIME/NAME.sock           its control socket
 *
 * STATE is $XDG_STATE_HOME/baton, else ~/.local/state/baton; for root /var/lib/baton. RUNTIME is
 * $XDG_RUNTIME_DIR/baton, else STATE/run; for root /run/baton. A root who sets XDG_STATE_HOME is
 * treated like a user. A folder whose lock nobody holds is left over from a VM that has ended;
 * whoever comes across it removes it.
 */
#ifndef MANAGER_MANAGER_H
#define MANAGER_MANAGER_H

#include <sys/types.h>

#include "base/err.h"
#include "vmm/spec.h"

struct manager;

int manager_open(struct manager **out, struct err *e);
void manager_close(struct manager *m);

/* ---- starting ------------------------------------------------------------------------------- */

/*
 * Takes a name and a folder for the VM that this process is about to become. Sets s->name
 * if there is none ("vm-1", "vm-2", ...) and s->control. *lock_fd stays open across exec().
 */
int manager_register(struct manager *m, struct spec *s, int *lock_fd, struct err *e);
/* Writes the description into the VM's folder; `path` receives its malloc'd name. */
int manager_save_spec(struct manager *m, const struct spec *s, char **path, struct err *e);
/* Undoes manager_register() when the start fails. */
void manager_unregister(struct manager *m, const struct spec *s, int lock_fd);

/* Path of baton-vmm: beside this program or in its libexec folder. malloc'd. */
int manager_find_vmm(char **path, struct err *e);

/*
 * Starts passt for one network; *fd is the connected stream socket, kept across exec(). It ends by
 * itself when the VM's end is closed.
 */
int manager_start_passt(const struct spec_net *n, int *fd, struct err *e);

/* ---- running VMs ---------------------------------------------------------------------------- */

struct vm_info {
	char name[64];
	pid_t pid;
	char control[108]; /* path of the socket */
	char spec[512];    /* path of the description */
};

typedef int vm_fn(void *opaque, const struct vm_info *vm, struct err *e);

/* Calls `fn` for each running VM, by name; stops at its first error. */
int manager_each(struct manager *m, vm_fn *fn, void *opaque, struct err *e);
/* -ENOENT and a sentence if no VM of that name runs. */
int manager_find(struct manager *m, const char *name, struct vm_info *out, struct err *e);
/* True while the VM's process lives. */
bool manager_alive(struct manager *m, const char *name);
/* Reads the description a VM was started with; spec_init() first. */
int manager_load_spec(const struct vm_info *vm, struct spec *s, struct err *e);

#endif
