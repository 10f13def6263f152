/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs that are kept: defined, looked at, started, changed, removed. Where a name is asked for, the
 * UUID of a defined VM does too. All changes are atomic: a command that is killed leaves the old
 * state or the new one, and what it was building is removed by the next command.
 */
#ifndef MANAGER_VM_H
#define MANAGER_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "manager/control_client.h"
#include "manager/definition.h"
#include "manager/manager.h"

/* ---- looking -------------------------------------------------------------------------------- */

enum vm_state {
	VM_SHUT_OFF,
	VM_RUNNING,
	VM_PAUSED,
	VM_SAVED,   /* its RAM is on the disk; a start goes on from there */
	VM_CRASHED, /* its process was killed, or the guest died; can be started again */
};

/* As people and scripts see it: "shut off", "running", "paused", "saved", "crashed". */
const char *vm_state_name(enum vm_state s);

struct vm_status {
	char name[64], uuid[37]; /* uuid "" for a transient VM without one */
	enum vm_state state;
	char reason[64];  /* "booted", "user", "shutdown", "destroyed", "killed" ...; "" unknown */
	char busy[24];    /* what a command does on a VM that does not run: "clone"; else "" */
	int64_t since;    /* seconds since 1970; 0: never ran */
	unsigned long id; /* of the run, while it runs: small and unique; else 0 */
	pid_t pid;        /* while it runs, else 0 */
	int exit_status;  /* of the last run; -1: none, or it was killed */
	bool persistent;  /* has a definition */
	bool autostart;
	char title[128];
	unsigned cpus;
	uint64_t memory;   /* bytes */
	char problem[400]; /* why the definition cannot be read; else "" */
};

/* -ENOENT when there is no VM of that name or UUID. */
int vm_look(struct manager *m, const char *name, struct vm_status *out, struct err *e);
/* All VMs by name; malloc'd. A VM whose definition is damaged is listed with `problem`. */
int vm_list(struct manager *m, struct vm_status **out, size_t *n, struct err *e);
/* The name behind a name or UUID. */
int vm_resolve(struct manager *m, const char *name_or_uuid, char name[64], struct err *e);
/* Path of a file in the VM's folder ("log", "vm.json"; "": the folder itself); 512 bytes. */
int vm_file(struct manager *m, const char *name, const char *file, char out[512], struct err *e);

/* ---- defining ------------------------------------------------------------------------------- */

/*
 * Makes a VM. A disk whose entry in `new_disks` is not 0 is made with that size in bytes in the
 * VM's folder (its path in `d` must be NULL and is set). Sets d->machine.uuid when it is NULL, and
 * makes Ethernet addresses of its own for nets that have the default ones. -EEXIST when the name is
 * taken.
 */
int vm_create(struct manager *m, const char *name, struct definition *d,
	      const uint64_t new_disks[SPEC_MAX_DISKS], struct err *e);
/* Reads the definition, with absolute paths; definition_init() first. */
int vm_load(struct manager *m, const char *name, struct definition *d, struct err *e);
/*
 * Removes a VM that does not run. The disks in its folder are removed with it, or moved to
 * STATE/disks: `kept` (may be NULL) is called with each path they have then.
 */
int vm_delete(struct manager *m, const char *name, bool disks,
	      void (*kept)(void *opaque, const char *path), void *opaque, struct err *e);

/*
 * A change of a definition: vm_begin() reads it and keeps other commands away until vm_commit() has
 * saved it or vm_abort() gave it up. A VM that runs goes on as it was started. `resolved` receives
 * the name for vm_commit(), `new_disks` is as for vm_create(). Paths are absolute in between.
 * definition_init() first.
 */
int vm_begin(struct manager *m, const char *name, char resolved[64], struct definition *d,
	     struct err *e);
int vm_commit(struct manager *m, const char *name, struct definition *d,
	      const uint64_t new_disks[SPEC_MAX_DISKS], struct err *e);
void vm_abort(struct manager *m);

/*
 * The definition as text, for people to edit: malloc'd; damaged ones can be read and mended, too.
 * vm_replace_text() checks the new text and puts it in place if the file still says `old`: -EINVAL
 * with the path of what is wrong, -ESTALE when another command was faster.
 */
int vm_read_text(struct manager *m, const char *name, char resolved[64], char **text,
		 struct err *e);
int vm_replace_text(struct manager *m, const char *name, const char *old, const char *text,
		    struct err *e);

/*
 * Makes `new_name` like `name`, which must not run: copies of the disks that it may write to, in
 * the new folder; a UUID and Ethernet addresses of its own. What is saved and its snapshots stay
 * with the old one. `linked`: instead of being copied, the disks become the common base of overlays
 * for both; -ENOTSUP where that cannot be.
 */
int vm_clone(struct manager *m, const char *name, const char *new_name, bool linked,
	     control_progress_fn *progress, void *opaque, struct err *e);

/* A new name for a VM that does not run. */
int vm_rename(struct manager *m, const char *name, const char *new_name, struct err *e);

/*
 * Puts a disc into a CD-ROM drive, counted from 0, or takes it out (path NULL): of the machine if
 * it runs, and of the definition. `force`: even if the guest has locked the tray. *kept: the
 * definition has been given something else for that drive since the start, and keeps it.
 */
int vm_change_disc(struct manager *m, const char *name, unsigned drive, const char *path,
		   bool force, bool *kept, struct err *e);
/* The drives' discs: an array of paths, null for an empty drive. */
int vm_list_discs(struct manager *m, const char *name, json_t **out, struct err *e);
/*
 * Opens the debugger's stub of a running VM. `listen` is as for gdb_address_parse(), or NULL for a
 * socket beside the control socket. *where: malloc'd, where it listens; it may have been open
 * before, somewhere else.
 */
int vm_gdb(struct manager *m, const char *name, const char *listen, char **where, struct err *e);

/* ---- running -------------------------------------------------------------------------------- */

/*
 * Starts the VM's process in the background and returns when it answers. -EALREADY when it runs.
 * When the start fails the sentence is that of the VM's process.
 */
int vm_start(struct manager *m, const char *name, struct err *e);
/*
 * Writes the VM's memory and devices to its folder and ends it; vm_start() goes on from there.
 * When this fails the VM runs on.
 */
int vm_save(struct manager *m, const char *name, control_progress_fn *progress, void *opaque,
	    struct err *e);
/*
 * Would a state of the machine as it was started last go on with the definition as it is now?
 * -ESTALE names what was changed since.
 */
int vm_check_unchanged(struct manager *m, const char *name, struct err *e);
/* Forgets what was saved: the next start boots. -ENOENT when nothing is saved. */
int vm_discard_saved(struct manager *m, const char *name, struct err *e);
/* Presses the power button and waits; -ETIMEDOUT when the VM still runs then. */
int vm_stop(struct manager *m, const char *name, unsigned seconds, struct err *e);
/* Ends the VM without asking the guest, and its process when that does not answer. */
int vm_kill(struct manager *m, const char *name, struct err *e);
/* Processors and clock stand, go on; both do nothing when they do so already. */
int vm_pause(struct manager *m, const char *name, struct err *e);
int vm_resume(struct manager *m, const char *name, struct err *e);
/* Restarts the guest at once. */
int vm_reset(struct manager *m, const char *name, struct err *e);
/* Path of the console's socket of a running VM, which serves one client at a time. */
int vm_console(struct manager *m, const char *name, char out[108], struct err *e);
/* Keeps other clients that ask for it away until *fd is closed; -EBUSY when there is one. */
int vm_console_lock(struct manager *m, const char *name, int *fd, struct err *e);

#endif
