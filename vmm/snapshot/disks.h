/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots do to the disks of a running machine: overlays at an instant, and merging. */
#ifndef VMM_SNAPSHOT_DISKS_H
#define VMM_SNAPSHOT_DISKS_H

#include "vmm/control/control.h"
#include "vmm/machine.h"

/* The overlay that each disk shall get, NULL: none. */
struct overlays {
	char *path[SPEC_MAX_DISKS];
};

/* From [{"disk": 0, "overlay": "PATH"}, ...]; NULL: nothing. To be freed also after an error. */
int overlays_read(const struct machine *m, struct overlays *o, const json_t *list, struct err *e);
/* All of them; the machine is held. After an error some may have been added: see disks_list(). */
int overlays_add(struct machine *m, const struct overlays *o, struct err *e);
void overlays_free(struct overlays *o);

/* The control method "disks": [{"path", "format", "readonly"}, ...], what each writes now; null: a
 * drive without a disc. */
int disks_list(void *opaque, const json_t *params, struct control_call *call, json_t **result,
	       struct err *e);
/*
 * The control method "merge": {"disk", "path", "down", "note"}, see disk_merge(). When the
 * guest's writes are about to go to another image, the file `note` says so first:
 * {"disk", "path", "format"}.
 */
int disks_merge(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e);

#endif
