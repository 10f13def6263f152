/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine has for a new VM, and what of it is free. */
#ifndef CLI_MANAGE_CHOICES_H
#define CLI_MANAGE_CHOICES_H

#include "cli/manage/manage.h"

#define MAX_CHOICES 24

struct choice {
	char value[128]; /* as it is entered */
	char note[96];   /* what it is, and who has it */
	bool taken;
};

struct choices {
	struct choice item[MAX_CHOICES];
	unsigned n;
	char summary[128]; /* a line above them */
};

/* Each fills an empty one. */
void choices_cpus(struct choices *c, struct manage *m);
void choices_memory(struct choices *c, struct manage *m);
/* Whole disks and partitions (/proc/partitions); taken: mounted, or a disk of a VM. */
void choices_disks(struct choices *c, struct manage *m);
void choices_networks(struct choices *c, struct manage *m);
/* Files by their usual names: of the boot medium on the bare machine, else of this folder. */
void choices_cdroms(struct choices *c, struct manage *m);
void choices_kernels(struct choices *c, struct manage *m);
void choices_initrds(struct choices *c, struct manage *m);

#endif
