/* SPDX-License-Identifier: Apache-2.0 */
/* The qcow2 format as the other files of this folder see it. */
#include "vmm/backend/image/qcow2.h"

const struct image_format image_qcow2 = {
	.name = "qcow2",
	.can_back = true,
	.zero_past_end = true,
	.probe = qcow2_probe,
	.open = qcow2_open,
	.reopened = qcow2_reopened,
	.close = qcow2_close,
	.map = qcow2_map,
	.reserve = qcow2_reserve,
	.unreserve = qcow2_unreserve,
	.link = qcow2_link,
	.clear = qcow2_clear,
	.commit = qcow2_commit,
	.committed = qcow2_committed,
	.unpack = qcow2_unpack,
	.create = qcow2_create,
	.resize = qcow2_resize,
	.check = qcow2_check,
	.set_backing = qcow2_set_backing,
};
