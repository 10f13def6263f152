/* SPDX-License-Identifier: Apache-2.0 */
/* gdb's breakpoints: which the engine holds, and which lie in guest memory. */
#include "vmm/gdb/points.h"

#include <errno.h>

#include "vmm/gdb/memory.h"

#define INT3 0xcc

static bool patch(struct gdb_points *p, const struct x86_cpu_state *s, struct gdb_point *b)
{
	const uint8_t int3 = INT3;

	if (!gdb_translate(p->mem, s, b->addr, &b->gpa) ||
	    !mem_read(p->mem, b->gpa, &b->original, 1) || !mem_write(p->mem, b->gpa, &int3, 1))
		return false;
	b->patched = true;
	return true;
}

/* Unless the guest has written something else there. */
static void unpatch(struct gdb_points *p, struct gdb_point *b)
{
	uint8_t now;

	if (b->patched && mem_read(p->mem, b->gpa, &now, 1) && now == INT3)
		mem_write(p->mem, b->gpa, &b->original, 1);
	b->patched = false;
}

static struct gdb_point *find(struct gdb_points *p, enum gdb_point_type type, uint64_t addr,
			      uint32_t len)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct gdb_point *b = &p->point[i];

		if (b->type == type && b->addr == addr && b->len == len)
			return b;
	}
	return NULL;
}

static unsigned held_by_engine(const struct gdb_points *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++)
		n += !p->point[i].patched;
	return n;
}

/* Makes room in the engine: a software breakpoint moves into memory. */
static bool displace(struct gdb_points *p, const struct x86_cpu_state *s)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct gdb_point *b = &p->point[i];

		if (b->type == GDB_SOFT && !b->patched && patch(p, s, b))
			return true;
	}
	return false;
}

int gdb_point_insert(struct gdb_points *p, const struct x86_cpu_state *s, enum gdb_point_type type,
		     uint64_t addr, uint32_t len)
{
	struct gdb_point b = {.type = type, .addr = addr, .len = len};

	if (find(p, type, addr, len))
		return 0;
	if (p->n == ENGINE_MAX_POINTS || !len)
		return -EINVAL;
	if (held_by_engine(p) >= p->max && !(type == GDB_SOFT ? patch(p, s, &b) : displace(p, s)))
		return -ENOSPC;
	p->point[p->n++] = b;
	return 0;
}

int gdb_point_remove(struct gdb_points *p, enum gdb_point_type type, uint64_t addr, uint32_t len)
{
	struct gdb_point *b = find(p, type, addr, len);

	if (!b)
		return 0;
	unpatch(p, b);
	*b = p->point[--p->n];
	return 0;
}

void gdb_points_clear(struct gdb_points *p)
{
	for (unsigned i = 0; i < p->n; i++)
		unpatch(p, &p->point[i]);
	p->n = 0;
}

unsigned gdb_points_list(const struct gdb_points *p, struct engine_point *out)
{
	static const uint8_t kinds[GDB_NTYPES] = {POINT_CODE, POINT_CODE, POINT_WRITE, POINT_READ,
						  POINT_ACCESS};

	for (unsigned i = 0; i < p->n; i++) {
		const struct gdb_point *b = &p->point[i];

		out[i] = (struct engine_point){
			.addr = b->addr,
			.len = b->len,
			.kind = b->patched ? POINT_INT3 : kinds[b->type],
		};
	}
	return p->n;
}

const struct gdb_point *gdb_point_find(const struct gdb_points *p, uint64_t addr)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->point[i].addr == addr && p->point[i].type <= GDB_HARD)
			return &p->point[i];
	return NULL;
}

void gdb_points_hide(const struct gdb_points *p, uint64_t gva, uint8_t *buf, uint64_t len)
{
	for (unsigned i = 0; i < p->n; i++) {
		const struct gdb_point *b = &p->point[i];

		if (b->patched && b->addr - gva < len && buf[b->addr - gva] == INT3)
			buf[b->addr - gva] = b->original;
	}
}

void gdb_points_keep(struct gdb_points *p, uint64_t gva, uint8_t *buf, uint64_t len)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct gdb_point *b = &p->point[i];

		if (!b->patched || b->addr - gva >= len)
			continue;
		b->original = buf[b->addr - gva];
		buf[b->addr - gva] = INT3;
	}
}
