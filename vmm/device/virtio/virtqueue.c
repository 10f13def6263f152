/* SPDX-License-Identifier: Apache-2.0 */
/* Split virtqueues over rings in guest memory. (Virtio 1.2 section 2.7.) */
#include "vmm/device/virtio/virtqueue.h"

#include <string.h>

#include "base/num.h"
#include "vmm/device/virtio/virtio.h"

/*
 * The rings are shared with running vCPUs: each 16-bit field is read or written whole, once.
 * Offsets in units of 16 bits.
 */
#define RING_FLAGS 0
#define RING_IDX   1
#define RING_START 2

static uint16_t load(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static uint16_t size_of(const struct virtqueue *q)
{
	return q->dev->hw->vq.size[q->index];
}

static uint16_t *next_avail(const struct virtqueue *q)
{
	return &q->dev->hw->vq.next_avail[q->index];
}

static uint16_t *next_used(const struct virtqueue *q)
{
	return &q->dev->hw->vq.next_used[q->index];
}

static bool event_idx(const struct virtqueue *q)
{
	return virtio_has(q->dev, VIRTIO_F_EVENT_IDX);
}

/* used_event ends the available ring, avail_event the used ring (8 bytes an entry). */
static uint16_t used_event(const struct virtqueue *q)
{
	return load(&q->avail[RING_START + size_of(q)]);
}

static uint16_t *avail_event(const struct virtqueue *q)
{
	return &q->used[RING_START + 4 * size_of(q)];
}

/* Engines and dirty logs must hear of bytes written to the used ring. */
static void used_written(struct virtqueue *q, const void *at, unsigned len)
{
	uint64_t off = (uint64_t)((const uint8_t *)at - (const uint8_t *)q->used);

	mem_written(q->dev->env.mem, q->dev->hw->vq.device[q->index] + off, len);
}

bool virtq_enable(struct virtqueue *q)
{
	const struct virtqueue_hw *hw = &q->dev->hw->vq;
	unsigned i = q->index;
	uint64_t n = hw->size[i];

	if (!n || n & (n - 1) || n > q->dev->type->queue_size[i]) {
		virtio_broken(q->dev, "queue %u has %u entries", i, (unsigned)n);
		return false;
	}
	if (hw->desc[i] % 16 || hw->driver[i] % 2 || hw->device[i] % 4) {
		virtio_broken(q->dev, "queue %u is not aligned", i);
		return false;
	}
	q->desc = mem_ptr(q->dev->env.mem, hw->desc[i], 16 * n, false);
	q->avail = mem_ptr(q->dev->env.mem, hw->driver[i], 6 + 2 * n, false);
	q->used = mem_ptr(q->dev->env.mem, hw->device[i], 6 + 8 * n, true);
	if (!q->desc || !q->avail || !q->used) {
		virtq_disable(q);
		virtio_broken(q->dev, "queue %u lies outside memory", i);
		return false;
	}
	return true;
}

void virtq_disable(struct virtqueue *q)
{
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
}

/* ---- taking requests ---------------------------------------------------------------------------
 */

/* Adds one buffer to the request. Out buffers come first (section 2.7.4.2). */
static bool add_segment(struct virtqueue *q, struct virtq_elem *el, const struct vring_desc *d)
{
	bool write = d->flags & VRING_DESC_WRITE;
	unsigned n = el->nout + el->nin;
	void *p;

	if (n == VIRTQ_MAX_SEGS) {
		virtio_broken(q->dev, "queue %u: a request of more than %d buffers", q->index, n);
		return false;
	}
	if (!write && el->nin) {
		virtio_broken(q->dev, "queue %u: a readable buffer behind a writable one",
			      q->index);
		return false;
	}
	p = mem_ptr(q->dev->env.mem, d->addr, d->len, write);
	if (!p) {
		virtio_broken(q->dev, "queue %u: buffer %#llx+%#x lies outside memory", q->index,
			      (unsigned long long)d->addr, d->len);
		return false;
	}
	el->iov[n] = (struct iovec){p, d->len};
	el->gpa[n] = d->addr;
	el->len[n] = d->len;
	*(write ? &el->nin : &el->nout) += 1;
	*(write ? &el->in_len : &el->out_len) += d->len;
	return true;
}

/* Follows a chain in a table of `n` descriptors; `budget` ends loops. */
static bool walk(struct virtqueue *q, struct virtq_elem *el, const struct vring_desc *table,
		 uint32_t n, uint32_t at, bool indirect);

static bool walk_indirect(struct virtqueue *q, struct virtq_elem *el, const struct vring_desc *d)
{
	const struct vring_desc *table;

	if (!virtio_has(q->dev, VIRTIO_F_INDIRECT_DESC) || !d->len || d->len % sizeof(*d) ||
	    d->flags & VRING_DESC_NEXT) {
		virtio_broken(q->dev, "queue %u: bad indirect descriptor", q->index);
		return false;
	}
	table = mem_ptr(q->dev->env.mem, d->addr, d->len, false);
	if (!table) {
		virtio_broken(q->dev, "queue %u: indirect table outside memory", q->index);
		return false;
	}
	return walk(q, el, table, d->len / (uint32_t)sizeof(*d), 0, true);
}

static bool walk(struct virtqueue *q, struct virtq_elem *el, const struct vring_desc *table,
		 uint32_t n, uint32_t at, bool indirect)
{
	for (uint32_t budget = n; budget; budget--) {
		struct vring_desc d;

		if (at >= n) {
			virtio_broken(q->dev, "queue %u: descriptor %u of %u", q->index, at, n);
			return false;
		}
		memcpy(&d, &table[at], sizeof(d)); /* the guest may change it meanwhile */
		if (d.flags & VRING_DESC_INDIRECT) {
			if (!indirect)
				return walk_indirect(q, el, &d);
			virtio_broken(q->dev, "queue %u: nested indirect table", q->index);
			return false;
		}
		if (!add_segment(q, el, &d))
			return false;
		if (!(d.flags & VRING_DESC_NEXT))
			return true;
		at = d.next;
	}
	virtio_broken(q->dev, "queue %u: descriptors form a loop", q->index);
	return false;
}

bool virtq_more(const struct virtqueue *q)
{
	return q->avail && virtio_running(q->dev) && load(&q->avail[RING_IDX]) != *next_avail(q);
}

bool virtq_want_notify(struct virtqueue *q)
{
	uint16_t *at;

	if (!q->avail || !virtio_running(q->dev))
		return true;
	at = event_idx(q) ? avail_event(q) : &q->used[RING_FLAGS];
	store(at, event_idx(q) ? *next_avail(q) : 0);
	used_written(q, at, sizeof(*at));
	/* The driver writes idx, then reads the event: one of the two must see the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !virtq_more(q);
}

bool virtq_pop(struct virtqueue *q, struct virtq_elem *el)
{
	uint16_t n, at, waiting;

	if (!virtq_more(q) && virtq_want_notify(q))
		return false;
	n = size_of(q);
	at = *next_avail(q);
	waiting = (uint16_t)(load(&q->avail[RING_IDX]) - at);
	if (waiting > n) {
		virtio_broken(q->dev, "queue %u: %u requests in %u entries", q->index, waiting, n);
		return false;
	}
	el->head = load(&q->avail[RING_START + at % n]);
	el->nout = el->nin = 0;
	el->out_len = el->in_len = 0;
	if (!walk(q, el, q->desc, n, el->head, false))
		return false;
	*next_avail(q) = (uint16_t)(at + 1);
	return true;
}

void virtq_unpop(struct virtqueue *q, unsigned n)
{
	*next_avail(q) = (uint16_t)(*next_avail(q) - n);
}

/* ---- giving them back --------------------------------------------------------------------------
 */

/* Engines must hear of the bytes the device wrote. */
static void tell_written(struct virtqueue *q, const struct virtq_elem *el, uint64_t left)
{
	struct guest_memory *m = q->dev->env.mem;

	for (unsigned i = el->nout; m->written && left && i < el->nout + el->nin; i++) {
		uint64_t len = el->len[i] < left ? el->len[i] : left;

		mem_written(m, el->gpa[i], len);
		left -= len;
	}
}

void virtq_fill(struct virtqueue *q, unsigned at, const struct virtq_elem *el, uint32_t written)
{
	struct vring_used_elem e = {el->head, written};
	uint16_t slot;

	if (!q->used)
		return;
	slot = (uint16_t)(*next_used(q) + at) % size_of(q);
	tell_written(q, el, written);
	memcpy(&q->used[RING_START + 4 * slot], &e, sizeof(e));
	used_written(q, &q->used[RING_START + 4 * slot], sizeof(e));
}

void virtq_publish(struct virtqueue *q, unsigned count)
{
	if (!q->used || !count)
		return;
	*next_used(q) = (uint16_t)(*next_used(q) + count);
	store(&q->used[RING_IDX], *next_used(q));
	used_written(q, &q->used[RING_IDX], 2);
}

void virtq_push(struct virtqueue *q, const struct virtq_elem *el, uint32_t written)
{
	virtq_fill(q, 0, el, written);
	virtq_publish(q, 1);
}

/* Section 2.7.7.2: an interrupt is due when used_event lies within what was added. */
static bool crossed(uint16_t event, uint16_t now, uint16_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

void virtq_signal(struct virtqueue *q)
{
	uint16_t *signalled = &q->dev->hw->vq.signalled[q->index];
	uint16_t before = *signalled, now = *next_used(q);
	bool wanted;

	if (!q->used || before == now)
		return;
	/* The driver writes used_event, then reads idx: one of the two must see the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (event_idx(q))
		wanted = crossed(used_event(q), now, before);
	else
		wanted = !(load(&q->avail[RING_FLAGS]) & VRING_AVAIL_NO_INTERRUPT);
	*signalled = now;
	if (wanted)
		virtio_pci_interrupt(q->dev, (int)q->index);
}

/* ---- lists of buffers --------------------------------------------------------------------------
 */

static uint64_t iov_copy(const struct iovec *iov, unsigned n, uint64_t off, uint8_t *buf,
			 uint64_t len, bool to_iov)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		uint64_t part = iov[i].iov_len;
		uint8_t *base = iov[i].iov_base;

		if (off >= part) {
			off -= part;
			continue;
		}
		part -= off;
		if (part > len - done)
			part = len - done;
		if (to_iov)
			memcpy(base + off, buf + done, part);
		else
			memcpy(buf + done, base + off, part);
		done += part;
		off = 0;
	}
	return done;
}

uint64_t iov_read(const struct iovec *iov, unsigned n, uint64_t off, void *buf, uint64_t len)
{
	return iov_copy(iov, n, off, buf, len, false);
}

uint64_t iov_write(const struct iovec *iov, unsigned n, uint64_t off, const void *buf, uint64_t len)
{
	return iov_copy(iov, n, off, (uint8_t *)(uintptr_t)buf, len, true);
}

struct iovec *iov_skip(struct iovec *iov, unsigned *n, uint64_t len)
{
	while (*n && len >= iov->iov_len) {
		len -= iov->iov_len;
		iov++;
		--*n;
	}
	if (*n && len) {
		iov->iov_base = (uint8_t *)iov->iov_base + len;
		iov->iov_len -= len;
	}
	return iov;
}
