/* SPDX-License-Identifier: Apache-2.0 */
/* The list of VMs from one look to the next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/manage/manage.h"

static const struct vm_row *find(const struct vm_row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(rows[i].status.name, name))
			return &rows[i];
	}
	return NULL;
}

static void take_usage(struct manager *m, struct vm_row *r, const struct vm_row *before)
{
	struct vm_usage u;
	struct vm_info vm;
	struct err e = {0};

	if (!r->status.pid || manager_find(m, r->status.name, &vm, &e) || vm_usage(&vm, &u, &e))
		return;
	r->cpu_ns = u.cpu_ns;
	r->at_ns = u.at_ns;
	r->used = u.memory_used;
	if (before && before->status.pid == r->status.pid && r->at_ns > before->at_ns)
		r->cpu = (double)(r->cpu_ns - before->cpu_ns) * 100 /
			 (double)(r->at_ns - before->at_ns);
}

int rows_refresh(struct manage *m, struct err *e)
{
	struct vm_status *list;
	struct vm_row *rows;
	size_t n, selected = 0;
	int rc = vm_list(m->manager, &list, &n, e);

	if (rc)
		return rc;
	rows = calloc(n + 1, sizeof(*rows));
	if (!rows) {
		free(list);
		return err_set(e, -ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		rows[i].status = list[i];
		take_usage(m->manager, &rows[i], find(m->row, m->n, list[i].name));
		if (m->selected < m->n && !strcmp(m->row[m->selected].status.name, list[i].name))
			selected = i;
	}
	free(list);
	free(m->row);
	m->row = rows;
	m->n = n;
	m->selected = selected;
	return 0;
}

void rows_select(struct manage *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (!strcmp(m->row[i].status.name, name))
			m->selected = i;
	}
}

unsigned rows_running_cpus(const struct manage *m)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->row[i].status.pid ? m->row[i].status.cpus : 0;
	return n;
}
