/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A debugger's points and steps. No translated code begins at a code point or runs across one, so
 * the interpreter meets each of them; watched pages have no TLB tags, so each access to one takes
 * the slow path. A stop is a request (BT_REQ_DEBUG), which every loop looks at between
 * instructions: the vCPU stops before the point's instruction, or right after the one that
 * accessed watched data.
 */
#ifndef VMM_ENGINE_BT_DEBUG_H
#define VMM_ENGINE_BT_DEBUG_H

#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/vm.h"

struct bt_debug {
	struct engine_point point[ENGINE_MAX_POINTS];
	unsigned npoints, ncode;
	uint64_t filter; /* bit n: a code point's address is n modulo 64 */
	bool step, pass;
	bool stopped; /* `stop` tells why */
	struct engine_stop stop;
};

int bt_debug_set(struct bt_vcpu *v, const struct engine_debug *d, struct err *e);
void bt_debug_get(const struct bt_vcpu *v, struct engine_stop *out);
void bt_debug_fini(struct bt_vcpu *v);
/* Forgets a stop that nobody asked for; the vCPU is about to run. */
void bt_debug_begin(struct bt_vcpu *v);

/* The slow halves of the functions below; v->debug is not NULL. */
bool bt_debug_find(const struct bt_vcpu *v, gva_t gva);
bool bt_debug_reached(struct bt_vcpu *v);
bool bt_debug_watches(const struct bt_vcpu *v, gva_t page);
void bt_debug_access(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a);
void bt_debug_stepped(struct bt_vcpu *v);

/* Is there a code point at this linear address? */
static inline bool bt_is_point(const struct bt_vcpu *v, gva_t gva)
{
	return v->debug && (v->debug->filter >> (gva & 63) & 1) && bt_debug_find(v, gva);
}

/* The same, or one of the guest's own: no translated code begins here or runs across. */
static inline bool bt_breaks_at(const struct bt_vcpu *v, gva_t gva)
{
	return bt_is_point(v, gva) || ((v->mode & BT_MODE_POINTS) && bt_code_points_at(v, gva));
}

static inline bool bt_is_stepping(const struct bt_vcpu *v)
{
	return v->debug && v->debug->step;
}

static inline bool bt_is_stopped(const struct bt_vcpu *v)
{
	return v->debug && v->debug->stopped;
}

#endif
