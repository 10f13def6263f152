/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/ring.h"

#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/mm/user.h"
#include "kernel/sys/process.h"

int ring_init(struct ring *r, uint32_t size)
{
	const struct process *p = current_process();

	*r = (struct ring){.size = size};
	/* Nor does who is locked in take others' last memory by queues. */
	if (!p || !p->domain || page_may_have(UINT32_MAX, size >> PAGE_SHIFT))
		r->data = kzalloc(size);
	return r->data ? 0 : -ENOMEM;
}

void ring_free(struct ring *r)
{
	kfree(r->data);
}

/* n bytes from *index on, which moves with them. */
static int64_t move(struct ring *r, uint32_t *index, uint64_t buf, uint64_t n, bool to_user)
{
	uint64_t done = 0;

	while (done < n) {
		uint32_t at = *index & (r->size - 1), part = (uint32_t)MIN(n - done, r->size - at);
		int rc = to_user ? copy_to_user(buf + done, r->data + at, part)
				 : copy_from_user(r->data + at, buf + done, part);

		if (rc)
			return done ? (int64_t)done : rc;
		*index += part;
		done += part;
	}
	return (int64_t)done;
}

int64_t ring_from_user(struct ring *r, uint64_t buf, uint64_t n)
{
	return move(r, &r->head, buf, MIN(n, ring_room(r)), false);
}

int64_t ring_to_user(struct ring *r, uint64_t buf, uint64_t n)
{
	return move(r, &r->tail, buf, MIN(n, ring_used(r)), true);
}

void ring_put(struct ring *r, const char *data, uint32_t n)
{
	for (; n && ring_room(r); n--)
		r->data[r->head++ & (r->size - 1)] = *data++;
}
