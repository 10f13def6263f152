/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio memory balloon: pages the guest gives up go back to the host, and read as zero when the
 * guest takes them again. (Virtio 1.2 section 5.5.)
 */
#include "vmm/device/virtio/balloon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "vmm/device/virtio/models.h"
#include "vmm/device/virtio/virtio.h"

#define QUEUE_SIZE 128
#define INFLATE    0
#define DEFLATE    1
#define STATS      2 /* if negotiated; otherwise what follows moves up, in Linux as in QEMU */

#define F_STATS_VQ       (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING      (1ull << 5)

#define PAGE_SHIFT    12 /* of the balloon's page numbers, whatever the guest's pages are */
#define PFNS_PER_COPY 256
#define MAX_PFNS      4096u /* of one request; Linux sends 256 */
#define CONFIG_ACTUAL 4

struct stat_entry {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

struct balloon_hw {
	struct virtio_hw v;
	uint32_t target, actual; /* pages */
	uint64_t stats[BALLOON_NSTATS];
	uint16_t stats_head; /* the driver's statistics buffer, kept until new ones are wanted */
	uint8_t has_stats_buffer;
};

struct balloon {
	struct virtio_dev v;
	struct balloon_hw hw;
	struct virtq_elem el;
};

static void config_read(struct virtio_dev *v, uint8_t *config)
{
	const struct balloon *b = (const struct balloon *)v;

	memcpy(config, &b->hw.target, 4);
	memcpy(config + CONFIG_ACTUAL, &b->hw.actual, 4);
}

static void config_write(struct virtio_dev *v, unsigned off, unsigned size, uint32_t val)
{
	if (off == CONFIG_ACTUAL && size == 4)
		((struct balloon *)v)->hw.actual = val;
}

/* ---- giving memory back
 * ------------------------------------------------------------------------------ */

/* Only memory the guest owns as a whole: RAM, in full pages. */
static void give_back(struct balloon *b, gpa_t gpa, uint64_t len)
{
	struct guest_memory *m = b->v.env.mem;
	void *p = mem_ptr(m, gpa, len, true);

	if (!p || gpa % MEM_PAGE_SIZE || len % MEM_PAGE_SIZE) {
		log_guest_error(&b->v.guest_errors, "virtio-balloon: %#llx+%#llx is no RAM",
				(unsigned long long)gpa, (unsigned long long)len);
		return;
	}
	if (!len)
		return;
	madvise(p, len, MADV_DONTNEED);
	mem_written(m, gpa, len); /* it reads as zero now */
}

/* Linux gives up pages from high to low: runs in either direction become one call. */
struct run {
	uint64_t first, count; /* pages */
};

static void end_run(struct balloon *b, struct run *r)
{
	if (r->count)
		give_back(b, r->first << PAGE_SHIFT, r->count << PAGE_SHIFT);
	r->count = 0;
}

static void add_page(struct balloon *b, struct run *r, uint32_t pfn)
{
	if (r->count && pfn == r->first + r->count) {
		r->count++;
	} else if (r->count && (uint64_t)pfn + 1 == r->first) {
		r->first--;
		r->count++;
	} else {
		end_run(b, r);
		*r = (struct run){pfn, 1};
	}
}

static void inflate(struct balloon *b)
{
	uint32_t pfn[PFNS_PER_COPY];
	struct run run = {0, 0};
	uint64_t done = 0, got;

	while (done < MAX_PFNS * sizeof(pfn[0])) {
		got = iov_read(b->el.iov, b->el.nout, done, pfn, sizeof(pfn));
		for (uint64_t i = 0; i < got / sizeof(pfn[0]); i++)
			add_page(b, &run, pfn[i]);
		done += got;
		if (got < sizeof(pfn))
			break;
	}
	end_run(b, &run);
}

/* Free page reporting: the buffers themselves are the free memory. */
static void reported(struct balloon *b)
{
	for (unsigned i = b->el.nout; i < b->el.nout + b->el.nin; i++)
		give_back(b, b->el.gpa[i], b->el.len[i]);
}

static void deflate(struct balloon *b)
{
	(void)b; /* the pages come back by being touched */
}

/* ---- statistics
 * --------------------------------------------------------------------------------------- */

static void take_stats(struct balloon *b)
{
	struct stat_entry s;

	for (unsigned i = 0; i < 2 * BALLOON_NSTATS; i++) {
		if (iov_read(b->el.iov, b->el.nout, i * sizeof(s), &s, sizeof(s)) < sizeof(s))
			return;
		if (s.tag < BALLOON_NSTATS)
			b->hw.stats[s.tag] = s.value;
	}
}

static void return_stats_buffer(struct balloon *b)
{
	struct virtqueue *q = &b->v.q[STATS];

	if (!b->hw.has_stats_buffer)
		return;
	b->hw.has_stats_buffer = 0;
	b->el.head = b->hw.stats_head;
	b->el.nout = b->el.nin = 0;
	virtq_push(q, &b->el, 0);
	virtq_signal(q);
}

/* The driver's buffer comes filled, and stays here until it is asked to fill it again. */
static void stats_notify(struct balloon *b)
{
	struct virtqueue *q = &b->v.q[STATS];

	if (!virtq_more(q))
		return;
	return_stats_buffer(b); /* a driver keeps to one; a second takes the first's place */
	if (!virtq_pop(q, &b->el))
		return;
	take_stats(b);
	b->hw.stats_head = b->el.head;
	b->hw.has_stats_buffer = 1;
}

/* ---- the device
 * ----------------------------------------------------------------------------------------- */

static void notify(struct virtio_dev *v, unsigned queue)
{
	struct balloon *b = (struct balloon *)v;
	struct virtqueue *q = &v->q[queue];
	void (*run)(struct balloon *) = queue == INFLATE   ? inflate
					: queue == DEFLATE ? deflate
							   : reported;
	unsigned budget = QUEUE_SIZE;

	if (queue == STATS && virtio_has(v, F_STATS_VQ)) {
		stats_notify(b);
		return;
	}
	for (; budget && virtq_pop(q, &b->el); budget--) {
		run(b);
		virtq_push(q, &b->el, 0);
	}
	virtq_signal(q);
	if (!budget)
		virtio_requeue(v, queue);
}

static void reset(struct virtio_dev *v)
{
	struct balloon *b = (struct balloon *)v;

	b->hw.actual = 0;
	b->hw.has_stats_buffer = 0;
	memset(b->hw.stats, 0xff, sizeof(b->hw.stats));
}

static const struct virtio_type type = {
	.name = "virtio-balloon",
	.id = 5,
	.class_code = 0x00ff00, /* unclassified */
	.nqueues = 5,
	.queue_size = {QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE},
	.config_size = 8,
	.config_read = config_read,
	.config_write = config_write,
	.notify = notify,
	.reset = reset,
};

void balloon_set_target(struct device *d, uint64_t bytes)
{
	struct balloon *b = (struct balloon *)d;
	uint64_t ram = b->v.env.mem->ram_size;

	b->hw.target = (uint32_t)((bytes < ram ? bytes : ram) >> PAGE_SHIFT);
	virtio_config_changed(&b->v);
}

uint64_t balloon_target(const struct device *d)
{
	return (uint64_t)((const struct balloon *)d)->hw.target << PAGE_SHIFT;
}

uint64_t balloon_actual(const struct device *d)
{
	return (uint64_t)((const struct balloon *)d)->hw.actual << PAGE_SHIFT;
}

bool balloon_has_driver(const struct device *d)
{
	return virtio_running(&((const struct balloon *)d)->v);
}

void balloon_ask_stats(struct device *d)
{
	struct balloon *b = (struct balloon *)d;

	if (virtio_running(&b->v))
		return_stats_buffer(b);
}

const uint64_t *balloon_stats(const struct device *d)
{
	return ((const struct balloon *)d)->hw.stats;
}

/* ---- life
 * ------------------------------------------------------------------------------------------------
 */

static void balloon_destroy(struct device *d)
{
	virtio_unplug((struct virtio_dev *)d);
	free(d);
}

static int balloon_create(struct device **out, const struct device_env *env,
			  struct device_conf *conf, struct err *e)
{
	struct balloon *b = calloc(1, sizeof(*b));
	uint64_t reporting;
	int rc;

	if (!b)
		return err_set(e, -ENOMEM, "virtio-balloon: out of memory");
	rc = device_conf_u64(conf, "reporting", 0, 0, 1, &reporting, e);
	if (rc)
		goto free_balloon;
	b->v.features = F_STATS_VQ | F_DEFLATE_ON_OOM | (reporting ? F_REPORTING : 0);
	rc = virtio_plug(&b->v, &type, &b->hw.v, env, e);
	if (rc)
		goto free_balloon;
	b->v.dev.ops = &virtio_balloon_ops;
	*out = &b->v.dev;
	return 0;
free_balloon:
	free(b);
	return rc;
}

static void *balloon_hw(struct device *d)
{
	return &((struct balloon *)d)->hw;
}

static int balloon_loaded(struct device *d, struct err *e)
{
	return virtio_device_loaded((struct virtio_dev *)d, e);
}

static void balloon_stats_report(struct device *d, stat_fn *fn, void *opaque)
{
	virtio_device_stats(d, fn, opaque);
	fn(opaque, "target_bytes", balloon_target(d));
	fn(opaque, "actual_bytes", balloon_actual(d));
}

static const struct state_field fields[] = {
	VIRTIO_STATE(struct balloon_hw, v),
	ST(1, struct balloon_hw, target),
	ST(2, struct balloon_hw, actual),
	ST_ARR(3, struct balloon_hw, stats),
	ST(4, struct balloon_hw, stats_head),
	ST(5, struct balloon_hw, has_stats_buffer),
	ST_END,
};

static const struct state_desc state = {"virtio-balloon", 1, sizeof(struct balloon_hw), fields};

const struct device_ops virtio_balloon_ops = {
	.name = "virtio-balloon",
	.help = "takes memory from the guest and gives it back [reporting=0]",
	.create = balloon_create,
	.reset = virtio_device_reset,
	.destroy = balloon_destroy,
	.state = &state,
	.hw = balloon_hw,
	.loaded = balloon_loaded,
	.stats = balloon_stats_report,
};
