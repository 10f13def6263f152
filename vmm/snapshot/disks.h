/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots do to the disks of a running machine: overlays at an instant, and merging. */
#ifndef VMM_SNAPSHOT_DISKS_H
#define VMM_SNAPSHOT_DISKS_H

#include "vmm/backend/image/files.h"
#include "vmm/control/control.h"
#include "vmm/machine.h"

/* The overlay that each disk shall get, NULL: none. */
struct overlays {
	char *path[SPEC_MAX_DISKS];
	struct image_files files; /* that came along */
};

/*
 * From [{"disk": 0, "overlay": "PATH"}, ...], NULL: nothing, and the descriptors of `call`. To be
 * freed also after an error.
 */
int overlays_read(const struct machine *m, struct overlays *o, const json_t *list,
		  struct control_call *call, struct err *e);
/* The steps of disk_open_overlay() for all of them. */
int overlays_open(struct machine *m, struct overlays *o, struct err *e);
void overlays_drop(struct machine *m, const struct overlays *o);
/* The machine is held, its disks are drained. */
void overlays_switch(struct machine *m, const struct overlays *o);
/* done() is called for each, perhaps at once; their number is overlays_count(). */
void overlays_settle(struct machine *m, const struct overlays *o,
		     void (*done)(void *opaque, const struct err *e), void *opaque);
unsigned overlays_count(const struct overlays *o);
/* done() is not called any more. */
void overlays_forget(struct machine *m, const struct overlays *o);
void overlays_free(struct overlays *o);

/* The control method "disks": [{"path", "format", "readonly"}, ...], what each writes now; null: a
 * drive without a disc. */
int disks_list(void *opaque, const json_t *params, struct control_call *call, json_t **result,
	       struct err *e);
/*
 * The control method "merge": {"disk", "path", "down", "note"}, see disk_merge(). When the
 * guest's writes are about to go to another image, the file `note` says so first:
 * {"disk", "path", "format"}. Images that it writes to may come along as descriptors.
 */
int disks_merge(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e);

#endif
