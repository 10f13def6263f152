/* SPDX-License-Identifier: Apache-2.0 */
/* A debugger's points and steps: see debug.h. */
#include "vmm/engine/bt/debug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/engine/bt/translate/translate.h"

static gva_t current_address(const struct bt_vcpu *v)
{
	if (v->mode & BT_MODE_CODE64)
		return v->rip;
	return (uint32_t)(v->rip + v->segbase[X86_CS]);
}

static bool is_same(const struct bt_debug *own, const struct engine_debug *d)
{
	if (own->npoints != d->npoints)
		return false;
	for (unsigned i = 0; i < d->npoints; i++) {
		const struct engine_point *a = &own->point[i], *b = &d->point[i];

		if (a->addr != b->addr || a->len != b->len || a->kind != b->kind)
			return false;
	}
	return true;
}

static void take_points(struct bt_debug *own, const struct engine_debug *d)
{
	own->npoints = d->npoints;
	own->ncode = 0;
	own->filter = 0;
	for (unsigned i = 0; i < d->npoints; i++) {
		own->point[i] = d->point[i];
		if (d->point[i].kind != POINT_CODE)
			continue;
		own->ncode++;
		own->filter |= 1ull << (d->point[i].addr & 63);
	}
}

void bt_debug_fini(struct bt_vcpu *v)
{
	free(v->debug);
	v->debug = NULL;
}

/* What there was is translated again: it keeps no flags exact any more (translate/flags.c). */
static void forget(struct bt_vcpu *v)
{
	if (!v->debug)
		return;
	bt_debug_fini(v);
	bt_flush_all(v);
	bt_translate_flush(v);
	bt_mode_changed(v);
}

int bt_debug_set(struct bt_vcpu *v, const struct engine_debug *d, struct err *e)
{
	struct bt_debug *own = v->debug;
	bool is_new = !own;

	if (!d) {
		forget(v);
		return 0;
	}
	if (d->npoints > ENGINE_MAX_POINTS)
		return err_set(e, -ENOSPC, "more than %d breakpoints", ENGINE_MAX_POINTS);
	if (!own)
		own = v->debug = calloc(1, sizeof(*own));
	if (!own)
		return err_set(e, -ENOMEM, "no memory for breakpoints");
	if (is_new ||
	    !is_same(own, d)) { /* a debugger takes its points away and back at every stop */
		take_points(own, d);
		bt_flush_all(v);
		bt_translate_flush(v);
	}
	own->step = d->step;
	own->pass = d->pass && bt_is_point(v, current_address(v));
	bt_mode_changed(v);
	return 0;
}

void bt_debug_get(const struct bt_vcpu *v, struct engine_stop *out)
{
	*out = v->debug ? v->debug->stop : (struct engine_stop){0};
}

void bt_debug_begin(struct bt_vcpu *v)
{
	if (!v->debug)
		return;
	v->debug->stopped = false;
	atomic_fetch_and(&v->requests, ~BT_REQ_DEBUG);
}

static void stop(struct bt_vcpu *v, enum engine_stop_cause cause, enum engine_point_kind kind,
		 uint64_t addr)
{
	if (v->debug->stopped) /* one instruction may do several things: the first is told */
		return;
	v->debug->stopped = true;
	v->debug->stop = (struct engine_stop){.cause = cause, .kind = kind, .addr = addr};
	bt_post(v, BT_REQ_DEBUG);
}

bool bt_debug_find(const struct bt_vcpu *v, gva_t gva)
{
	const struct bt_debug *d = v->debug;

	for (unsigned i = 0; i < d->npoints; i++)
		if (d->point[i].kind == POINT_CODE && d->point[i].addr == gva)
			return true;
	return false;
}

bool bt_debug_reached(struct bt_vcpu *v)
{
	gva_t at = current_address(v);
	bool pass = v->debug->pass;

	v->debug->pass = false;
	if (pass || !bt_is_point(v, at))
		return false;
	stop(v, STOP_POINT, POINT_CODE, at);
	return true;
}

static bool is_data(const struct engine_point *p)
{
	return p->kind == POINT_WRITE || p->kind == POINT_READ || p->kind == POINT_ACCESS;
}

static bool overlaps(const struct engine_point *p, gva_t gva, uint64_t size)
{
	return gva - p->addr < p->len || p->addr - gva < size;
}

bool bt_debug_watches(const struct bt_vcpu *v, gva_t page)
{
	const struct bt_debug *d = v->debug;

	for (unsigned i = 0; i < d->npoints; i++)
		if (is_data(&d->point[i]) && overlaps(&d->point[i], page, BT_PAGE))
			return true;
	return false;
}

static bool is_kind(enum engine_point_kind kind, enum bt_access a)
{
	switch (kind) {
	case POINT_WRITE:
		return a == BT_WRITE || a == BT_RMW;
	case POINT_READ:
		return a == BT_READ || a == BT_RMW;
	case POINT_ACCESS:
		return a != BT_EXEC;
	default:
		return false;
	}
}

void bt_debug_access(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a)
{
	const struct bt_debug *d = v->debug;

	for (unsigned i = 0; i < d->npoints; i++) {
		const struct engine_point *p = &d->point[i];

		if (is_kind(p->kind, a) && overlaps(p, gva, size))
			stop(v, STOP_POINT, p->kind, p->addr);
	}
}

void bt_debug_stepped(struct bt_vcpu *v)
{
	stop(v, STOP_STEP, POINT_CODE, current_address(v));
}
