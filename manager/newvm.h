/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a VM new: its name, disks and addresses. Shared by create, modify and clone. */
#ifndef MANAGER_NEWVM_H
#define MANAGER_NEWVM_H

#include "manager/folders.h"

/* -EINVAL for what is no name, -EEXIST when it is taken. Global lock held. */
int new_vm_check_name(struct manager *m, const char *name, struct err *e);

/*
 * Makes the disks whose `sizes` are not 0 in the folder, under free names that become their paths,
 * and addresses for nets that have the default ones. Disks without a format get that of their file.
 */
int new_vm_fill(const char *folder, struct spec *s, const uint64_t sizes[SPEC_MAX_DISKS],
		struct err *e);

#define NEW_DISK_PATH (PATH_SIZE + 32)

/* The first of disk0, disk1, ... that is free in the folder, whatever its format: the path. */
int new_vm_disk_name(const char *folder, const char *format, char path[NEW_DISK_PATH],
		     struct err *e);

/* A random address in place of the net's own. */
int new_vm_mac(struct spec_net *n, struct err *e);

/* Turns the folder ".new-NAME" into the VM's. */
int new_vm_commit(struct manager *m, const char *from, const char *to, struct err *e);

#endif
