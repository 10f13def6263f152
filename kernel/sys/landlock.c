/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/landlock.h"

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"

#define ABI        3
#define MAX_RULES  64
#define MAX_LAYERS 16
#define ALL_RIGHTS 0x7fffUL
/* On what is no directory. */
#define OF_FILES (RIGHT(EXECUTE) | RIGHT(WRITE_FILE) | RIGHT(READ_FILE) | RIGHT(TRUNCATE))

/* Threads of all that were locked in together; a process counts as some more: four at most. */
#define MAX_LOAD        1024
#define LOAD_OF_PROCESS 256

/* A ruleset, which is an open file, or a copy of one that holds. */
struct domain {
	uint32_t refs;
	unsigned layer, nrules;
	uint64_t handled;             /* rights that rules decide on */
	uint64_t pages;               /* of objects (mm/object.h), in `first` */
	struct domain *outer, *first; /* the last of the outer ones, or itself */
	struct rule {
		struct node *node; /* with a reference */
		uint64_t rights;
	} rules[MAX_RULES]; /* guarded by vfs_lock */
};

struct domain *domain_get(struct domain *d)
{
	if (d)
		__atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
	return d;
}

void domain_put(struct domain *d)
{
	if (!d || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
		return;
	while (d->nrules)
		node_put(d->rules[--d->nrules].node);
	domain_put(d->outer);
	kfree(d);
}

/* ---- what is allowed ------------------------------------------------------------------------- */

uint64_t landlock_denied(const struct node *n, uint64_t rights)
{
	uint64_t denied = 0;

	for (const struct domain *d = current_process()->domain; d; d = d->outer) {
		uint64_t granted = 0;

		for (const struct node *at = n; at; at = at->parent) {
			for (unsigned i = 0; i < d->nrules; i++)
				granted |= d->rules[i].node == at ? d->rules[i].rights : 0;
		}
		denied |= (d->handled | RIGHT(REFER)) & ~granted;
	}
	return denied & rights;
}

static uint64_t making(const struct node *n)
{
	static const uint64_t rights[16] = {
		[S_IFDIR >> 12] = RIGHT(MAKE_DIR),  [S_IFLNK >> 12] = RIGHT(MAKE_SYM),
		[S_IFREG >> 12] = RIGHT(MAKE_REG),  [S_IFSOCK >> 12] = RIGHT(MAKE_SOCK),
		[S_IFCHR >> 12] = RIGHT(MAKE_CHAR), [S_IFBLK >> 12] = RIGHT(MAKE_BLOCK)};

	return rights[(n->mode & S_IFMT) >> 12];
}

uint64_t landlock_removing(const struct node *n)
{
	return S_ISDIR(n->mode) ? RIGHT(REMOVE_DIR) : RIGHT(REMOVE_FILE);
}

/* Nobody gains rights by giving a file a name where it has more. */
int landlock_link(const struct node *n, const struct node *from, const struct node *to)
{
	if (landlock_denied(to, making(n)))
		return -EACCES;
	return from != to && current_process()->domain ? -EXDEV : 0;
}

bool landlock_covers(const struct process *p)
{
	const struct domain *mine = current_process()->domain;

	return !mine || (p->domain && p->domain->first == mine->first);
}

bool landlock_is_full(void)
{
	unsigned load = 0;

	if (!current_process()->domain)
		return false;
	SPIN_GUARD(&processes_lock);
	LIST_ITEMS(struct process, p, &processes, link)
		load += landlock_covers(p) ? LOAD_OF_PROCESS + p->nthreads : 0;
	return load >= MAX_LOAD;
}

struct domain *landlock_maker(void)
{
	const struct process *p = current_process();

	return p && p->domain ? domain_get(p->domain->first) : NULL;
}

uint64_t *landlock_pages(struct domain *maker)
{
	return &maker->pages;
}

/* ---- system calls ---------------------------------------------------------------------------- */

static void ruleset_close(struct file *f)
{
	domain_put(f->data);
}

static const struct file_ops ruleset_ops = {.name = "[landlock-ruleset]", .close = ruleset_close};

/* (what it handles, its size, flags) */
int64_t sys_landlock_create_ruleset(const uint64_t *a)
{
	uint64_t handled[3] = {0}; /* ports and scopes are of later ABIs */
	struct domain *d;

	if (a[2] == LANDLOCK_CREATE_RULESET_VERSION)
		return a[0] || a[1] ? -EINVAL : ABI;
	if (a[2] || a[1] < sizeof(*handled))
		return -EINVAL;
	if (copy_from_user(handled, a[0], MIN(a[1], sizeof(handled))))
		return -EFAULT;
	if (a[1] > sizeof(handled) || handled[1] || handled[2])
		return -E2BIG;
	if (!*handled || *handled & ~ALL_RIGHTS)
		return *handled ? -EINVAL : -ENOMSG;
	d = kzalloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->refs = 1;
	d->handled = *handled;
	return fd_new(&ruleset_ops, O_CLOEXEC, d);
}

static int add_rule(struct domain *d, struct node *n, uint64_t rights)
{
	SPIN_GUARD(&vfs_lock);

	if (!S_ISDIR(n->mode) && rights & ~(uint64_t)OF_FILES)
		return -EINVAL;
	if (d->nrules == MAX_RULES)
		return -E2BIG;
	d->rules[d->nrules++] = (struct rule){node_get(n), rights};
	return 0;
}

/* (ruleset, type, rule, flags) */
int64_t sys_landlock_add_rule(struct file *f, const uint64_t *a)
{
	struct landlock_path_beneath_attr rule;
	struct domain *d = f->data;
	struct file *at;
	int rc;

	if (f->ops != &ruleset_ops)
		return -EBADFD;
	if (a[3] || a[1] != LANDLOCK_RULE_PATH_BENEATH)
		return -EINVAL;
	if (copy_from_user(&rule, a[2], sizeof(rule)))
		return -EFAULT;
	if (!rule.allowed_access || rule.allowed_access & ~d->handled)
		return rule.allowed_access ? -EINVAL : -ENOMSG;
	at = fd_get(rule.parent_fd);
	rc = !at ? -EBADF : !at->node ? -EBADFD : add_rule(d, at->node, rule.allowed_access);
	file_put(at);
	return rc;
}

/* (ruleset, flags); for all threads of the process. */
int64_t sys_landlock_restrict_self(struct file *f, const uint64_t *a)
{
	struct process *p = current_process();
	struct domain *d = kzalloc(sizeof(*d));
	int rc = !d ? -ENOMEM : a[1] ? -EINVAL : f->ops != &ruleset_ops ? -EBADFD : 0;

	LOCKED(&vfs_lock) {
		unsigned layer = p->domain ? p->domain->layer + 1 : 1;

		rc = rc || layer <= MAX_LAYERS ? rc : -E2BIG;
		if (!rc) {
			*d = *(struct domain *)f->data;
			d->refs = 1;
			d->layer = layer;
			for (unsigned i = 0; i < d->nrules; i++)
				node_get(d->rules[i].node);
			d->outer = p->domain;
			d->first = d->outer ? d->outer->first : d;
			p->domain = d;
		}
	}
	if (rc)
		kfree(d);
	return rc;
}
