/* SPDX-License-Identifier: Apache-2.0 */
/* flock(), POSIX and open-file-description locks. Whole-file and byte-range locks do not see each
 * other. */
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/vfs.h"

enum lock_kind {
	LOCK_FLOCK,
	LOCK_OFD,
	LOCK_POSIX
};

struct file_lock {
	struct list link;
	enum lock_kind kind;
	const void *owner; /* struct file, or struct process for POSIX locks */
	bool exclusive;
	uint64_t start, end; /* [start, end) */
	int pid;
};

static bool same_world(enum lock_kind a, enum lock_kind b)
{
	return (a == LOCK_FLOCK) == (b == LOCK_FLOCK);
}

/* The node itself, then those that share bytes with it. */
static struct node *sharing(struct node *n, unsigned i)
{
	return !i ? n : n->ops && n->ops->shares ? n->ops->shares(n, i - 1) : NULL;
}

static struct file_lock *find_conflict(struct node *n, const struct file_lock *want)
{
	struct node *at;

	for (unsigned i = 0; (at = sharing(n, i)); i++)
		LIST_ITEMS(struct file_lock, have, &at->locks, link)
			if (same_world(have->kind, want->kind) && have->owner != want->owner &&
			    (have->exclusive || want->exclusive) && have->start < want->end &&
			    want->start < have->end)
				return have;
	return NULL;
}

/* Takes [start, end) out of the owner's locks; what is left on both sides stays. vfs_lock held. */
static int cut(struct node *n, const struct file_lock *range)
{
	struct file_lock *right;

	LIST_ITEMS_SAFE(struct file_lock, have, &n->locks, link) {
		if (have->kind != range->kind || have->owner != range->owner ||
		    have->start >= range->end || range->start >= have->end)
			continue;
		if (have->end > range->end && have->start < range->start) {
			right = kzalloc(sizeof(*right));
			if (!right)
				return -ENOLCK;
			*right = *have;
			right->start = range->end;
			list_add_tail(&n->locks, &right->link);
			have->end = range->start;
		} else if (have->end > range->end) {
			have->start = range->end;
		} else if (have->start < range->start) {
			have->end = range->start;
		} else {
			list_del(&have->link);
			kfree(have);
		}
	}
	return 0;
}

static int try_lock(struct node *n, const struct file_lock *want)
{
	SPIN_GUARD(&vfs_lock);
	struct file_lock *l;
	int rc = find_conflict(n, want) ? -EAGAIN : cut(n, want);

	if (!rc) {
		l = kzalloc(sizeof(*l));
		rc = l ? 0 : -ENOLCK;
		if (l) {
			*l = *want;
			list_add_tail(&n->locks, &l->link);
		}
	}
	return rc;
}

static int64_t take(struct node *n, const struct file_lock *want, bool wait)
{
	int got = try_lock(n, want), rc;

	if (got != -EAGAIN || !wait)
		return got;
	rc = WAIT_FOR(&n->lock_wait, NEVER, (got = try_lock(n, want)) != -EAGAIN);
	return rc ? RESTARTABLE(rc) : got;
}

static int64_t drop(struct node *n, const struct file_lock *range)
{
	struct node *at;
	int rc;

	LOCKED(&vfs_lock)
		rc = cut(n, range);
	for (unsigned i = 0; (at = sharing(n, i)); i++)
		waitq_wake(&at->lock_wait, ~0u);
	return rc;
}

int64_t node_flock(struct file *f, unsigned op)
{
	struct file_lock l = {.kind = LOCK_FLOCK,
			      .owner = f,
			      .end = UINT64_MAX,
			      .exclusive = op & LOCK_EX,
			      .pid = current_process()->pid};

	if (op & LOCK_UN)
		return drop(f->node, &l);
	if (!(op & LOCK_SH) == !(op & LOCK_EX))
		return -EINVAL;
	return take(f->node, &l, !(op & LOCK_NB));
}

static int64_t get_lock(struct node *n, struct file_lock *l, struct flock *u, uint64_t arg)
{
	LOCKED(&vfs_lock) {
		const struct file_lock *c = find_conflict(n, l);

		u->l_type = !c ? F_UNLCK : c->exclusive ? F_WRLCK : F_RDLCK;
		if (c) {
			u->l_whence = 0;
			u->l_start = (int64_t)c->start;
			u->l_len = c->end == UINT64_MAX ? 0 : (int64_t)(c->end - c->start);
			u->l_pid = c->kind == LOCK_OFD ? -1 : c->pid;
		}
	}
	return copy_to_user(arg, u, sizeof(*u));
}

int64_t node_fcntl_lock(struct file *f, unsigned cmd, uint64_t arg)
{
	bool ofd = cmd >= 36;
	unsigned what = ofd ? cmd - 36 : cmd - 5; /* get, set, set and wait */
	struct flock u;
	struct file_lock l;
	int64_t start = 0, end;

	if (copy_from_user(&u, arg, sizeof(u)))
		return -EFAULT;
	if (u.l_whence == 1)
		start = (int64_t)f->pos;
	else if (u.l_whence == 2 && f->node->obj)
		start = (int64_t)f->node->obj->size;
	if (__builtin_add_overflow(start, u.l_start, &start) ||
	    __builtin_add_overflow(start, u.l_len, &end))
		return -EOVERFLOW;
	if (start < 0 || u.l_len < 0 || u.l_whence < 0 || u.l_whence > 2)
		return -EINVAL;
	l = (struct file_lock){
		.kind = ofd ? LOCK_OFD : LOCK_POSIX,
		.owner = ofd ? (void *)f : (void *)current_process(),
		.exclusive = u.l_type == F_WRLCK,
		.start = (uint64_t)start,
		.end = u.l_len ? (uint64_t)end : UINT64_MAX,
		.pid = current_process()->pid,
	};
	if (what == 0)
		return get_lock(f->node, &l, &u, arg);
	return u.l_type == F_UNLCK ? drop(f->node, &l) : take(f->node, &l, what == 2);
}

static void drop_all(struct node *n, enum lock_kind kind, const void *owner)
{
	struct file_lock all = {.kind = kind, .owner = owner, .end = UINT64_MAX};

	if (!list_empty(&n->locks))
		drop(n, &all);
}

void node_unlock_posix(struct node *n, struct process *p)
{
	drop_all(n, LOCK_POSIX, p);
}

void node_unlock_file(struct node *n, struct file *f)
{
	drop_all(n, LOCK_FLOCK, f);
	drop_all(n, LOCK_OFD, f);
}
