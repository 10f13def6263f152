/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/drivers/virtio.h"

#include "kernel/drivers/virtio_regs.h"
#include "kernel/mm/layout.h"
#include "kernel/sched/timer.h"

/* ---- finding the registers ------------------------------------------------------------------- */

/* Capabilities of the vendor's kind tell where each structure lies (4.1.4). */
static volatile void *find(struct pci_device *d, unsigned type, uint32_t min, uint32_t *len,
			   unsigned *cap)
{
	unsigned at = 0;

	for (unsigned i = 0; i < MAX_CAPABILITIES; i++) {
		at = pci_capability(d, PCI_CAP_VENDOR, at);
		if (!at)
			break;
		if (pci_read(d, at + 3, 1) != type)
			continue;
		*cap = at;
		*len = pci_read(d, at + 12, 4);
		if (*len < min)
			return NULL;
		return pci_map(d, pci_read(d, at + 4, 1), pci_read(d, at + 8, 4), *len);
	}
	return NULL;
}

static int find_registers(struct virtio *v)
{
	uint32_t len;
	unsigned cap;

	v->common = find(v->pci, CAP_COMMON, COMMON_LENGTH, &len, &cap);
	v->notify = find(v->pci, CAP_NOTIFY, 2, &v->notify_len, &cap);
	if (!v->common || !v->notify)
		return -ENODEV;
	v->notify_step = pci_read(v->pci, cap + 16, 4);
	v->config = find(v->pci, CAP_CONFIG, 1, &v->config_len, &cap);
	if (!v->config)
		v->config_len = 0;
	return 0;
}

/* ---- start ----------------------------------------------------------------------------------- */

static void add_status(struct virtio *v, unsigned bits)
{
	mmio_write8(v->common, DEVICE_STATUS,
		    (uint8_t)(mmio_read8(v->common, DEVICE_STATUS) | bits));
}

static int agree(struct virtio *v, uint64_t wanted)
{
	uint64_t offered = 0;

	for (unsigned i = 0; i < 2; i++) {
		mmio_write32(v->common, DEVICE_FEATURE_SELECT, i);
		offered |= (uint64_t)mmio_read32(v->common, DEVICE_FEATURE) << i * 32;
	}
	v->features = offered & (wanted | VIRTIO_F_VERSION1);
	for (unsigned i = 0; i < 2; i++) {
		mmio_write32(v->common, DRIVER_FEATURE_SELECT, i);
		mmio_write32(v->common, DRIVER_FEATURE, (uint32_t)(v->features >> i * 32));
	}
	add_status(v, STATUS_FEATURES_OK);
	if (v->features & VIRTIO_F_VERSION1 &&
	    mmio_read8(v->common, DEVICE_STATUS) & STATUS_FEATURES_OK)
		return 0;
	return -EOPNOTSUPP;
}

int virtio_start(struct virtio *v, struct pci_device *d, uint64_t wanted)
{
	int rc;

	*v = (struct virtio){.pci = d};
	rc = find_registers(v);
	if (rc)
		return rc;
	pci_enable(d);
	mmio_write8(v->common, DEVICE_STATUS, 0); /* reset */
	if (!mmio_wait(v->common, DEVICE_STATUS, 0xff, 0, 1000))
		return -ETIMEDOUT;
	add_status(v, STATUS_ACKNOWLEDGE);
	add_status(v, STATUS_DRIVER);
	return agree(v, wanted);
}

void virtio_ready(struct virtio *v)
{
	add_status(v, STATUS_DRIVER_OK);
}

/* ---- queues ---------------------------------------------------------------------------------- */

/* In three pages: descriptors, available ring, used ring. */
#define QUEUE_BYTES  (3 * PAGE_SIZE)
#define AVAIL_OFFSET PAGE_SIZE
#define USED_OFFSET  (2 * PAGE_SIZE)

static int allocate(struct virtq *q)
{
	char *mem = pci_alloc(q->dev->pci, QUEUE_BYTES);
	uint64_t phys = virt_to_phys(mem);

	if (!mem)
		return -ENOMEM;
	q->descriptors = (void *)mem;
	q->avail = (void *)(mem + AVAIL_OFFSET);
	q->used_ring = (void *)(mem + USED_OFFSET);
	mmio_write64(q->dev->common, QUEUE_DESC, phys);
	mmio_write64(q->dev->common, QUEUE_DRIVER, phys + AVAIL_OFFSET);
	mmio_write64(q->dev->common, QUEUE_DEVICE, phys + USED_OFFSET);
	for (unsigned i = 0; i < q->size; i++)
		q->slot[i].next = (uint16_t)(i + 1);
	q->nfree = q->size;
	return 0;
}

int virtq_start(struct virtq *q, struct virtio *v, unsigned index, unsigned max, irq_fn *irq,
		void *opaque)
{
	uint16_t vector = irq ? (uint16_t)index : NO_VECTOR;
	uint64_t bell;
	unsigned size;
	int rc;

	*q = (struct virtq){.dev = v, .index = (uint16_t)index};
	mmio_write16(v->common, QUEUE_SELECT, (uint16_t)index);
	size = mmio_read16(v->common, QUEUE_SIZE);
	bell = (uint64_t)mmio_read16(v->common, QUEUE_NOTIFY_OFF) * v->notify_step;
	if (!size || size & (size - 1) || bell + 2 > v->notify_len || !v->pci->msix)
		return -ENODEV;
	q->size = (uint16_t)MIN(size, MIN(max, (unsigned)VIRTQ_MAX));
	q->bell = (volatile char *)v->notify + bell;
	mmio_write16(v->common, QUEUE_SIZE, q->size);
	rc = allocate(q);
	if (rc)
		return rc;
	rc = irq ? pci_irq(v->pci, index, irq, opaque) : 0;
	mmio_write16(v->common, QUEUE_VECTOR, vector);
	if (!rc && mmio_read16(v->common, QUEUE_VECTOR) != vector)
		rc = -ENODEV;
	if (!rc)
		mmio_write16(v->common, QUEUE_ENABLE, 1);
	return rc;
}

int virtq_add(struct virtq *q, const struct virtq_buffer *b, unsigned n, void *token)
{
	uint16_t head = q->free, at = head;
	uint32_t room = 0;

	if (q->broken)
		return -EIO;
	if (n > q->nfree)
		return -ENOSPC;
	for (unsigned i = 0; i < n; i++, at = q->slot[at].next) {
		q->descriptors[at] = (struct virtq_descriptor){
			.phys = b[i].phys,
			.len = b[i].len,
			.flags = (uint16_t)((i + 1 < n ? DESC_NEXT : 0) |
					    (b[i].device_writes ? DESC_WRITE : 0)),
			.next = q->slot[at].next,
		};
		room += b[i].device_writes ? b[i].len : 0;
	}
	q->free = at;
	q->nfree = (uint16_t)(q->nfree - n);
	q->slot[head].token = token;
	q->slot[head].count = (uint16_t)n;
	q->slot[head].room = room;
	q->avail[2 + q->offered++ % q->size] = head;
	/* The entry before the index that offers it. */
	__atomic_store_n(&q->avail[1], q->offered, __ATOMIC_RELEASE);
	return 0;
}

int virtq_offer(struct virtq *q, void *mem, size_t n, bool device_writes)
{
	struct virtq_buffer b = {virt_to_phys(mem), (uint32_t)n, device_writes};

	return virtq_add(q, &b, 1, mem);
}

void virtq_kick(struct virtq *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(q->used_ring[0] & 1)) /* "no notifications" */
		mmio_write16(q->bell, 0, q->index);
}

static void *give_up(struct virtq *q, const char *why)
{
	if (!q->broken && !q->quiet)
		klog("pci %s: queue %u broken: %s", q->dev->pci->name, q->index, why);
	q->broken = true;
	return NULL;
}

/* Puts the descriptors of a finished request on the free list. */
static void release(struct virtq *q, uint16_t head)
{
	uint16_t last = head;

	for (unsigned i = 1; i < q->slot[head].count; i++)
		last = q->slot[last].next;
	q->slot[last].next = q->free;
	q->free = head;
	q->nfree = (uint16_t)(q->nfree + q->slot[head].count);
	q->slot[head].token = NULL;
}

void *virtq_take(struct virtq *q, uint32_t *written)
{
	const volatile struct used_element *ring = (const volatile void *)(q->used_ring + 2);
	struct used_element e;
	void *token;

	if (q->broken || __atomic_load_n(&q->used_ring[1], __ATOMIC_ACQUIRE) == q->used)
		return NULL;
	e = ring[q->used % q->size];
	if (e.id >= q->size || !q->slot[e.id].token)
		return give_up(q, "an answer to nothing");
	if (e.len > q->slot[e.id].room)
		return give_up(q, "more bytes than there is room for");
	q->used++;
	token = q->slot[e.id].token;
	*written = e.len;
	release(q, (uint16_t)e.id);
	return token;
}

bool virtq_failed(struct virtq *q)
{
	return q->broken || mmio_read8(q->dev->common, DEVICE_STATUS) & STATUS_NEEDS_RESET;
}
