/* SPDX-License-Identifier: Apache-2.0 */
/* What is the same for every disk: checks of requests, and the way to its operations. */
#include "vmm/backend/disk.h"

#include <errno.h>

#include "base/num.h"

#define SECTOR 512u

void disk_submit(struct disk *d, struct disk_req *r)
{
	if (r->op != DISK_READ && d->readonly && r->op != DISK_FLUSH)
		r->done(r, -EROFS);
	else if (r->offset % SECTOR || r->len % SECTOR || !range_ok(r->offset, r->len, d->size))
		r->done(r, -EINVAL);
	else if (!r->len && r->op != DISK_FLUSH)
		r->done(r, 0);
	else
		d->ops->submit(d, r);
}

void disk_kick(struct disk *d)
{
	d->ops->kick(d);
}

void disk_drain(struct disk *d)
{
	d->ops->drain(d);
}

void disk_retry(struct disk *d)
{
	d->ops->retry(d);
}

bool disk_stalled(const struct disk *d)
{
	return d->ops->stalled(d);
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	d->ops->drain(d);
	d->ops->destroy(d);
}
