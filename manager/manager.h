/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMs of one user: which exist, under which names, what becomes of them. There is no daemon:
 * each VM has a folder, and a lock in it that its process holds for as long as it lives.
 *
 *   STATE/vms/NAME/vm.json      the definition (manager/definition.h); a VM without one is
 *                               transient: it is gone with its process
 *   STATE/vms/NAME/lock         held by the VM's process, or by a command that works on the VM;
 *                               contains process id and purpose
 *   STATE/vms/NAME/state.json   the record of the last run (vmm/record.h)
 *   STATE/vms/NAME/spec.json    the description the last run was started with
 *   STATE/vms/NAME/saved/state  what a saved VM goes on from; its next start removes it
 *   STATE/vms/NAME/log          what the VM's process said
 *   STATE/vms/NAME/diskN.FORMAT disks made by `baton create`
 *   STATE/disks/                images of no one VM (manager/pool.h)
 *   RUNTIME/NAME.sock           control socket while it runs
 *   RUNTIME/NAME.tty, NAME.vnc  its console and its screen, likewise
 *   STATE/networks/, RUNTIME/net/  virtual networks: manager/net/net.h
 *
 * STATE is $XDG_STATE_HOME/baton, else ~/.local/state/baton; for root /var/lib/baton. RUNTIME is
 * $XDG_RUNTIME_DIR/baton, else STATE/run; for root /run/baton. A root who sets XDG_STATE_HOME is
 * treated like a user.
 *
 * This header and manager/vm.h are what clients use: the command line, and those to come. Several
 * processes may use them at once. Names come from anywhere: each function checks them.
 */
#ifndef MANAGER_MANAGER_H
#define MANAGER_MANAGER_H

#include <sys/types.h>

#include "base/err.h"
#include "vmm/spec.h"

struct manager;

int manager_open(struct manager **out, struct err *e);
void manager_close(struct manager *m);

/* ---- transient VMs: this process becomes one ------------------------------------------------ */

/*
 * Takes a name and a folder for the VM that this process is about to become. Sets s->name
 * if there is none ("vm-1", "vm-2", ...) and s->control. *lock_fd stays open across exec().
 */
int manager_register(struct manager *m, struct spec *s, int *lock_fd, struct err *e);
/* Writes the description into the VM's folder; `path` receives its malloc'd name. */
int manager_save_spec(struct manager *m, const struct spec *s, char **path, struct err *e);
/* Undoes manager_register() when the start fails. */
void manager_unregister(struct manager *m, const struct spec *s, int lock_fd);

/* ---- what a start needs --------------------------------------------------------------------- */

/* Path of baton-vmm: beside this program or in its libexec folder. malloc'd. */
int manager_find_vmm(char **path, struct err *e);
/* A file that is missing or may not be opened is found here, before anything is started. */
int manager_check_files(const struct spec *s, struct err *e);
/* Starts the programs behind the VM's networks; each net's fd is kept across exec(). */
int manager_start_nets(struct manager *m, struct spec *s, struct err *e);
void manager_close_nets(struct spec *s);
/* Puts this process, which is about to become the VM, under the VM's shares and cap of CPU time. */
int manager_limit_cpu(const struct spec *s, struct err *e);
/* And under a limit of memory, on a bare machine. */
int manager_limit_memory(const struct spec *s, struct err *e);

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
/* -ENOENT and a sentence if there is no such VM or it does not run. */
int manager_find(struct manager *m, const char *name, struct vm_info *out, struct err *e);
/* True while the VM's process lives. */
bool manager_alive(struct manager *m, const char *name);
/* Reads the description a VM was started with; spec_init() first. */
int manager_load_spec(const struct vm_info *vm, struct spec *s, struct err *e);

#endif
