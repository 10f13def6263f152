/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/cgroup.h"

#include "kernel/mm/heap.h"
#include "kernel/sys/vfs.h"

#define TEXT_MAX       4096
#define WEIGHT_DEFAULT 100
#define PERIOD_DEFAULT 100000 /* microseconds, as all times here */

/* Data of a group's directory; the root has none. */
struct cgroup {
	struct sched_group sched;
	unsigned weight;
	uint64_t quota, period; /* quota 0: no limit */
};

void cgroup_join(struct process *p, struct node *dir)
{
	struct cgroup *c = dir ? dir->data : NULL;
	struct node *old = p->cgroup;

	LOCKED(&p->lock) {
		p->group = c ? &c->sched : &p->own;
		p->cgroup = c ? node_get(dir) : NULL;
		LIST_ITEMS(struct thread, t, &p->threads, proc_link)
			sched_move(t, p->group);
	}
	node_put(old);
}

/* ---- the files: data is the directory -------------------------------------------------------- */

static struct cgroup *group_of(struct node *file)
{
	return ((struct node *)file->data)->data;
}

static bool number(const char **text, uint64_t *val)
{
	const char *p = *text;

	for (*val = 0; *p >= '0' && *p <= '9' && *val < 1UL << 32; p++)
		*val = *val * 10 + (uint64_t)(*p - '0');
	while (*p == ' ' || *p == '\n')
		p++;
	*text = p;
	return *val;
}

static size_t procs_text(struct node *n, char *buf)
{
	struct node *dir = n->data;
	size_t len = 0;
	SPIN_GUARD(&processes_lock);

	LIST_ITEMS(struct process, p, &processes, link) {
		if (p->cgroup == (dir->data ? dir : NULL) && !p->zombie && len < TEXT_MAX - 12)
			len += (size_t)snprintf(buf + len, 12, "%d\n", p->pid);
	}
	return len;
}

static int procs_store(struct node *n, const char *text)
{
	uint64_t pid = 0;
	struct process *p;
	bool self = !strcmp(text, "0") || !strcmp(text, "0\n");

	if (!self && (!number(&text, &pid) || *text))
		return -EINVAL;
	SPIN_GUARD(&processes_lock);
	p = self ? current_process() : process_find((int)pid);
	if (p && !p->zombie)
		cgroup_join(p, n->data);
	return p && !p->zombie ? 0 : -ESRCH;
}

static size_t max_text(struct node *n, char *buf)
{
	const struct cgroup *c = group_of(n);

	if (!c->quota)
		return (size_t)snprintf(buf, TEXT_MAX, "max %lu\n", c->period);
	return (size_t)snprintf(buf, TEXT_MAX, "%lu %lu\n", c->quota, c->period);
}

/* "max" or a quota, then a period or not. */
static int max_store(struct node *n, const char *text)
{
	struct cgroup *c = group_of(n);
	uint64_t quota = 0, period = c->period;
	bool none = !strncmp(text, "max", 3);

	if (none)
		text += text[3] == ' ' || text[3] == '\n' ? 4 : 3;
	else if (!number(&text, &quota) || quota < 1000)
		return -EINVAL;
	if (*text && (!number(&text, &period) || *text || period < 1000 || period > 1000000))
		return -EINVAL;
	c->quota = quota;
	c->period = period;
	sched_set_cap(&c->sched, WINDOW_NS * quota / period);
	return 0;
}

static size_t weight_text(struct node *n, char *buf)
{
	return (size_t)snprintf(buf, TEXT_MAX, "%u\n", group_of(n)->weight);
}

static int weight_store(struct node *n, const char *text)
{
	uint64_t weight;

	if (!number(&text, &weight) || *text || weight > 10000)
		return -ERANGE;
	group_of(n)->weight = (unsigned)weight;
	sched_set_shares(&group_of(n)->sched, (unsigned)(weight * SHARES_DEFAULT / WEIGHT_DEFAULT));
	return 0;
}

static size_t stat_text(struct node *n, char *buf)
{
	sched_account();
	return (size_t)snprintf(buf, TEXT_MAX, "usage_usec %lu\n",
				group_of(n)->sched.used_ns / 1000);
}

static size_t controllers_text(struct node *n, char *buf)
{
	return (size_t)snprintf(buf, TEXT_MAX, "cpu\n");
}

static int controllers_store(struct node *n, const char *text)
{
	return strncmp(text, "+cpu", 4) ? -EINVAL : 0; /* it is always on */
}

static const struct cgroup_file {
	const char *name;
	bool in_root, in_group;
	size_t (*text)(struct node *n, char *buf);
	int (*store)(struct node *n, const char *text);
} files[] = {
	{"cgroup.procs", true, true, procs_text, procs_store},
	{"cgroup.controllers", true, true, controllers_text, NULL},
	{"cgroup.subtree_control", true, false, controllers_text, controllers_store},
	{"cpu.max", false, true, max_text, max_store},
	{"cpu.weight", false, true, weight_text, weight_store},
	{"cpu.stat", false, true, stat_text, NULL},
};

static char *file_text(struct node *n, size_t *len)
{
	char *buf = kzalloc(TEXT_MAX);

	if (buf)
		*len = files[n->rdev].text(n, buf);
	return buf;
}

static int file_store(struct node *n, const char *text)
{
	return files[n->rdev].store ? files[n->rdev].store(n, text) : -EINVAL;
}

static void file_release(struct node *n)
{
	node_put(n->data);
}

static const struct node_ops file_ops = {
	.text = file_text, .store = file_store, .release = file_release};

/* ---- directories ----------------------------------------------------------------------------- */

static bool is_in(const struct cgroup_file *f, const struct node *dir)
{
	return dir->data ? f->in_group : f->in_root;
}

static struct node *lookup(struct node *dir, const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		struct node *n;

		if (strcmp(name, files[i].name) || !is_in(&files[i], dir))
			continue;
		n = node_made(S_IFREG | (files[i].store ? 0644 : 0444), &file_ops, node_get(dir));
		if (n)
			n->rdev = i;
		else
			node_put(dir);
		return n;
	}
	return NULL;
}

static void list(struct node *dir, void (*emit)(void *, const char *, unsigned), void *opaque)
{
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		if (is_in(&files[i], dir))
			emit(opaque, files[i].name, S_IFREG);
	}
}

static void release(struct node *n)
{
	kfree(n->data);
}

static int make_group(struct node *n)
{
	static const struct node_ops ops = {.lookup = lookup, .list = list, .release = release};
	struct cgroup *c = kzalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	sched_group_init(&c->sched);
	c->weight = WEIGHT_DEFAULT;
	c->period = PERIOD_DEFAULT;
	n->data = c;
	n->ops = &ops;
	return 0;
}

void cgroup_init(void)
{
	static const struct node_ops ops = {.lookup = lookup, .list = list, .mkdir = make_group};

	if (vfs_put("sys/fs/cgroup", node_made(S_IFDIR | 0755, &ops, NULL)))
		panic("cannot make /sys/fs/cgroup");
}
