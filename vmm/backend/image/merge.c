/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging two neighbours of a chain, piece by piece, while the guest goes on. Each piece is a
 * request like the guest's own, so both wait for each other where they meet.
 *
 * Upwards, the upper image takes over what it does not have: what it reads does not change at any
 * moment. Downwards, the lower image is overwritten with what hides it anyway; pieces that the
 * guest changes later in the upper one are done again, at last with the guest waiting.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "vmm/backend/image/chain.h"
#include "vmm/backend/image/engine.h"

#define PIECE      (1u << 20) /* at most, and the unit in which later changes are noted */
#define FEW_PIECES 16u        /* that the guest may wait for */
#define MAX_ROUNDS 8u

struct merge {
	struct image_disk *d;
	struct image *upper, *lower;
	struct merge_options o;
	uint64_t at, total;
	uint8_t *buffer;  /* one piece, downwards */
	uint8_t *changed; /* by pieces: written by the guest since they were copied */
	unsigned round;
	bool last; /* the guest waits for what is left */
	struct loop_timer timer;
	struct disk_req req;
	struct iovec iov;
	struct err error;
};

static void step(void *opaque);

/* ---- which piece is next ----------------------------------------------------------------------
 */

/* Changes from now on must be copied again. False: in this round the piece needs no copy. */
static bool enter_piece(struct merge *m)
{
	uint64_t piece = m->at / PIECE;
	uint8_t bit = (uint8_t)(1u << piece % 8), *byte = &m->changed[piece / 8];
	bool changed = *byte & bit;

	*byte &= (uint8_t)~bit;
	return changed || !m->round;
}

void merge_note_write(struct image_disk *d, uint64_t offset, uint64_t len)
{
	struct merge *m = d->merge;

	if (m->o.direction != MERGE_DOWN || m->upper != d->top)
		return;
	for (uint64_t p = offset / PIECE; p <= (offset + len - 1) / PIECE; p++)
		m->changed[p / 8] |= (uint8_t)(1u << p % 8);
}

static uint64_t count_changed(const struct merge *m)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i <= m->total / PIECE / 8; i++)
		n += (unsigned)__builtin_popcount(m->changed[i]);
	return n;
}

/* Upwards: what only the lower image has. Downwards: what the upper one has. */
static int wanted(const struct merge *m, uint64_t at, uint64_t len, struct extent *x, bool *want)
{
	int rc = m->upper->format->map(m->upper, at, len, x);
	struct extent below;

	*want = x->kind != EXTENT_HOLE;
	if (rc || m->o.direction == MERGE_DOWN)
		return rc;
	*want = !*want && at < m->lower->size;
	if (!*want)
		return 0;
	if (x->len > m->lower->size - at)
		x->len = m->lower->size - at;
	rc = m->lower->format->map(m->lower, at, x->len, &below);
	*want = below.kind != EXTENT_HOLE;
	x->len = below.len;
	return rc;
}

/* The next range to copy from m->at on, not over a piece's end; len 0: the round is over. */
static int find_next(struct merge *m, uint64_t *len)
{
	*len = 0;
	while (m->at < m->total) {
		uint64_t rest = PIECE - m->at % PIECE;
		struct extent x;
		bool want;
		int rc;

		if (rest > m->total - m->at)
			rest = m->total - m->at;
		if (m->at % PIECE == 0 && !enter_piece(m)) {
			m->at += rest;
			continue;
		}
		rc = wanted(m, m->at, rest, &x, &want);
		if (rc)
			return rc;
		if (want) {
			*len = x.len;
			return 0;
		}
		m->at += x.len;
	}
	return 0;
}

/* ---- one piece --------------------------------------------------------------------------------
 */

static void piece_done(struct disk_req *r, int rc)
{
	struct merge *m = r->opaque;

	if (rc)
		err_set(&m->error, rc, "%s: %s", m->upper->path, strerror(-rc));
	m->at += r->len;
	if (m->d->loop && !m->last)
		loop_timer_set(m->d->loop, &m->timer, loop_now());
}

static void piece_read(struct disk_req *r, int rc)
{
	struct merge *m = r->opaque;

	if (rc) {
		piece_done(r, rc);
		return;
	}
	r->done = piece_done;
	r->op = all_zero(r) ? DISK_WRITE_ZEROES : DISK_WRITE;
	rc = io_submit(m->d, m->lower, r, IO_PLAIN);
	if (rc)
		piece_done(r, rc);
}

static void start_piece(struct merge *m, uint64_t len)
{
	bool up = m->o.direction == MERGE_UP;
	int rc;

	m->iov = (struct iovec){m->buffer, len};
	m->req = (struct disk_req){.op = up ? DISK_WRITE : DISK_READ,
				   .offset = m->at,
				   .len = len,
				   .iov = &m->iov,
				   .niov = up ? 0 : 1,
				   .done = up ? piece_done : piece_read,
				   .opaque = m};
	/* Alone: what the guest is writing just now was noted before, and must be seen. */
	rc = io_submit(m->d, m->upper, &m->req, up ? IO_COPY : IO_ALONE);
	if (rc)
		piece_done(&m->req, rc);
	aio_kick(m->d->aio);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static struct image *above(const struct image_disk *d, const struct image *img)
{
	struct image *i = d->top;

	while (i && i->backing != img)
		i = i->backing;
	return i;
}

static int make_stable(struct image *img, struct err *e)
{
	int rc = image_settle(img);

	return rc ? err_set(e, rc, "%s: %s", img->path, strerror(-rc)) : 0;
}

/* Where that fails the image only stays locked for longer. */
static void give_up_writing(struct image *img)
{
	struct err e;

	if (image_reopen(img, false, NULL, &e))
		log_warn("%s", e.text);
}

/* `img` stands on `below` from now on. */
static int put_on(struct image *img, struct image *below, struct image_files *files, struct err *e)
{
	const char *format = below ? below->format->name : NULL;
	bool was_writable = img->writable;
	char *text = below ? image_name_backing(img->path, below->path) : NULL;
	int rc = image_reopen(img, true, files, e);

	if (!rc)
		rc = img->format->set_backing(img, text, format, e);
	if (!rc) {
		free(img->backing_name);
		free(img->backing_format);
		img->backing_name = text;
		img->backing_format = format ? strdup(format) : NULL;
		img->backing = below;
		text = NULL;
	}
	if (!was_writable)
		give_up_writing(img);
	free(text);
	return rc;
}

static void close_one(struct image *img)
{
	img->backing = NULL;
	image_close_chain(img);
}

static int finish_up(struct merge *m, struct err *e)
{
	int rc = make_stable(m->upper, e);

	if (!rc)
		rc = put_on(m->upper, m->lower->backing, m->o.files, e);
	if (!rc)
		close_one(m->lower);
	return rc;
}

static int finish_down(struct merge *m, struct err *e)
{
	struct image *over = above(m->d, m->upper);
	int rc = make_stable(m->lower, e);

	if (!rc && over)
		rc = put_on(over, m->lower, m->o.files, e);
	else if (!rc && m->o.switching)
		rc = m->o.switching(m->o.opaque, m->lower->path, e);
	if (rc)
		return rc;
	if (!over)
		m->d->top = m->lower;
	else
		give_up_writing(m->lower);
	close_one(m->upper);
	return 0;
}

static void end(struct merge *m)
{
	struct merge_options o = m->o;
	struct err error = m->error;

	/* Rights that only the merge needed end with it; the guest writes to the last image only.
	 */
	for (struct image *i = m->d->top->backing; i; i = i->backing)
		give_up_writing(i);
	m->d->merge = NULL;
	free(m->buffer);
	free(m->changed);
	free(m);
	if (o.done)
		o.done(o.opaque, &error);
}

/* Copies what is left while the guest waits: all is done within this call. */
static void copy_rest(struct merge *m)
{
	uint64_t len;

	m->round++;
	for (m->at = 0; !m->error.code;) {
		int rc = find_next(m, &len);

		if (rc)
			err_set(&m->error, rc, "%s: %s", m->upper->path, strerror(-rc));
		if (rc || !len)
			break;
		start_piece(m, len);
		disk_drain(&m->d->disk);
	}
}

static void finish(struct merge *m)
{
	bool down = m->o.direction == MERGE_DOWN;
	struct err *e = &m->error;

	m->last = true;
	if (!image_disk_settle(m->d, e) && down)
		copy_rest(m);
	if (!e->code && !image_disk_settle(m->d, e) && (down ? finish_down(m, e) : finish_up(m, e)))
		log_warn("merge: %s", e->text);
	end(m);
}

/* Tables of images that the guest does not write are not committed by its flushes. */
static int commit_target(struct merge *m)
{
	struct image *to = m->o.direction == MERGE_UP ? m->upper : m->lower;

	return to->commit_soon && to != m->d->top ? make_stable(to, &m->error) : 0;
}

static int next_piece(struct merge *m, uint64_t *len)
{
	int rc = find_next(m, len);

	if (!rc && !*len && m->o.direction == MERGE_DOWN && count_changed(m) > FEW_PIECES &&
	    m->round < MAX_ROUNDS) {
		m->round++;
		m->at = 0;
		rc = find_next(m, len);
	}
	return rc ? err_set(&m->error, rc, "%s: %s", m->upper->path, strerror(-rc)) : 0;
}

static void step(void *opaque)
{
	struct merge *m = opaque;
	uint64_t len = 0;

	if (m->o.progress)
		m->o.progress(m->o.opaque, m->at, m->total);
	if (m->error.code || commit_target(m) || next_piece(m, &len))
		end(m);
	else if (len)
		start_piece(m, len);
	else
		finish(m);
}

/* ---- start and interruption --------------------------------------------------------------------
 */

static struct image *find_image(const struct image_disk *d, const char *path)
{
	struct stat want, have;

	if (stat(path, &want))
		return NULL;
	for (struct image *i = d->top; i; i = i->backing)
		if (!fstat(i->fd, &have) && have.st_dev == want.st_dev &&
		    have.st_ino == want.st_ino)
			return i;
	return NULL;
}

static int open_for_merge(struct merge *m, struct err *e)
{
	int rc;

	if (m->o.direction == MERGE_UP)
		return image_reopen(m->upper, true, m->o.files, e);
	rc = image_reopen(m->lower, true, m->o.files, e);
	if (!rc && m->lower->size < m->upper->size)
		rc = m->lower->format->resize(m->lower, m->upper->size, e);
	return rc;
}

static int prepare(struct merge *m, struct err *e)
{
	m->upper = find_image(m->d, m->o.path);
	if (!m->upper)
		return err_set(e, -ENOENT, "%.200s is not in the chain of %.150s", m->o.path,
			       m->d->top->path);
	m->lower = m->upper->backing;
	if (!m->lower)
		return err_set(e, -EINVAL, "%.200s stands on no other image", m->o.path);
	m->total = m->upper->size;
	m->buffer = malloc(PIECE);
	m->changed = calloc(1, m->total / PIECE / 8 + 1);
	if (!m->buffer || !m->changed)
		return err_set(e, -ENOMEM, "out of memory");
	return open_for_merge(m, e);
}

int disk_merge(struct disk *disk, const struct merge_options *o, struct err *e)
{
	struct image_disk *d = image_disk_of(disk);
	struct merge *m;
	int rc;

	if (disk->readonly || d->merge)
		return err_set(e, -EBUSY, "%.200s: %s", d->top->path,
			       d->merge ? "a merge is under way" : "it is used read-only");
	if (d->settling.node && image_disk_settle(d, e))
		return e->code;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->d = d;
	m->o = *o;
	m->timer = (struct loop_timer){.fn = step, .opaque = m};
	disk_drain(disk); /* reopening changes descriptors */
	rc = prepare(m, e);
	if (rc) {
		free(m->buffer);
		free(m->changed);
		free(m);
		return rc;
	}
	d->merge = m;
	if (d->loop)
		loop_timer_set(d->loop, &m->timer, loop_now());
	return 0;
}

void disk_merge_cancel(struct disk *disk)
{
	struct image_disk *d = image_disk_of(disk);
	struct merge *m = d->merge;

	if (!m)
		return;
	m->last = true;
	disk_drain(disk);
	if (d->loop)
		loop_timer_cancel(d->loop, &m->timer);
	if (!m->error.code)
		err_set(&m->error, -ECANCELED, "the merge was cancelled");
	end(m);
}

/* ---- without a VM -----------------------------------------------------------------------------
 */

struct offline {
	const struct merge_options *o;
	struct err error;
};

static void offline_progress(void *opaque, uint64_t done, uint64_t total)
{
	const struct offline *f = opaque;

	if (f->o->progress)
		f->o->progress(f->o->opaque, done, total);
}

static int offline_switching(void *opaque, const char *path, struct err *e)
{
	const struct offline *f = opaque;

	return f->o->switching ? f->o->switching(f->o->opaque, path, e) : 0;
}

static void offline_done(void *opaque, const struct err *e)
{
	((struct offline *)opaque)->error = *e;
}

static int merge_now(struct disk *disk, const struct merge_options *o, struct err *e)
{
	struct image_disk *d = image_disk_of(disk);
	struct offline f = {.o = o};
	struct merge_options mine = {.path = o->path,
				     .direction = o->direction,
				     .switching = offline_switching,
				     .progress = offline_progress,
				     .done = offline_done,
				     .opaque = &f};
	int rc = disk_merge(disk, &mine, e);

	if (rc)
		return rc;
	while (d->merge) {
		step(d->merge);
		disk_drain(disk);
	}
	if (f.error.code)
		*e = f.error;
	return f.error.code;
}

int image_merge(const char *last, const struct image_access *a, const struct merge_options *o,
		struct err *e)
{
	const struct disk_options how = {.path = last,
					 .format = a->format,
					 .backing_folders = a->backing_folders,
					 .nbacking_folders = a->nbacking_folders,
					 .any_backing = a->any_backing};
	struct disk *disk;
	int rc = disk_open(&how, NULL, &disk, e);

	if (rc)
		return rc;
	rc = merge_now(disk, o, e);
	disk_close(disk);
	return rc;
}
