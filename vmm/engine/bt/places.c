/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a vCPU's TLBs may have write tags of a page of memory: so that a page that becomes code, as
 * a JIT's does over and over, is protected without a look at every entry of every view. Few pages
 * are written at more than two indices: the program's address and the kernel's.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/engine/bt/mmu.h"

#define NONE 0
#define MANY UINT32_MAX

int bt_places_init(struct bt_vcpu *v, struct err *e)
{
	for (unsigned i = 0; i < v->vm->nslots; i++) {
		size_t size = v->vm->slot[i].size / BT_PAGE * sizeof(struct bt_places);
		void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			return err_set(e, -errno, "no memory for the map of written pages: %s",
				       strerror(errno));
		v->places[i] = p;
	}
	return 0;
}

void bt_places_fini(struct bt_vcpu *v)
{
	for (unsigned i = 0; i < v->vm->nslots; i++)
		if (v->places[i])
			munmap(v->places[i],
			       v->vm->slot[i].size / BT_PAGE * sizeof(struct bt_places));
}

static struct bt_places *places_of(struct bt_vcpu *v, const struct bt_slot *s, gpa_t gpa)
{
	return &v->places[s - v->vm->slot][(gpa - s->gpa) / BT_PAGE];
}

void bt_places_note(struct bt_vcpu *v, const struct bt_slot *s, gpa_t gpa, unsigned index)
{
	struct bt_places *p = places_of(v, s, gpa);
	uint64_t host = (uint64_t)(s->host + ((gpa & BT_PAGE_MASK) - s->gpa));

	if (p->at[0] == MANY)
		return;
	for (unsigned i = 0; i < BT_PLACES; i++)
		if (p->at[i] == index + 1)
			return;
	for (unsigned i = 0; i < BT_PLACES; i++)
		if (p->at[i] == NONE || !bt_has_write_tag(v, p->at[i] - 1u, host)) {
			p->at[i] = index + 1;
			return;
		}
	p->at[0] = MANY;
}

unsigned bt_places_take(struct bt_vcpu *v, const struct bt_slot *s, gpa_t gpa,
			unsigned index[BT_PLACES])
{
	struct bt_places *p = places_of(v, s, gpa), old = *p;
	unsigned n = 0;

	memset(p, 0, sizeof(*p));
	if (old.at[0] == MANY)
		return BT_PLACES_MANY;
	for (unsigned i = 0; i < BT_PLACES; i++)
		if (old.at[i] != NONE)
			index[n++] = old.at[i] - 1u;
	return n;
}
