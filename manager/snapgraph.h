/* SPDX-License-Identifier: Apache-2.0 */
/* The images that a VM's disks and snapshots stand on, and who stands on whom. */
#ifndef MANAGER_SNAPGRAPH_H
#define MANAGER_SNAPGRAPH_H

#include "manager/snapwork.h"

struct graph_node {
	char *path; /* as it can be opened */
	char *real; /* without symbolic links: tells whether two are one */
	char *format;
	uint64_t used;    /* bytes on the host */
	bool of_snapshot; /* a snapshot is exactly this */
	bool of_disk;     /* a disk of the VM is exactly this: the guest writes it */
	int disk;         /* it is in the chain of this disk of the VM, else -1 */
	unsigned children;
	size_t child; /* the last one found */
	size_t below; /* what it stands on, or GRAPH_NONE */
};

#define GRAPH_NONE ((size_t)-1)
#define GRAPH_MAX  8192

struct graph {
	struct graph_node *node;
	size_t n;
};

/* Reads the chains from the images' headers; they may be in use. */
int graph_build(struct graph *g, const struct snap_work *w, struct err *e);
void graph_free(struct graph *g);
/* NULL: none of them is this file. */
struct graph_node *graph_find(const struct graph *g, const char *path);

/* Is the text in the array? */
bool graph_lists(const json_t *array, const char *text);

#endif
