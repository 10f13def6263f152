/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's own view of its folders, shared by its files. */
#ifndef MANAGER_FOLDERS_H
#define MANAGER_FOLDERS_H

#include <stdbool.h>

#include "manager/manager.h"

#define PATH_SIZE   512
#define SOCKET_SIZE 108 /* of sockaddr_un.sun_path */

struct manager {
	char *state, *vms, *runtime; /* folders */
	int lock;                    /* held while folders come, go or change, else -1 */
};

/*
 * The lock over all folders: whoever changes which VMs exist, what a definition says or who holds a
 * VM does it under this lock, for moments only.
 */
int manager_lock(struct manager *m, struct err *e);
void manager_unlock(struct manager *m);

/* VMS/NAME/FILE ("" for the folder itself). */
int vm_path(const struct manager *m, const char *name, const char *file, char out[PATH_SIZE],
	    struct err *e);
/*
 * The same for a folder in the VM's own, which is made if it is missing. The VM's is not: who is
 * slower than a delete or rename gets -ENOENT.
 */
int vm_subfolder(const struct manager *m, const char *name, const char *folder, char out[PATH_SIZE],
		 struct err *e);
/*
 * Where the UEFI variables of a VM of this description are kept: in its folder, unless it names
 * another file. "" when there are none to keep.
 */
int vm_variables(const struct manager *m, const char *name, const struct spec *s,
		 char out[PATH_SIZE], struct err *e);
/* RUNTIME/NAME.SUFFIX: "sock" for the control socket, "tty" for the console. */
int vm_socket(const struct manager *m, const char *name, const char *suffix, char out[SOCKET_SIZE],
	      struct err *e);
/* The state that the next start goes on from, in the VM's folder. */
#define VM_SAVED_STATE "saved/state"

/* The VM with this UUID; -ENOENT when there is none. */
int vm_find_uuid(struct manager *m, const char *uuid, char name[64], struct err *e);
bool vm_is_defined(const struct manager *m, const char *name);

/* ---- who holds a VM (holder.c) -------------------------------------------------------------- */

/* What the holder does; "run": it is the VM's own process. */
#define HOLD_RUN   "run"
#define HOLD_START "start" /* a command that is about to start that process */

struct holder {
	pid_t pid; /* 0: nobody */
	char what[24];
};

/* `folder` is a name under VMS. */
void holder_find(const struct manager *m, const char *folder, struct holder *h);
/*
 * Makes this process the holder until *fd is closed by it and whoever inherited it. Global lock
 * held. -EBUSY and who it is when somebody holds the VM.
 */
int holder_take(const struct manager *m, const char *folder, const char *what, int *fd,
		struct err *e);
/* Says that and by whom the VM is held. */
int holder_refuse(const char *folder, const struct holder *h, struct err *e);
/* Process `pid`, which has inherited `fd`, is the holder from now on: written by it or for it. */
int holder_become(int fd, pid_t pid, const char *what);

/* ---- runs (runs.c) -------------------------------------------------------------------------- */

/* Small numbers, counted from 1 after each start of the host. Global lock held. */
unsigned long run_next_id(const struct manager *m);
/* Notes in the VM's folder that the run `id` of this machine begins. */
int run_record(const struct manager *m, const char *name, unsigned long id, const struct spec *s,
	       struct err *e);

/* ---- folders that come and go (clean.c) ----------------------------------------------------- */

/*
 * Folders under VMS whose names begin with a dot are no VMs: ".new-NAME" is being made,
 * ".old-NAME" is being removed. What a killed command left of them, and folders of transient VMs
 * whose process is gone, is removed here. Global lock held.
 */
void clean_folders(struct manager *m);

/* Removes a VM at one instant; its folder's content follows. Global lock held. */
int remove_folder(struct manager *m, const char *name, struct err *e);
/* Removes what manager_limit_cpu() made for a VM that does not run. */
void cpu_group_remove(const char *name);

#endif
