/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do tables lie apart from each other? In a damaged or hostile image they may not, and what is
 * written to one would change another. Looked at before an image is opened for writing; where the
 * data lies is checked when it is used (qcow2_map.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "base/num.h"
#include "vmm/backend/image/qcow2.h"

struct place {
	const char *what;
	uint64_t start, len;
};

static int by_start(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static size_t list_places(const struct qcow2 *q, struct place *p)
{
	size_t n = 0;

	p[n++] = (struct place){"header", 0, q->cluster};
	p[n++] = (struct place){"refcount table", q->h.reftable_offset, q->reftable_size * 8};
	if (q->h.l1_size)
		p[n++] = (struct place){"L1 table", q->h.l1_offset, q->h.l1_size * 8ull};
	for (uint32_t i = 0; i < q->h.l1_size; i++)
		if (q->l1[i] & L1_OFFSET)
			p[n++] = (struct place){"L2 table", q->l1[i] & L1_OFFSET, q->cluster};
	for (uint64_t i = 0; i < q->reftable_used; i++)
		if (q->reftable[i])
			p[n++] = (struct place){"refcount block", q->reftable[i], q->cluster};
	return n;
}

static int damaged(const struct place *p, const char *how, const char *other, struct err *e)
{
	return err_set(e, -EROFS,
		       "the qcow2 image is damaged: the %s at %#llx %s%s; use it read-only, see "
		       "`baton disk check FILE`",
		       p->what, (unsigned long long)p->start, how, other);
}

static int compare_places(const struct qcow2 *q, const struct place *p, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i].start & (q->cluster - 1))
			return damaged(&p[i], "is at the start of no cluster", "", e);
		if (!range_ok(p[i].start, p[i].len, q->fresh_from))
			return damaged(&p[i], "reaches past the end of the file", "", e);
		if (i && p[i].start - p[i - 1].start < p[i - 1].len)
			return damaged(&p[i], "overlaps the ", p[i - 1].what, e);
	}
	return 0;
}

int qcow2_check_layout(struct image *img, struct err *e)
{
	const struct qcow2 *q = qcow2_of(img);
	struct place *p = calloc(3 + q->h.l1_size + q->reftable_used, sizeof(*p));
	size_t n;
	int rc;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	n = list_places(q, p);
	qsort(p, n, sizeof(*p), by_start);
	rc = compare_places(q, p, n, e);
	free(p);
	return rc;
}
